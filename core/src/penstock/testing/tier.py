"""The tier that a plugin has earned, worked out while its tests run, and written into its `pyproject.toml`:

    python -m pytest -p penstock.testing.tier --penstock-tier pyproject.toml

What counts are the tests below the folder of that file: suites that are whole, of which nothing was left out, skipped
or failed. Which suites there must be follows from the hooks that the plugin has; where a distribution has several
plugins with one hook, a suite says by a class attribute, `plugin = "name"`, whose it is. Nothing but the entry points
of the group `penstock.tier` is changed in the file, and nothing at all where a suite was left out of the run, since
that says neither one thing nor the other.

It needs tomlkit, which the extra `penstock-core[testing]` brings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, version
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import tomlkit
from tomlkit.exceptions import ParseError

from penstock.plugins.discovery import PLUGIN_GROUP, EntryPointOwner
from penstock.plugins.hook_checks import check_hooks, hooks_of
from penstock.plugins.loading import LoadedPlugin, config_class, import_plugin
from penstock.plugins.tiers import TIER_GROUP, Tier, TierName, source_digest
from penstock.testing.contracts.limiter import RequestLimiterContract
from penstock.testing.contracts.limiter_scenarios import RequestLimiterScenarios
from penstock.testing.contracts.ready_queue import ReadyQueueContract
from penstock.testing.contracts.request_rule import RequestRuleContract
from penstock.testing.contracts.sink import SinkContract
from penstock.testing.contracts.task_policy import TaskPolicyContract
from penstock.testing.contracts.task_rule import TaskRuleContract
from penstock.testing.contracts.task_runner import TaskRunnerContract
from penstock.testing.contracts.waiters import RequestWaiterQueueContract
from penstock.words.errors import PluginError

__all__ = ["SUITES"]

SUITES: Final[Mapping[str, type[Any]]] = {
    "penstock_ready_queue": ReadyQueueContract,
    "penstock_task_policy": TaskPolicyContract,
    "penstock_task_eligible": TaskRuleContract,
    "penstock_request_limiter": RequestLimiterContract,
    "penstock_request_eligible": RequestRuleContract,
    "penstock_request_waiters": RequestWaiterQueueContract,
    "penstock_task_runner": TaskRunnerContract,
    "penstock_scheduler_event": SinkContract,
    "penstock_request_event": SinkContract,
}
"""The suite of each hook that has one."""

SCENARIOS: Final[Mapping[str, type[Any]]] = {"penstock_request_limiter": RequestLimiterScenarios}
"""The scenarios of each hook that has some."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--penstock-tier",
        metavar="PYPROJECT",
        type=Path,
        help="write the tier that the plugins of this pyproject.toml earn in this run into it",
    )


def pytest_configure(config: pytest.Config) -> None:
    file: Path | None = config.getoption("--penstock-tier")
    if file is None:
        return
    if getattr(config.option, "numprocesses", None) or hasattr(config, "workerinput"):
        raise pytest.UsageError("--penstock-tier must see all tests itself: run without -n")
    config.pluginmanager.register(Earning(_Project(file)), "penstock-tier")


class _Project:
    """The `pyproject.toml` of plugins. Raises `UsageError` for a file that is none."""

    def __init__(self, file: Path) -> None:
        self.file = file.resolve()
        try:
            self.text = self.file.read_text(encoding="utf-8")
            self.tables = tomlkit.parse(self.text)
            self._project: Any = self.tables["project"]
            self._groups: Any = self._project["entry-points"]
            found: Any = self._groups[PLUGIN_GROUP]
            self.plugins = {str(name): str(value) for name, value in found.items()}
        except OSError as error:
            raise pytest.UsageError(f"--penstock-tier: {file} cannot be read: {error.strerror or error}") from None
        except (ParseError, UnicodeDecodeError) as error:
            raise pytest.UsageError(f"--penstock-tier: {file} is no TOML: {error}") from None
        except (KeyError, AttributeError, TypeError):
            raise pytest.UsageError(
                f'--penstock-tier: {file} has no [project.entry-points."{PLUGIN_GROUP}"], so no plugin to judge'
            ) from None

    def owner(self, name: str) -> EntryPointOwner:
        entry = EntryPoint(name=name, value=self.plugins[name], group=PLUGIN_GROUP)
        return EntryPointOwner(name, str(self._project.get("name", "")), str(self._project.get("version", "")), entry)

    def write(self, tiers: Mapping[str, Tier | None]) -> None:
        """Put tiers into the file, or take them out; nothing else in it is changed."""
        table = self._groups.get(TIER_GROUP)
        if table is None:
            table = tomlkit.table()
        for name, tier in tiers.items():
            if tier is not None:
                table[name] = tier.written
            elif name in table:
                del table[name]
        if not table:
            self._groups.pop(TIER_GROUP, None)
        elif TIER_GROUP not in self._groups:
            table.add(tomlkit.nl())
            self._groups[TIER_GROUP] = table
        written = tomlkit.dumps(self.tables)
        if written != self.text:
            self.file.write_text(written, encoding="utf-8")


