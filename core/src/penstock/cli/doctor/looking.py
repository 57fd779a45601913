"""Looking: metadata, projects, plugins, files, sockets and limits of this machine, as facts. Decides nothing."""

from __future__ import annotations

import json
import os
import socket
import stat
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distributions, version
from pathlib import Path
from traceback import walk_tb
from typing import Final
from urllib.parse import unquote, urlsplit

import trio

from penstock.cli.doctor.configuration import PathFacts
from penstock.cli.doctor.findings import Chmod, Finding, RemoveSockets
from penstock.cli.doctor.installation import DistributionFacts, PluginFacts, ProjectFacts
from penstock.cli.doctor.sockets import socket_findings
from penstock.plugins.contract import CONTRACT_GROUP, misfit
from penstock.plugins.discovery import COMMAND_GROUP, PLUGIN_GROUP, EntryPointOwner, Installed
from penstock.plugins.hook_checks import check_hooks, implementations
from penstock.plugins.hookspecs import OF_COMMANDS
from penstock.plugins.loading import config_class, import_plugin, make_for_commands
from penstock.plugins.source_hooks import find_source, hooks_in_source
from penstock.run.explain_asking import find_runs
from penstock.run.socket_folder import possible_folders, socket_folder
from penstock.words.errors import PluginError
from penstock.words.problems import PathParts

__all__ = [
    "carry_out",
    "core_version",
    "look_at_distributions",
    "look_at_paths",
    "look_at_plugins",
    "look_at_sockets",
    "open_files_limit",
]

GROUPS: Final = (PLUGIN_GROUP, COMMAND_GROUP, CONTRACT_GROUP)


def core_version() -> str | None:
    """The version of the core, as its metadata says it; `None` if it is not installed, but only on the path."""
    try:
        return version("penstock-core")
    except PackageNotFoundError:
        return None


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
    metadata = found.metadata
    facts = {key: metadata[key] for key in ("Name", "Version") if key in metadata}
    place = str(getattr(found, "_path", None) or found.locate_file(""))
    return DistributionFacts(
        name=facts.get("Name", "(no name)"),
        version=facts.get("Version", "(no version)"),
        place=os.path.realpath(place),
        entry_points=points,
        project=project,
    )


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


def look_at_plugins(installed: Installed, *, importing: bool) -> list[PluginFacts]:
    """What is wrong with each installed plugin, as far as its source says; with `importing`, as it is imported."""
    return [_imported(owner) if importing else _on_disk(owner) for owner in installed.plugins.values()]


def _on_disk(owner: EntryPointOwner) -> PluginFacts:
    module, attribute = owner.entry_point.module, owner.entry_point.attr
    try:
        source = find_source(module)
    except ImportError as error:
        return PluginFacts(name=owner.name, distribution=owner.distribution, problem=f"cannot be imported: {error}")
    problem, line = None, None
    if source is not None:
        try:
            compile(source.read_bytes(), str(source), "exec", dont_inherit=True)
        except OSError as error:
            problem = f"cannot be read: {error.strerror or error}"
        except (SyntaxError, ValueError) as error:
            problem, line = f"is no Python: {error}", getattr(error, "lineno", None)
    if problem is None and hooks_in_source(module, attribute) == ():
        problem = "it has no hook; mark a function with @hookimpl (from penstock import hookimpl)"
    problem = misfit(owner.contract, owner.distribution) or problem
    return PluginFacts(
        name=owner.name,
        distribution=owner.distribution,
        problem=problem,
        file=str(source or "") if problem else "",
        line=line,
    )


def _imported(owner: EntryPointOwner) -> PluginFacts:
    try:
        loaded = import_plugin(owner)
        if wrong := check_hooks(loaded.target):
            raise PluginError(owner.name, "; ".join(wrong))
        config_class(loaded)
        if any(made.hook in OF_COMMANDS for made in implementations(loaded.target)):
            make_for_commands(loaded)
    except PluginError as error:
        file, line = _place(error.__cause__)
        return PluginFacts(
            name=owner.name, distribution=owner.distribution, problem=error.message, file=file, line=line
        )
    return PluginFacts(name=owner.name, distribution=owner.distribution, problem=None)


def _place(error: BaseException | None) -> tuple[str, int | None]:
    """The file and line that raised an error, where that is known."""
    if isinstance(error, SyntaxError) and error.filename:
        return error.filename, error.lineno
    frames = [] if error is None else list(walk_tb(error.__traceback__))
    for frame, line in reversed(frames):
        if not frame.f_code.co_filename.startswith("<"):
            return frame.f_code.co_filename, line
    return "", None


def look_at_paths(paths: Mapping[PathParts, Path]) -> Iterator[PathFacts]:
    """What is there at each path, or in its place the folder that it would be made in."""
    for key, path in paths.items():
        there = path if path.exists() else path.parent
        try:
            found = there.stat()
        except OSError:
            yield PathFacts(key=key, path=path, exists=False, mode=None, writable=False, own=False)
            continue
        own = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
        writable = os.access(there, os.W_OK)
        mode = stat.S_IMODE(found.st_mode)
        yield PathFacts(key=key, path=path, exists=there == path, mode=mode, writable=writable, own=own)


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
