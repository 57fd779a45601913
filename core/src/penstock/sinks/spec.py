"""The mode in which a sink plugin takes its events, and its hooks as the plugin manager found them: the seam
between plugins and `drivers.py`.

An `inline` sink is called in the loop, so it may touch memory only and must take microseconds. A `buffered`
sink has a writer thread of its own. What a full buffer does is the sink's to say: `drop` (counted, and reported
by a gap record) or `wait` (dispatch pauses between rounds), for a record that must be complete.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import attrs

from penstock.events.records import REQUEST_EVENT_KINDS, SCHEDULER_EVENT_KINDS, RuntimeEvent
from penstock.words.errors import ConfigError

__all__ = ["SinkBinding", "SinkSpec", "take_many_of"]


@attrs.frozen(kw_only=True)
class SinkSpec:
    """A sink plugin's class attribute `sink`; a plugin without one is `inline`.

    `buffer` is in events, at least 1. `kinds` are the kinds of events that it wants, of either stream; `None`: all. Of
    kinds that no sink wants no event is built. Raises `ConfigError` for a mode, an `on_full` or a kind that does not
    exist.
    """

    mode: Literal["inline", "buffered"] = "inline"
    on_full: Literal["drop", "wait"] = "drop"
    buffer: int = 10_000
    kinds: frozenset[str] | None = None

    def __attrs_post_init__(self) -> None:
        if self.mode not in ("inline", "buffered"):
            raise ConfigError(f"a sink's mode must be 'inline' or 'buffered', not {self.mode!r}")
        if self.on_full not in ("drop", "wait"):
            raise ConfigError(f"a sink's on_full must be 'drop' or 'wait', not {self.on_full!r}")
        if type(self.buffer) is not int or self.buffer < 1:
            raise ConfigError(f"a sink's buffer must be a whole number from 1 on, not {self.buffer!r}")
        known = SCHEDULER_EVENT_KINDS | REQUEST_EVENT_KINDS
        kinds: object = self.kinds
        if kinds is not None and not (isinstance(kinds, frozenset) and kinds <= known):
            raise ConfigError(f"a sink's kinds must be a frozenset of event kinds, not {kinds!r}")


@attrs.frozen(kw_only=True)
class SinkBinding:
    """One active sink: the plugin's name, how it wants its events, and the calls that take them (`None`:
    not that stream).

    `take_many` is given the events of those streams in the place of these calls, many at once; `None` if the plugin
    takes them one by one. `flush` is called when everything was handed over and should be on its way; `None` if it
    keeps nothing back.
    """

    name: str
    spec: SinkSpec = SinkSpec()
    scheduler_event: Callable[[RuntimeEvent], None] | None = None
    request_event: Callable[[RuntimeEvent], None] | None = None
    take_many: Callable[[Sequence[RuntimeEvent]], None] | None = None
    flush: Callable[[], None] | None = None


def take_many_of(plugin: object) -> Callable[[Sequence[RuntimeEvent]], None] | None:
    """A plugin's `take_many`; `None` if it has none, or its class one that it inherits together with hooks that it has
    made otherwise: they would be passed over.
    """
    for kind in type(plugin).__mro__:
        if "take_many" in vars(kind):
            break
        if not {"penstock_scheduler_event", "penstock_request_event"}.isdisjoint(vars(kind)):
            return None
    found: object = getattr(plugin, "take_many", None)
    return found if callable(found) else None