@attrs.define
class _Suite:
    """A suite in a test file: whose it is, and which of its tests are to come, were passed, and were not."""

    cls: type[Any]
    wanted: frozenset[str]
    passed: set[str] = attrs.field(factory=set)
    failed: set[str] = attrs.field(factory=set)

    @property
    def whole(self) -> bool:
        return not self.failed and self.wanted <= self.passed

    @property
    def name(self) -> str:
        return self.cls.__name__


class Earning:
    """A run of tests that earns tiers."""

    def __init__(self, project: _Project) -> None:
        self._project = project
        self._suites: dict[type[Any], _Suite] = {}
        self._tests: dict[str, tuple[_Suite, str]] = {}
        self._told: list[str] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note the suites of the project, and which tests are theirs."""
        for item in session.items:
            cls = getattr(item, "cls", None)
            if cls is None or not item.path.is_relative_to(self._project.file.parent):
                continue
            if issubclass(cls, (*SUITES.values(), *SCENARIOS.values())):
                suite = self._suites.setdefault(cls, _Suite(cls, _tests_of(cls)))
                self._tests[item.nodeid] = suite, getattr(item, "originalname", item.name)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a test of a suite went; one that was skipped has not been passed."""
        suite, name = self._tests.get(report.nodeid, (None, ""))
        if suite is None:
            return
        if report.outcome == "failed":
            suite.failed.add(name)
        elif report.when == "call" and report.outcome == "passed":
            suite.passed.add(name)

    def pytest_sessionfinish(self) -> None:
        """Work the tiers out, and write them."""
        tiers: dict[str, Tier | None] = {}
        core = version("penstock-core").partition("+")[0]
        for name in self._project.plugins:
            try:
                tier = self._earned(name)
            except _Undecided as error:
                self._told.append(f"{name}: no word on it, {error}")
                continue
            digest = source_digest(self._project.owner(name).module)
            if tier is None or digest is None:
                tiers[name] = None
                continue
            tiers[name] = made = Tier(tier, core, digest)
            self._told.append(f"{name}: {made}")
        self._project.write(tiers)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Tell what each plugin has earned, and why not more."""
        terminalreporter.section("tiers of plugins")
        for line in self._told:
            terminalreporter.write_line(line)

    def _earned(self, name: str) -> TierName | None:
        """The tier of a plugin, `None` if it has not even the lowest. Raises `_Undecided`."""
        try:
            loaded = import_plugin(self._project.owner(name))
            if wrong := check_hooks(loaded.target):
                raise PluginError(name, "; ".join(wrong))
            config_class(loaded)
        except PluginError as error:
            self._told.append(f"{name}: none, {error.message}")
            return None
        if not _typed(loaded):
            self._told.append(f"{name}: none, its package is not typed: put a file py.typed into it")
            return None
        if not self._passed(loaded, SUITES):
            return "loads"
        return "proven" if self._passed(loaded, SCENARIOS) else "lawful"

    def _passed(self, plugin: LoadedPlugin, suites: Mapping[str, type[Any]]) -> bool:
        """Whether each of the plugin's hooks that has a suite has it, and passed it; there must be one."""
        wanted = {hook: suites[hook] for hook in hooks_of(plugin.target) if hook in suites}
        for hook, kind in wanted.items():
            mine = list(self._suites_for(plugin.name, hook, kind))
            if not mine:
                self._told.append(f"{plugin.name}: {hook} has no test by {kind.__name__}")
                return False
            for suite in mine:
                if suite.failed:
                    self._told.append(f"{plugin.name}: {suite.name} failed at {', '.join(sorted(suite.failed))}")
                    return False
            for suite in mine:
                if not suite.whole:
                    left = ", ".join(sorted(suite.wanted - suite.passed))
                    raise _Undecided(f"since of {suite.name} these were not run, or skipped: {left}")
        return bool(wanted)

    def _suites_for(self, name: str, hook: str, kind: type[Any]) -> Iterator[_Suite]:
        rivals = [
            other
            for other in self._project.plugins
            if other != name and hook in hooks_of(import_plugin(self._project.owner(other)).target)
        ]
        for suite in self._suites.values():
            said = getattr(suite.cls, "plugin", None)
            if issubclass(suite.cls, kind) and (said == name or (said is None and not rivals)):
                yield suite


class _Undecided(Exception):
    """A run that says neither that a suite is passed nor that it is not."""


def _tests_of(cls: type[Any]) -> frozenset[str]:
    return frozenset(name for name in dir(cls) if name.startswith("test_") and callable(getattr(cls, name)))


def _typed(plugin: LoadedPlugin) -> bool:
    target = plugin.target
    module = getattr(target, "__module__", None) or getattr(target, "__name__", "")
    found = __import__(str(module).partition(".")[0])
    file = getattr(found, "__file__", None)
    return file is not None and Path(file).with_name("py.typed").is_file()
