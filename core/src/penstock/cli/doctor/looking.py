"""Looking: metadata, projects, files, sockets and limits of this machine, as facts. Decides nothing."""

from __future__ import annotations

import json
import os
import socket
import stat
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import Distribution, PackageNotFoundError, distributions, version
from os.path import exists
from pathlib import Path
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

import attrs
import trio

from penstock.cli.doctor.configuration import KeyFileFacts, PathFacts
from penstock.cli.doctor.findings import Chmod, Finding, RemoveSockets
from penstock.cli.doctor.installation import DistributionFacts, GroupFacts, ProjectFacts
from penstock.cli.doctor.sockets import socket_findings
from penstock.config.words import probably_meant
from penstock.plugins.contract import CONTRACT_GROUP
from penstock.plugins.discovery import COMMAND_GROUP, PLUGIN_GROUP
from penstock.plugins.tiers import TIER_GROUP
from penstock.run.explain_asking import find_runs
from penstock.run.socket_folder import possible_folders, socket_folder
from penstock.words.problems import PathParts

__all__ = [
    "carry_out",
    "core_version",
    "look_at_builds",
    "look_at_distributions",
    "look_at_groups",
    "look_at_key_files",
    "look_at_paths",
    "look_at_sockets",
    "open_files_limit",
]

GROUPS: Final = (PLUGIN_GROUP, COMMAND_GROUP, CONTRACT_GROUP, TIER_GROUP)


Build = Literal["pure", "compiled"]


def core_version() -> str | None:
    """The version of the core, as its metadata says it; `None` if it is not installed, but only on the path."""
    try:
        return version("penstock-core")
    except PackageNotFoundError:
        return None


def look_at_builds() -> dict[str, tuple[str, Build]]:
    """Each distribution that is named like one of ours, or brings plugins or commands: its version, and whether some of
    its modules are compiled, which then run in place of their sources. The first on the path counts."""
    found: dict[str, tuple[str, Build]] = {}
    for each in distributions():
        facts = _facts_of(each)
        name = facts.name
        if name.lower().replace("_", "-").startswith("penstock-") or any(
            point.group in GROUPS for point in each.entry_points
        ):
            compiled = any(file.name.endswith(tuple(EXTENSION_SUFFIXES)) for file in each.files or ())
            found.setdefault(name, (facts.version, "compiled" if compiled else "pure"))
    return dict(sorted(found.items()))


def look_at_distributions() -> list[DistributionFacts]:
    """The distributions that bring plugins or commands, or that are editable, the first on the path first."""
    found: dict[str, DistributionFacts] = {}
    for each in distributions():
        facts = _distribution(each)
        if facts is not None:
            found.setdefault(facts.place, facts)  # a folder that stands on the path twice is one
    return list(found.values())


def _distribution(found: Distribution) -> DistributionFacts | None:
    points = frozenset((each.group, each.name, each.value) for each in found.entry_points if each.group in GROUPS)
    project = _project(found)
    if not points and project is None:
        return None
    return attrs.evolve(_facts_of(found), entry_points=points, project=project)


def _facts_of(found: Distribution) -> DistributionFacts:
    metadata = found.metadata
    facts = {key: metadata[key] for key in ("Name", "Version") if key in metadata}
    place = str(getattr(found, "_path", None) or found.locate_file(""))
    return DistributionFacts(
        name=facts.get("Name", "(no name)"),
        version=facts.get("Version", "(no version)"),
        place=os.path.realpath(place),
    )


def look_at_groups() -> list[GroupFacts]:
    """The groups of entry points that look like ours and are none, with where they stand."""
    ours = (*GROUPS, "penstock.dialects")
    return [
        GroupFacts(group, meant, facts.name, os.path.join(facts.place, "entry_points.txt"))
        for each in distributions()
        for group in sorted({point.group for point in each.entry_points} - set(ours))
        if group.startswith("penstock") and (meant := probably_meant(group, ours)) is not None
        for facts in (_facts_of(each),)
    ]


