"""What plugins promise of a run, and what would break it: asked at the start, and of each plan to change the run.

A promise is about the whole: the configuration, who is asked for what, the runners. So it is checked against the whole,
and a run that would break one does not begin; a reconfiguration that would, changes nothing. Who has promised goes on
promising while the run goes on: another `Config`, or no plugin of that name, would take it away unsaid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import attrs

from penstock.config.reading import PenstockConfig
from penstock.words.checks import a_name, shown
from penstock.words.errors import ConfigError
from penstock.words.problems import Problem

__all__ = ["Promise", "Promises", "RunPlan"]


@attrs.frozen(kw_only=True)
class RunPlan:
    """What a run is to be, for a promise to look at.

    `config`   the whole configuration, as it would be
    `plugins`  every active plugin by name, with its `Config` (`None`: it has none)
    `asked`    key of `[plugins]` to the active plugins that are asked for it, in order
    `runners`  the names of all that may carry out tasks; the core's own is `nursery`
    `held`     resource to how much of it tasks hold now; nothing before the run has begun
    """

    config: PenstockConfig
    plugins: Mapping[str, Any]
    asked: Mapping[str, tuple[str, ...]]
    runners: tuple[str, ...]
    held: Mapping[str, int] = MappingProxyType({})


@attrs.frozen
class Promise:
    """What a plugin promises of a run: in words, and a check of what would break it.

    `text` is a sentence without its full stop, and the promise's name: it stays the same as long as the promise does.
    `check(plan)` gives a `Problem` for each thing that would break it, with its path from the top of the configuration,
    and what would be right; nothing if it holds. It is pure.
    """

    text: str = attrs.field()
    check: Callable[[RunPlan], Iterable[Problem] | None] = attrs.field()

    @text.validator
    def _says_something(self, _: attrs.Attribute[str], value: object) -> None:
        a_name(value, "the text of a promise")

    @check.validator
    def _can_be_asked(self, _: attrs.Attribute[Any], value: object) -> None:
        if not callable(value):
            raise ConfigError(f"check of a promise must be a function of a RunPlan, not {shown(value)}")


Promises = Mapping[str, tuple[Promise, ...]]
"""Plugin to what it promises."""
