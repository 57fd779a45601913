"""The bounded buffer between the loop and a buffered sink, and what becomes of events that find it full.

Events count from the moment they are put in until they have been written, also while the writer holds them, so a slow
sink cannot hold more than its bound. A sink that *drops* loses the newest events; the gap is reported by one record per
stream, an `events_dropped` event that bears the sequence number of the last event that it stands for: so sequences
still increase strictly, and a reader knows exactly what is missing. A sink that *waits* loses nothing: the maker of
events is asked to pause (`full`), finishes the decision that it is in, and goes on when half of the buffer is free.
Between those two moments the buffer may grow past its bound by the events of one round of decisions.

Lost alternatives: dropping the oldest needs no gap record at the end but hides how a trouble began;
blocking the loop inside `put` would stop every timer of the run, and with them the calls that are out.

Pure and without a lock: where two threads meet here their owner holds one, but for `put_if_free`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import repeat, starmap

import attrs

from penstock.events.records import RuntimeEvent, StreamName
from penstock.sinks.spec import SinkSpec
from penstock.words.read_only import fixed

__all__ = ["SinkBuffer"]


@attrs.define(slots=True)
class _Gap:
    """Events of one stream that were dropped in a row."""

    dropped: int
    first_sequence: int
    last: RuntimeEvent

    def record(self) -> RuntimeEvent:
        first, last = self.first_sequence, self.last.sequence
        return RuntimeEvent(
            stream=self.last.stream,
            event_kind="events_dropped",
            captured_at_monotonic=self.last.captured_at_monotonic,
            sequence=last,
            reason_or_outcome="buffer_full",
            diagnostics=fixed({"dropped": self.dropped, "first_sequence": first, "last_sequence": last}),
        )


class SinkBuffer:
    """The events that one sink has not written yet, oldest first."""

    def __init__(self, spec: SinkSpec) -> None:
        self.full = False
        """Whether makers of events should pause. Only a sink that waits asks for that."""
        self.dropped = 0
        """The number of events that were dropped so far."""
        self._spec = spec
        self._waiting: deque[RuntimeEvent] = deque()
        self._in_write = 0
        self._gaps: dict[StreamName, _Gap] = {}

    def __len__(self) -> int:
        """The number of events that are not written yet."""
        return len(self._waiting) + self._in_write

    @property
    def waiting(self) -> bool:
        """Whether there is anything to `take`."""
        return bool(self._waiting)

    def put_if_free(self, events: Sequence[RuntimeEvent]) -> int:
        """Append events if there is room for all and no gap to be recorded first; returns how many it holds then, or 0.

        It may be called while another thread takes and writes: it changes nothing but the end of the buffer.
        """
        held = len(self._waiting) + self._in_write + len(events)
        if self._gaps or held >= self._spec.buffer:
            return 0
        self._waiting.extend(events)
        return held

    def put(self, event: RuntimeEvent) -> None:
        """Append an event, or count it as dropped."""
        held = len(self._waiting) + self._in_write
        if held >= self._spec.buffer and self._spec.on_full == "drop":
            self._drop(event)
            return
        self._waiting.append(event)
        if held + 1 >= self._spec.buffer and self._spec.on_full == "wait":
            self.full = True

    def take(self, most: int) -> list[RuntimeEvent]:
        """The oldest events, at most so many; `written` says that they are done with."""
        count = min(most, len(self._waiting))
        self._in_write += count  # first: who looks meanwhile must not find more room than there is
        return list(starmap(self._waiting.popleft, repeat((), count)))

    def written(self, count: int) -> bool:
        """Note that `count` of the events taken are written; returns whether the buffer is no longer `full` by it."""
        if count > self._in_write:
            raise ValueError(f"{count} events written, but only {self._in_write} were taken")
        self._in_write -= count
        if self._gaps and len(self) < self._spec.buffer:
            self._waiting.extend(gap.record() for gap in self._gaps.values())
            self._gaps.clear()
        if self.full and len(self) <= self._spec.buffer // 2:
            self.full = False
            return True
        return False

    def _drop(self, event: RuntimeEvent) -> None:
        self.dropped += 1
        gap = self._gaps.setdefault(event.stream, _Gap(0, event.sequence, event))
        gap.dropped += 1
        gap.last = event
