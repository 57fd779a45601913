"""The correlation of a request with the task that makes it.

The scheduler sets a `RuntimeCorrelation` in a context variable before it spawns a worker; trio copies the
context into child tasks, so every request made below carries it by itself. Code that leaves the
context (another thread, a callback) takes `current_correlation()` along and passes it on explicitly.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token

import attrs

__all__ = ["RuntimeCorrelation", "current_correlation"]


@attrs.define(slots=True, unsafe_hash=True)
class RuntimeCorrelation:
    """The names under which the events of one task can be joined. All optional but the run. Never changed."""

    run_id: str
    row_group: str | None = None
    task_column: str | None = None
    task_type: str | None = None
    scheduling_group_kind: str | None = None
    scheduling_group_identity_hash: str | None = None
    task_execution_id: str | None = None
    as_json: str | None = attrs.field(default=None, init=False, repr=False, eq=False)
    """How `event_to_json` wrote it, since several events bear the same one: a seventh of a task with its events."""


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