def _project(found: Distribution) -> ProjectFacts | None:
    """The project of an editable install, as PEP 610 says where it is; `None` for any other."""
    try:
        read = found.read_text  # which is always UTF-8
        says = json.loads(read("direct_url.json") or "{}")
        url = urlsplit(says["url"])
        if url.scheme != "file" or not says["dir_info"]["editable"]:
            return None
    except (ValueError, KeyError, TypeError, OSError):
        return None
    folder = unquote(url.path)
    file = Path(folder, "pyproject.toml")
    try:
        text = file.read_text(encoding="utf-8")
        return _declared(folder, file, text)
    except OSError as error:
        return ProjectFacts(folder=folder, file=str(file), problem=f"cannot be read: {error.strerror or error}")
    except (tomllib.TOMLDecodeError, ValueError) as error:
        return ProjectFacts(folder=folder, file=str(file), problem=f"is no TOML: {error}")


def _declared(folder: str, file: Path, text: str) -> ProjectFacts:
    project = tomllib.loads(text).get("project", {})
    if not isinstance(project, Mapping):
        project = {}
    dynamic = project.get("dynamic", ())
    groups = project.get("entry-points", {})
    points = None
    if isinstance(groups, Mapping) and project and "entry-points" not in dynamic:
        points = frozenset(
            (group, str(name), str(value))
            for group in GROUPS
            if isinstance(groups.get(group), Mapping)
            for name, value in groups[group].items()
        )
    stated = project.get("version")
    return ProjectFacts(
        folder=folder,
        file=str(file),
        text=text,
        version=stated if isinstance(stated, str) else None,
        entry_points=points,
    )


def look_at_paths(paths: Mapping[PathParts, Path]) -> Iterator[PathFacts]:
    """What is there at each path, or in its place the folder that it would be made in."""
    for key, path in paths.items():
        there = path if exists(path) else path.parent
        try:
            found = there.stat()
        except OSError:
            yield PathFacts(key=key, path=path, exists=False, mode=None, writable=False, own=False)
            continue
        own = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
        writable = os.access(there, os.W_OK)
        mode = stat.S_IMODE(found.st_mode)
        yield PathFacts(key=key, path=path, exists=there == path, mode=mode, writable=writable, own=own)


def look_at_key_files(files: Mapping[PathParts, Path]) -> Iterator[KeyFileFacts]:
    """The files of keys that are there, with their modes."""
    for key, path in files.items():
        try:
            found = path.stat()
        except OSError:
            continue  # whoever reads it says so
        own = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
        yield KeyFileFacts(key, path, stat.S_IMODE(found.st_mode), own)


def look_at_sockets() -> list[Finding]:
    """What is wrong where runs answer; nothing is removed."""
    if not hasattr(socket, "AF_UNIX"):
        return []
    found = trio.run(lambda: find_runs(remove_dead=False))
    return list(socket_findings(found.dead, found.notes, dict(_open_folders())))


def _open_folders() -> Iterator[tuple[Path, int]]:
    for folder in possible_folders():
        try:
            found = folder.lstat()
        except OSError:
            continue
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and found.st_mode & 0o077:
            yield folder, stat.S_IMODE(found.st_mode)


def open_files_limit() -> int | None:
    """How many files this process may have open; `None` where that is not limited, or not known."""
    if sys.platform == "win32":
        return None
    import resource  # there is none on Windows

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def carry_out(fix: Chmod | RemoveSockets) -> str | None:
    """Do what `--fix` does. Returns why it could not be done, `None` if it was."""
    try:
        if isinstance(fix, Chmod):
            fix.path.chmod(fix.mode, follow_symlinks=not fix.path.is_symlink())
        else:
            with socket_folder(fix.folder) as folder:
                for name in fix.names:
                    folder.remove(name)
    except (OSError, NotImplementedError) as error:
        return str(error)
    return None
