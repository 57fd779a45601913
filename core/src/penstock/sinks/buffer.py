"""What lies between the loop and a buffered sink: a bounded line of events, and what becomes of those that
find it full.

Events count from the moment they are put in until they have been written, also while the writer has them in
hand, so a slow sink cannot hold more than its bound. A sink that *drops* loses the newest events; the hole
is told by one gap record per stream, an `events_dropped` event that bears the sequence number of the last
event that it stands for: so sequences still increase strictly, and a reader can tell exactly what is
missing. A sink that *waits* loses nothing: whoever makes events is asked to pause (`full`), finishes the
decision that it is in, and goes on when half of the buffer is free. Between those two moments the line may
grow past its bound by what one round of decisions tells.

Lost alternatives: dropping the oldest needs no gap record at the end but hides how a trouble began;
blocking the loop inside `put` would stop every timer of the run, and with them the calls that are out.

Pure and without a lock: where two threads meet here their owner holds one, but for `put_if_free`.
"""

from __future__ import annotations

from collections import deque

import attrs

from penstock.events.records import RuntimeEvent, StreamName
from penstock.sinks.spec import SinkSpec

__all__ = ["SinkBuffer"]


@attrs.define(slots=True)
class _Gap:
    """Events of one stream that were dropped in a row."""

    dropped: int
    first_sequence: int
    last: RuntimeEvent

    def record(self) -> RuntimeEvent:
        return RuntimeEvent(
            stream=self.last.stream,
            event_kind="events_dropped",
            captured_at_monotonic=self.last.captured_at_monotonic,
            sequence=self.last.sequence,
            reason_or_outcome="buffer_full",
            diagnostics={
                "dropped": self.dropped,
                "first_sequence": self.first_sequence,
                "last_sequence": self.last.sequence,
            },
        )


class SinkBuffer:
    """The events that one sink has not written yet, oldest first."""

    def __init__(self, spec: SinkSpec) -> None:
        self.full = False
        """Whether makers of events should pause. Only a sink that waits asks for that."""
        self.dropped = 0
        """How many events were dropped so far."""
        self._spec = spec
        self._waiting: deque[RuntimeEvent] = deque()
        self._in_hand = 0
        self._gaps: dict[StreamName, _Gap] = {}

    def __len__(self) -> int:
        """How many events are not written yet."""
        return len(self._waiting) + self._in_hand

    @property
    def waiting(self) -> bool:
        """Whether there is anything to `take`."""
        return bool(self._waiting)

    def put_if_free(self, event: RuntimeEvent) -> bool:
        """Put an event in line if there is room and no gap to be told first; whether there was.

        It may be called while another thread takes and writes: it changes nothing but the end of the line.
        """
        if self._gaps or len(self._waiting) + self._in_hand + 1 >= self._spec.buffer:
            return False
        self._waiting.append(event)
        return True

    def put(self, event: RuntimeEvent) -> None:
        """Put an event in line, or count it as dropped."""
        held = len(self._waiting) + self._in_hand
        if held >= self._spec.buffer and self._spec.on_full == "drop":
            self._drop(event)
            return
        self._waiting.append(event)
        if held + 1 >= self._spec.buffer and self._spec.on_full == "wait":
            self.full = True

    def take(self, most: int) -> list[RuntimeEvent]:
        """The oldest events, at most so many; `written` says that they are done with."""
        count = min(most, len(self._waiting))
        self._in_hand += count  # first: who looks meanwhile must not find more room than there is
        return [self._waiting.popleft() for _ in range(count)]

    def written(self, count: int) -> bool:
        """So many of the events taken are done with. Whether that ended a time of being `full`."""
        if count > self._in_hand:
            raise ValueError(f"{count} events written, but only {self._in_hand} were taken")
        self._in_hand -= count
        if self._gaps and len(self) < self._spec.buffer:
            self._waiting.extend(gap.record() for gap in self._gaps.values())
            self._gaps.clear()
        if self.full and len(self) <= self._spec.buffer // 2:
            self.full = False
            return True
        return False

    def _drop(self, event: RuntimeEvent) -> None:
        self.dropped += 1
        gap = self._gaps.get(event.stream)
        if gap is None:
            self._gaps[event.stream] = _Gap(1, event.sequence, event)
        else:
            gap.dropped += 1
            gap.last = event
