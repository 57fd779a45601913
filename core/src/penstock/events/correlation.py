"""The correlation of a request with the task that makes it.

The scheduler sets a `RuntimeCorrelation` in a context variable before it spawns a worker; trio copies the
context into child tasks, so every request made below carries it by itself. Code that leaves the
context (another thread, a callback) takes `current_correlation()` along and passes it on explicitly.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from contextvars import ContextVar, Token
from typing import Any, ClassVar, Final, final

import msgspec

from penstock.words.checks import a_name
from penstock.words.read_only import read_only

__all__ = ["RuntimeCorrelation", "current_correlation"]


@final
@read_only
class RuntimeCorrelation(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """The names under which the events of one task can be joined. All optional but the run.

    `task_group`, `labels` and `task_id` are in no event, and of those that `of_task` made: the first two are what the
    calls of the task have of it, if they do not say otherwise; the last is the same for all tries of a task.
    """

    run_id: str
    row_group: str | None = None
    task_column: str | None = None
    task_type: str | None = None
    scheduling_group_kind: str | None = None
    scheduling_group_identity_hash: str | None = None
    task_execution_id: str | None = None
    # No fields, since all fields stand in events: those that have them have them in their dictionary.
    task_group: ClassVar[Hashable] = None
    labels: ClassVar[Mapping[str, str] | None] = None
    task_id: ClassVar[str | None] = None

    def of_task(self, task_id: str, group: Hashable, labels: Mapping[str, str] | None) -> RuntimeCorrelation:
        """The same one, which has just been made, as that of a task."""
        beside: dict[str, Any] = self.__dict__
        beside["task_id"], beside["task_group"] = task_id, group
        if labels is not None:
            beside["labels"] = labels
        return self

    def check(self) -> None:
        """Raises `ConfigError` unless its names are text."""
        for name in NAMES:
            word = getattr(self, name)
            if word is not None and type(word) is not str:
                a_name(word, f"{name} of a correlation")


NAMES: Final = RuntimeCorrelation.__struct_fields__
"""What of a correlation stands in events."""

CorrelationSource = RuntimeCorrelation | Callable[[], RuntimeCorrelation] | None
"""A correlation, or a function that makes it when it is asked for: for most tasks it never is."""

_current: ContextVar[CorrelationSource] = ContextVar("penstock_correlation", default=None)


def current_correlation() -> RuntimeCorrelation | None:
    """The correlation of the task that is running, or `None` outside a scheduler."""
    source = _current.get()
    if source is None or isinstance(source, RuntimeCorrelation):
        return source
    made = source()
    _current.set(made)
    return made


set_correlation: Final = _current.set
"""Make a correlation the current one; give the token to `reset_correlation` to undo it."""


def reset_correlation(token: Token[CorrelationSource]) -> None:
    """Undo `set_correlation`."""
    _current.reset(token)
