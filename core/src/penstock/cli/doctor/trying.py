"""The plugins that a file uses, made and tried under guard; and of one that is broken, the line at which it is."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import attrs

from penstock.cli.doctor.findings import Finding, edit
from penstock.cli.doctor.guard import Left, Printed, guarded
from penstock.cli.doctor.installation import DistributionFacts, printed_findings, reinstall
from penstock.cli.doctor.key_lines import line_of
from penstock.cli.doctor.plugin_facts import place_of_error, place_of_hook
from penstock.config.reading import PenstockConfig
from penstock.plugins.discovery import Installed
from penstock.plugins.foreign_code import TookTooLong, foreign_code
from penstock.words.errors import ConfigError, PenstockError, PluginError
from penstock.words.problems import Problem

__all__ = ["Trial"]

T = TypeVar("T")


class _Unforeseen(PluginError):
    """What code of a plugin raised where nothing is expected of it; which plugin's, its place tells."""

    def __str__(self) -> str:
        return f"a plugin: {self.message}"


@attrs.define
class Trial:
    """What came of trying: the `problems` of the configuration, the plugins that are `broken`, and what was printed."""

    file: Path
    text: str
    there: Installed
    distributions: Iterable[DistributionFacts]
    loaded: list[Path]
    """The files of plugins that are loaded beside those that are installed."""
    problems: list[Problem] = attrs.field(factory=list)
    broken: list[Finding] = attrs.field(factory=list)
    printed: list[Printed | Left] = attrs.field(factory=list)

    def load_too(self, config: PenstockConfig) -> None:
        """Note the plugin files that the configuration names."""
        self.loaded += [config.folder / name for name in config.plugins.load]

    def attempt(self, do: Callable[..., T], *given: Any) -> T | None:
        """What `do` returns, under guard; `None` if it raised, which is taken down."""
        try:
            with (
                guarded(self.printed),
                foreign_code("", "code that it brings failed", made=_Unforeseen, passing=(PenstockError,)),
            ):
                return do(*given)
        except _Unforeseen as error:
            if not place_of_error(error.__cause__)[0] and error.__cause__ is not None:
                raise error.__cause__ from None  # nobody's fault but the core's own
            self.take(error)
        except PenstockError as error:
            self.take(error)
        except TookTooLong as error:
            file, line = place_of_error(error)
            where = file or str(self.file)
            cause = f"a plugin hangs while it is imported or made: {error}"
            self.broken.append(Finding(kind="hang", cause=cause, mend=edit(where, line), file=where, line=line))
        return None

    def take(self, error: PenstockError) -> None:
        """Take down what was raised."""
        if isinstance(error, ConfigError):
            self.problems += error.records
        elif isinstance(error, PluginError):
            self.broken.append(self._broken(error))
        else:
            self.problems.append(Problem((), str(error)))

    def findings(self) -> Iterator[Finding]:
        """What is wrong with the plugins, each once."""
        yield from dict.fromkeys(self.broken)
        yield from printed_findings(self.printed, f"what {self.file} uses", str(self.file))

    def _broken(self, error: PluginError) -> Finding:
        owner = self.there.plugins.get(error.plugin)
        source = next((path for path in self.loaded if path.stem == error.plugin), None)
        project = None
        if owner is not None and source is None:
            facts = {each.name: each.project for each in self.distributions}
            project = facts.get(owner.distribution)
        file, line = place_of_error(error.__cause__)
        if not file:
            file, line = next(
                filter(
                    lambda place: place[0], (place_of_hook(each, error.message) for each in self._parts(error.plugin))
                ),
                ("", None),
            )
        if not file and source is not None:
            file = str(source)
        if not file:
            file, line = str(self.file), self._line_that_names(error.plugin)
        mend = edit(file, line)
        if owner is not None and source is None and project is None:
            mend = reinstall(owner.distribution)
        return Finding(kind="configuration", cause=str(error), mend=mend, file=file, line=line)

    def _parts(self, plugin: str) -> Iterator[object]:
        """What a plugin's hooks may stand in: its module, and the classes in it."""
        owner = self.there.plugins.get(plugin)
        names = [f"penstock_loaded_{plugin}", *([owner.module] if owner is not None else [])]
        for module in filter(None, map(sys.modules.get, names)):
            assert isinstance(module, ModuleType)
            yield module
            yield from filter(inspect.isclass, vars(module).values())

    def _line_that_names(self, plugin: str) -> int | None:
        named = (number for number, line in enumerate(self.text.splitlines(), 1) if f'"{plugin}"' in line)
        return next(named, None) or line_of(self.text, ("plugins", plugin))
