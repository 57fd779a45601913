"""What is wrong with what is installed, decided from what was looked at: distributions, projects, plugins."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

import attrs

from penstock.cli.doctor.findings import Finding, edit
from penstock.cli.doctor.guard import Left, Printed
from penstock.cli.doctor.key_lines import line_of
from penstock.plugins.discovery import PLUGIN_GROUP, NameClash

__all__ = [
    "DistributionFacts",
    "GroupFacts",
    "PluginFacts",
    "ProjectFacts",
    "clash_findings",
    "distribution_findings",
    "group_findings",
    "plugin_findings",
    "printed_findings",
    "reinstall",
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
    """What is wrong with an installed plugin, `None` if nothing was seen; `file` and `line` are where it is so, and
    `declared` where the plugin stands in the metadata. `needs_newer` is the distribution of which a newer release would
    mend it, where that is known; `printed` what it printed and left behind.and left behind.
    """

    name: str
    distribution: str
    problem: str | None
    file: str = ""
    line: int | None = None
    declared: tuple[str, int | None] = ("", None)
    needs_newer: str | None = None
    printed: tuple[Printed | Left, ...] = ()
    source: str = ""
    """The file of its module, where that is known."""


@attrs.frozen
class GroupFacts:
    """A group of entry points that is none of ours, the one that was probably meant, and the metadata it stands in."""

    group: str
    meant: str
    distribution: str
    file: str


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


def clash_findings(clashes: Iterable[NameClash], found: Iterable[DistributionFacts]) -> Iterator[Finding]:
    """Names that several distributions claim, at the metadata of the second of them."""
    places = {each.name: each.place for each in found}
    for clash in clashes:
        others = [claim.rpartition(" ")[0] for claim in clash.claimed_by[1:]]
        mend = f"pip uninstall {' '.join(map(shlex.quote, others))}"
        yield Finding(kind="clash", cause=str(clash), mend=mend, file=places.get(others[0], ""))


def group_findings(groups: Iterable[GroupFacts]) -> Iterator[Finding]:
    """Entry points that nobody looks for, since their group is misspelt."""
    for each in groups:
        cause = f"{each.distribution}: nobody looks for the entry points {each.group}; did you mean {each.meant!r}?"
        yield Finding(kind="group", cause=cause, mend=edit(each.file), file=each.file)


def plugin_findings(plugins: Iterable[PluginFacts], found: Iterable[DistributionFacts]) -> Iterator[Finding]:
    """Plugins that cannot be imported, or that break the contract. Who works on one mends it in its source; of any
    other there may be a better release."""
    projects = {each.name: each.project for each in found if each.project is not None}
    for plugin in plugins:
        whose = f"plugin {plugin.name!r} of {plugin.distribution}"
        yield from printed_findings(plugin.printed, whose, plugin.source or plugin.declared[0])
        if plugin.problem is None:
            continue
        project = projects.get(plugin.distribution)
        file, line = plugin.file, plugin.line
        if not file and project is not None:
            file, line = project.file, line_of(project.text, ("project", "entry-points", PLUGIN_GROUP, plugin.name))
        elif not file:
            file, line = plugin.declared
        if plugin.needs_newer is not None:
            mend = f"pip install --upgrade {shlex.quote(plugin.needs_newer)}"
        elif project is not None:
            mend = edit(file, line)
        else:
            mend = reinstall(plugin.distribution)
        yield Finding(kind="plugin", cause=f"{whose}: {plugin.problem}", mend=mend, file=file, line=line)


def reinstall(distribution: str) -> str:
    """The command that puts the newest release of a distribution in the place of a broken one, with what it needs."""
    return f"pip install --upgrade --force-reinstall {shlex.quote(distribution)}"


def printed_findings(kept: Iterable[Printed | Left], whose: str, source: str) -> Iterator[Finding]:
    """What code printed while it was imported or made, once for each line of it, and what it left behind; `source` is
    the file to look at for the latter."""
    kept = tuple(kept)
    for left in dict.fromkeys(each for each in kept if isinstance(each, Left)):
        cause = f"{whose} {left.what}, while it is imported or made"
        yield Finding(kind="leaves", cause=cause, mend=edit(source), file=source)
    for each in {(one.file, one.line): one for one in kept if isinstance(one, Printed)}.values():
        cause = f"{whose} prints while it is imported or made, which spoils what programs read of us: {each.text!r}"
        yield Finding(kind="prints", cause=cause, mend=edit(each.file, each.line), file=each.file, line=each.line)
