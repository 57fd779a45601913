"""The sink: both streams into one file, one event per line, in the order in which they were delivered.

A line is the event as `penstock.event_to_json` writes it: `stream`, `sequence` (strictly increasing within its stream),
`event_kind`, `captured_at_monotonic` (seconds of the run's clock), and whatever else applies. The format is JSON Lines
(jsonlines.org): UTF-8, and a line feed after every object. All lines of a batch are made at once, when it is written.

The record is complete: the sink is written in a thread of its own, and a run that is ahead of it waits. Lines go to
the operating system whole and together, when a batch is done, so that what was written survives a kill of the
process, and the file never ends in half a line that only this process knew the rest of. (A power cut may take the
last seconds: nothing is synced to the disk, since this is a record of what happened, not of what was paid for.)

A file that could not be written to is found when the plugin is configured, before anything runs.
"""

from __future__ import annotations

import errno
import io
import threading
from collections.abc import Sequence

from penstock import (
    ConfigError,
    PluginError,
    Problem,
    RuntimeEvent,
    SinkSpec,
    events_to_json_lines,
    hookimpl,
    opened_without_wait,
)
from penstock_jsonl.config import JsonlConfig, problem_with

__all__ = ["JsonlPlugin"]


class JsonlPlugin:
    """Writes the events of a run to a file, one JSON object per line.

    Raises `ConfigError` when it is made with a path that cannot be written to. `penstock_run_started` opens the file
    (`PluginError` if that fails after all), `flush` hands over what was taken, `penstock_run_finished` closes.
    """

    Config = JsonlConfig
    sink = SinkSpec(mode="buffered", on_full="wait")

    def __init__(self, config: JsonlConfig) -> None:
        if problem := problem_with(config.path):
            raise ConfigError(Problem(("plugins", "jsonl", "path"), problem))
        self._config = config
        self._file: io.FileIO | None = None
        self._events: list[RuntimeEvent] = []
        self._unwritten = b""
        self._writing = threading.Lock()

    @hookimpl
    def penstock_run_started(self) -> None:
        """Open the file."""
        self._close()
        try:
            self._file = io.FileIO(self._config.path, "ab" if self._config.append else "wb", opener=opened_without_wait)
        except OSError as error:
            why = "it is a pipe that nobody reads" if error.errno == errno.ENXIO else error.strerror
            raise PluginError("jsonl", f"cannot write to {self._config.path!r}: {why}") from error

    @hookimpl
    def penstock_scheduler_event(self, event: RuntimeEvent) -> None:
        """Take one event."""
        self.take_many((event,))

    penstock_request_event = penstock_scheduler_event

    def take_many(self, events: Sequence[RuntimeEvent]) -> None:
        """Take events: lines are made of many together, when they are written."""
        if self._file is None:
            raise PluginError("jsonl", f"{self._config.path!r} is not open: events come only while a run is on")
        self._events += events

    @hookimpl
    def penstock_run_finished(self) -> None:
        """Write what is left, and close the file."""
        self._close()

    def flush(self) -> None:
        """Hand the events taken so far to the operating system.

        Raises `OSError`; what was not written is kept. Raises `PluginError` for events that are no JSON, when the
        others are written.
        """
        with self._writing:
            self._write()

    def _write(self) -> None:
        problem = self._encode()
        self._hand_over()
        if problem is not None:
            raise PluginError("jsonl", f"left out an event: {problem}") from problem

    def _encode(self) -> Exception | None:
        """Make lines of the events, and leave out those of which no line can be made: why, of the last."""
        events, self._events = self._events, []
        problem: Exception | None = None
        try:
            self._unwritten += events_to_json_lines(events)
        except (TypeError, ValueError):
            for event in events:
                try:
                    self._unwritten += events_to_json_lines([event])
                except (TypeError, ValueError) as error:
                    problem = error
        return problem

    def _hand_over(self) -> None:
        while self._unwritten and self._file is not None:
            written = self._file.write(self._unwritten)
            self._unwritten = self._unwritten[written:]

    def _close(self) -> None:
        # Whoever still writes hangs, and was disabled for it: waiting here would hang the end of the run, too.
        if self._writing.acquire(blocking=False):
            try:
                self._write()
            finally:
                if self._file is not None:
                    self._file.close()
                self._file = None
                self._events.clear()
                self._unwritten = b""
                self._writing.release()
