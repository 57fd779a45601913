"""What is wrong with what is installed, decided from what was looked at: distributions, projects, plugins."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

import attrs

from penstock.cli.doctor.findings import Finding, edit
from penstock.cli.doctor.key_lines import line_of
from penstock.plugins.discovery import NameClash

__all__ = [
    "DistributionFacts",
    "PluginFacts",
    "ProjectFacts",
    "clash_findings",
    "distribution_findings",
    "plugin_findings",
]

EntryPoints = frozenset[tuple[str, str, str]]
"""Entry points as group, name and object, of the groups of plugins, of commands and of the contract."""


@attrs.frozen(kw_only=True)
class ProjectFacts:
    """The project of an editable install: its folder, and of its `pyproject.toml` the text, the version if it states
    one, and the entry points, `None` if they are made while it is built. `problem` is why it could not be read.
    """

    folder: str
    file: str
    text: str = ""
    version: str | None = None
    entry_points: EntryPoints | None = None
    problem: str | None = None


@attrs.frozen(kw_only=True)
class DistributionFacts:
    """An installed distribution, as its metadata in the folder `place` says it; `project` if it is editable."""

    name: str
    version: str
    place: str
    entry_points: EntryPoints = frozenset()
    project: ProjectFacts | None = None


@attrs.frozen(kw_only=True)
class PluginFacts:
    """What is wrong with an installed plugin, `None` if nothing was seen; `file` and `line` are where it raised."""

    name: str
    distribution: str
    problem: str | None
    file: str = ""
    line: int | None = None


def distribution_findings(found: Iterable[DistributionFacts]) -> Iterator[Finding]:
    """Distributions that are there twice, and editable installs whose metadata is not what their project says."""
    by_name: dict[str, list[DistributionFacts]] = {}
    for each in found:
        by_name.setdefault(each.name.lower().replace("_", "-").replace(".", "-"), []).append(each)
    for copies in by_name.values():
        first, *others = copies
        if others and any(each.entry_points for each in copies):
            places = " and ".join(f"{each.version} in {each.place}" for each in copies)
            yield Finding(
                kind="twice",
                cause=f"{first.name} is installed {len(copies)} times, {places}; the first one counts",
                mend=f"pip uninstall {shlex.quote(first.name)}  # once for each, then install the one you want",
                file=others[0].place,
            )
        if first.project is not None:
            yield from _stale(first, first.project)


def _stale(installed: DistributionFacts, project: ProjectFacts) -> Iterator[Finding]:
    again = f"pip install -e {shlex.quote(project.folder)}"
    if project.problem is not None:
        if installed.entry_points:
            what = f"{installed.name} {installed.version} is installed from {project.folder}, whose pyproject.toml"
            mend = f"pip uninstall {shlex.quote(installed.name)}"
            yield Finding(kind="stale", cause=f"{what} {project.problem}", mend=mend, file=project.file)
        return
    declared = project.entry_points
    if declared is None or not (declared or installed.entry_points):
        return
    for group, name, value in sorted(declared - installed.entry_points):
        table = ("project", "entry-points", group, name)
        yield Finding(
            kind="stale",
            cause=f"{installed.name}: {name} = {value!r} of {group} is in its project, not in what is installed",
            mend=again,
            file=project.file,
            line=line_of(project.text, table),
        )
    known = {(group, name) for group, name, _ in declared}
    for group, name, value in sorted(installed.entry_points - declared):
        if (group, name) not in known:
            what = f"{installed.name}: {name} = {value!r} of {group} is installed, and no longer in its project"
            yield Finding(kind="stale", cause=what, mend=again, file=project.file)
    if project.version not in (None, installed.version):
        yield Finding(
            kind="stale",
            cause=f"{installed.name} is installed as {installed.version}, and its project is {project.version}",
            mend=again,
            file=project.file,
            line=line_of(project.text, ("project", "version")),
        )


def clash_findings(clashes: Iterable[NameClash]) -> Iterator[Finding]:
    """Names that several distributions claim."""
    for clash in clashes:
        others = (shlex.quote(claim.rpartition(" ")[0]) for claim in clash.claimed_by[1:])
        yield Finding(kind="clash", cause=str(clash), mend=f"pip uninstall {' '.join(others)}")


def plugin_findings(plugins: Iterable[PluginFacts], found: Iterable[DistributionFacts]) -> Iterator[Finding]:
    """Plugins that cannot be imported, or that break the contract. Who works on one mends it in its source; of any
    other there may be a better release."""
    editable = {each.name for each in found if each.project is not None}
    for plugin in plugins:
        if plugin.problem is None:
            continue
        again = f"pip install --upgrade --force-reinstall {shlex.quote(plugin.distribution)}"
        own = plugin.distribution in editable and plugin.file
        yield Finding(
            kind="plugin",
            cause=f"plugin {plugin.name!r} of {plugin.distribution}: {plugin.problem}",
            mend=edit(plugin.file, plugin.line) if own else again,
            file=plugin.file,
            line=plugin.line,
        )
