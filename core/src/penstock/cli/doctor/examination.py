"""The examination: what there is to see, in the order in which it is told, as findings and as facts for the head."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from penstock.cli.doctor.configuration import (
    disabled_findings,
    file_findings,
    key_file_findings,
    key_files_of,
    key_findings,
    keys_of,
    open_files_findings,
    path_findings,
    problem_findings,
    written_paths,
)
from penstock.cli.doctor.findings import Finding
from penstock.cli.doctor.installation import (
    clash_findings,
    distribution_findings,
    group_findings,
    plugin_findings,
)
from penstock.cli.doctor.looking import (
    core_version,
    look_at_builds,
    look_at_distributions,
    look_at_groups,
    look_at_key_files,
    look_at_paths,
    look_at_sockets,
    open_files_limit,
)
from penstock.cli.doctor.plugin_facts import look_at_plugins
from penstock.cli.doctor.tiers import look_at_tiers, tier_findings
from penstock.cli.doctor.trying import Trial
from penstock.config.reading import PenstockConfig, load_config
from penstock.config.toml_reading import check_read_again, read_toml
from penstock.plugins.barring import Without
from penstock.plugins.discovery import installed
from penstock.plugins.file_checks import whose_file
from penstock.plugins.manager import PluginManager
from penstock.run.dry_run import dry_run
from penstock.words.errors import ConfigError, PenstockError

__all__ = ["Examination", "examine_file", "examine_installation"]


@attrs.frozen(kw_only=True)
class Examination:
    """What was seen: the versions, the plugins, what is compiled, the file with the variables of its keys that are set,
    and what is to be mended. `builds` says of each distribution of ours, and of plugins, `"pure"` or `"compiled"`, and
    `versions` which it is. `keys` are names; what they hold is never looked at but for being there.
    """

    python: str = platform.python_version()
    core: str | None = attrs.field(factory=core_version)
    plugins: Sequence[str] = ()
    builds: Mapping[str, str] = attrs.field(factory=dict)
    versions: Mapping[str, str] = attrs.field(factory=dict)
    file: str = ""
    owner: str | None = None
    active: Sequence[str] = ()
    keys: Sequence[str] = ()
    findings: Sequence[Finding] = ()

    def as_dict(self) -> dict[str, Any]:
        """The examination as plain data."""
        return attrs.asdict(self, recurse=False) | {"findings": [each.as_dict() for each in self.findings]}


def examine_installation(*, importing: bool) -> Examination:
    """What is installed, and where runs answer. With `importing`, every installed plugin is imported."""
    there = installed()
    distributions = look_at_distributions()
    core = core_version()
    findings = [
        *([] if core else [_core_is_not_installed()]),
        *clash_findings(there.clashes, distributions),
        *group_findings(look_at_groups()),
        *distribution_findings(distributions),
        *plugin_findings(look_at_plugins(there, importing=importing), distributions),
        *tier_findings(look_at_tiers(there), distributions, core),
        *look_at_sockets(),
    ]
    builds, versions = dict[str, str](), dict[str, str]()
    for name, (version, build) in look_at_builds().items():
        builds[name], versions[name] = build, version
    return Examination(core=core, plugins=tuple(there.plugins), builds=builds, versions=versions, findings=findings)


def _core_is_not_installed() -> Finding:
    what = "penstock is on Python's path without being installed, so no distribution can say that it needs it"
    return Finding(kind="core", cause=what, mend="pip install penstock-core")


def examine_file(seen: Examination, file: Path, plugins: tuple[Path | Without, ...]) -> Examination:
    """What was seen, with `file` beside it, and the `plugins` of the command line. Raises `ConfigError` if the file
    cannot be read, being none or no TOML."""
    check_read_again(file)
    tables = read_toml(file)
    text = file.read_text(encoding="utf-8-sig")
    there = installed()
    plugin_files = tuple(each for each in plugins if isinstance(each, Path))
    trial = Trial(file, text, there, look_at_distributions(), [*plugin_files])
    config: PenstockConfig | None = None
    owner, told = _owned(file, tables, plugins, trial)
    try:
        config = load_config(file, foreign_tables=True).config
    except ConfigError as error:
        trial.take(error)
    findings: list[Finding] = []
    active: tuple[str, ...] = ()
    keys: dict[Any, str] = {}
    set_ = {name for name, value in os.environ.items() if value}
    if config is not None:
        keys = keys_of(config)
        manager = _tried(config, plugins, trial)
        settings = {name: config.sections[name] for name in config.sections if name in _sinks(config, manager)}
        if manager is not None:
            active = manager.active
            settings = {name: manager.plugin(name).config for name in _sinks(config, manager)}
            of = {name: each.distribution for name, each in there.plugins.items()}
            findings += disabled_findings(manager.problems, of, file)
        paths = list(path_findings(look_at_paths(written_paths(config, settings)), file, text))
        known = {finding.line for finding in paths if finding.line is not None}
        findings += paths
        findings += key_findings(keys, set_, file, text)
        if owner is None:
            findings += open_files_findings(config, open_files_limit(), file, text)
    else:
        known = set()
    findings += key_file_findings(look_at_key_files(key_files_of(tables, file.parent)), file, text)
    of_problems = problem_findings(dict.fromkeys(trial.problems), file, text)
    of_problems = (each for each in of_problems if each.line is None or each.line not in known)
    findings = [*of_problems, *trial.findings(), *findings, *told]
    return attrs.evolve(
        seen,
        file=str(file),
        owner=owner,
        active=active,
        keys=tuple(dict.fromkeys(name for name in keys.values() if name in set_)),
        findings=(*findings, *seen.findings),
    )


def _owned(
    file: Path, tables: dict[str, Any], plugins: tuple[Path | Without, ...], trial: Trial
) -> tuple[str | None, list[Finding]]:
    """The plugin whose file it is, with what it says should be seen to; what is wrong is taken down."""
    files = tuple(each for each in plugins if isinstance(each, Path))
    left_out = tuple(each.name for each in plugins if isinstance(each, Without))
    whose = trial.attempt(partial(whose_file, left_out=left_out), file, tables, files, trial.there)
    if whose is None:
        return None, []
    for error in whose.unable:
        trial.take(error)
    if isinstance(whose.says, PenstockError):
        trial.take(whose.says)
    elif whose.says is not None and whose.owner is not None:
        return whose.owner, list(file_findings(whose.owner, whose.says.notes, file))
    return whose.owner, []


def _tried(config: PenstockConfig, plugins: tuple[Path | Without, ...], trial: Trial) -> PluginManager | None:
    """The plugins, made and their factories tried; what is wrong is taken down. `None` if they cannot be made."""
    trial.load_too(config)
    manager = trial.attempt(partial(PluginManager.from_config, extra=plugins), config)
    if manager is not None:
        trial.attempt(dry_run, config, manager)
    return manager


def _sinks(config: PenstockConfig, manager: PluginManager | None) -> tuple[str, ...]:
    """The sinks that are asked, as far as is known."""
    named = tuple(config.plugins.sinks or ())
    return named if manager is None else tuple(name for name in manager.chosen.asked["sinks"] if name in manager.active)
