"""The correlation of a request with the task that makes it.

The scheduler sets a `RuntimeCorrelation` in a context variable before it spawns a worker; trio copies the
context into child tasks, so every request made below carries it by itself. Code that leaves the
context (another thread, a callback) takes `current_correlation()` along and passes it on explicitly.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from contextvars import ContextVar, Token
from typing import Any, Final, Self, final

import attrs

from penstock.words.checks import a_name
from penstock.words.read_only import draft_of, new, read_only, writer

__all__ = ["RuntimeCorrelation", "current_correlation"]


@final
@read_only
@attrs.frozen(slots=True)
class RuntimeCorrelation:
    """The names under which the events of one task can be joined. All optional but the run.

    `task_group`, `labels` and `task_id` are in no event: the first two are what the calls of the task have of it, if
    they do not say otherwise; the last is the same for all tries of a task.
    """

    run_id: str
    row_group: str | None = None
    task_column: str | None = None
    task_type: str | None = None
    scheduling_group_kind: str | None = None
    scheduling_group_identity_hash: str | None = None
    task_execution_id: str | None = None
    task_group: Hashable = attrs.field(default=None, kw_only=True, repr=False, eq=False)
    labels: Mapping[str, str] | None = attrs.field(default=None, kw_only=True, repr=False, eq=False)
    task_id: str | None = attrs.field(default=None, kw_only=True, repr=False, eq=False)
    as_json: str | None = attrs.field(default=None, init=False, repr=False, eq=False)
    """How `event_to_json` wrote it, since several events bear the same one: a seventh of a task with its events."""

    def __new__(
        cls,
        run_id: str,
        row_group: str | None = None,
        task_column: str | None = None,
        task_type: str | None = None,
        scheduling_group_kind: str | None = None,
        scheduling_group_identity_hash: str | None = None,
        task_execution_id: str | None = None,
        *,
        task_group: Hashable = None,
        labels: Mapping[str, str] | None = None,
        task_id: str | None = None,
    ) -> Self:
        made: Any = new(_draft)
        made.run_id = run_id
        made.row_group = row_group
        made.task_column = task_column
        made.task_type = task_type
        made.scheduling_group_kind = scheduling_group_kind
        made.scheduling_group_identity_hash = scheduling_group_identity_hash
        made.task_execution_id = task_execution_id
        made.task_group = task_group
        made.labels = labels
        made.task_id = task_id
        made.as_json = None
        made.__class__ = cls
        return made  # type: ignore[no-any-return]

    def check(self) -> None:
        """Raises `ConfigError` unless its names are text."""
        for name in NAMES:
            word = getattr(self, name)
            if word is not None and type(word) is not str:
                a_name(word, f"{name} of a correlation")


_draft: Final = draft_of(RuntimeCorrelation)
keep_json: Final[Callable[[RuntimeCorrelation, str], None]] = writer(RuntimeCorrelation, "as_json")
"""For who wrote it."""

NAMES: Final = tuple(field.name for field in attrs.fields(RuntimeCorrelation) if field.eq)
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


def set_correlation(correlation: CorrelationSource) -> Token[CorrelationSource]:
    """Make `correlation` the current one; give the token to `reset_correlation` to undo it."""
    return _current.set(correlation)


def reset_correlation(token: Token[CorrelationSource]) -> None:
    """Undo `set_correlation`."""
    _current.reset(token)
