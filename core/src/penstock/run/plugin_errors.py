"""The one path of what plugins raise in a run: a log line, an event, and figures for health, report and `explain`.

The log gets the traceback, once for each place in a plugin's code, and again every ten minutes while it goes on. The
event goes into the stream of the gate where it happened, at most once a second for each plugin there; it says which
plugin, which hook, which place and how often, and nothing of what the exception says: that may hold prompts or secrets.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from threading import get_ident
from types import TracebackType
from typing import Final

import trio

from penstock.events.correlation import RuntimeCorrelation
from penstock.events.records import EventStream, StreamName
from penstock.words.plugin_failures import PluginFailure, PluginFailures, place_of, traceback_of

__all__ = ["PluginErrors"]

LOG_INTERVAL: Final = 600.0
"""Seconds after which the same place is logged again."""

EVENT_INTERVAL: Final = 1.0
"""Seconds after which a plugin's errors are recorded again in the same stream."""

_log: Final = logging.getLogger("penstock.plugins")


class PluginErrors:
    """What the plugins of one run raise. `report` may be called in any thread and never raises; before the run is
    `opened` only factories are called, and what they raise is raised besides: that is all that is said of it.
    """

    def __init__(self, streams: Mapping[StreamName, EventStream], run_id: str) -> None:
        self._streams = streams
        self._run_id = run_id
        self._found = PluginFailures()
        self._logged: dict[tuple[str, str, str], float] = {}
        self._recorded: dict[tuple[str, str], float] = {}
        self._token: trio.lowlevel.TrioToken | None = None
        self._clock: trio.abc.Clock
        self._thread = 0

    def opened(self) -> None:
        """The run begins, in this thread."""
        self._clock, self._thread = trio.lowlevel.current_clock(), get_ident()
        self._token = trio.lowlevel.current_trio_token()

    @property
    def failures(self) -> tuple[PluginFailure, ...]:
        """What was raised so far: one record for each plugin, hook and place."""
        return tuple(self._found)

    @property
    def counts(self) -> Mapping[str, int]:
        """Plugin to how often it raised."""
        return self._found.by_plugin()

    def report(self, plugin: str, hook: str, error: BaseException, asked: object = None, /) -> None:
        """The report of an exception that a plugin raised in `hook` (`OnPluginFailure`)."""
        if self._token is None:
            return
        if get_ident() == self._thread:
            self._report(plugin, hook, error, asked)
            return
        try:
            self._token.run_sync_soon(self._report, plugin, hook, error, asked)
        except trio.RunFinishedError:
            _log.error("plugin %r raised in %s, after the run", plugin, hook, exc_info=_raised(error))

    def _report(self, plugin: str, hook: str, error: BaseException, asked: object) -> None:
        now = self._clock.current_time()
        failure = self._found.add(plugin, hook, place_of(error, asked), now)
        at = (plugin, hook, failure.place)
        if now >= self._logged.get(at, -LOG_INTERVAL) + LOG_INTERVAL or failure.count == 1:
            self._logged[at] = now
            said = "plugin %r raised in %s at %s (%d so far)"
            _log.error(said, plugin, hook, failure.place, failure.count, exc_info=_raised(error))
        stream = self._streams[failure.gate]
        last = self._recorded.get((plugin, failure.gate))
        if stream.active and (last is None or now >= last + EVENT_INTERVAL):
            self._recorded[plugin, failure.gate] = now
            stream.record(
                "plugin_error",
                now,
                correlation=RuntimeCorrelation(self._run_id),
                diagnostics={"plugin": plugin, "hook": hook, "place": failure.place, "count": failure.count},
            )
            assert self._token is not None
            # Not at once: this may be the middle of a decision, and events record what is complete.
            self._token.run_sync_soon(stream.deliver, idempotent=True)


def _raised(error: BaseException) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    """An error for the log, which would ask it for its class and its traceback."""
    return type(error), error, traceback_of(error)
