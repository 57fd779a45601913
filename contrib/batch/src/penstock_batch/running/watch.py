"""The watch on a run: what limits it is looked at now and then, how much is left and a sample once a second.

It listens to nothing and counts nothing, so a run pays for it by the second and not by the call. At first it looks
often, so that a run of a second is seen too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs
import trio

from penstock_batch.running.limiting import Limits, limited_by
from penstock_batch.running.standing import RunStanding
from penstock_batch.store.samples import Sample

__all__ = ["Processor", "RunWatch", "Shares"]

FIRST = 0.02
LONGEST = 0.25
"""Seconds between two looks: at first, and after a while."""

SAMPLES = 1.0
"""Seconds between two samples."""

_SCHEDSTAT = Path("/proc/thread-self/schedstat")


@attrs.frozen
class Shares:
    """The shares of a processor that this process took for a time: of the thread that asks, of all others together, and
    for which that thread would have computed, and others had the processor.
    """

    loop: float
    threads: float
    waited: float


class Processor:
    """The use that this process makes of the processor. To be asked in one and the same thread."""

    def __init__(self) -> None:
        self._before = _clocks()

    def shares(self) -> Shares:
        """The shares since the last question."""
        before, self._before = self._before, _clocks()
        lasted, loop, whole, waited = (now - then for now, then in zip(self._before, before, strict=True))
        if lasted <= 0:
            return Shares(0.0, 0.0, 0.0)
        # The clocks are read one after the other: the difference of two may be a little less than nothing.
        return Shares(loop / lasted, max(0.0, whole - loop) / lasted, waited / lasted)


def _clocks() -> tuple[float, float, float, float]:
    return time.perf_counter(), time.thread_time(), time.process_time(), _waited()


def _waited() -> float:
    """The seconds for which this thread could have computed and got no processor; 0 where the system does not say."""
    try:
        return int(_SCHEDSTAT.read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


class RunWatch:
    """The watch on the run that `standing` knows; each sample is given to `keep`, with what limited the run
    so far."""

    def __init__(self, standing: RunStanding, keep: Callable[[Sample, Mapping[str, float]], None]) -> None:
        self.limits = Limits()
        """What limited the run so far."""
        self._standing = standing
        self._keep = keep
        self._processor = Processor()
        self._looked = standing.seconds
        self._sampled = 0.0
        self._since: Limits = Limits()
        self._computed = 0.0

    async def run(self) -> None:
        """Look until cancelled."""
        pause = FIRST
        while True:
            await trio.sleep(pause)
            self.look()
            pause = min(pause * 1.5, LONGEST)

    def look(self, *, at_the_end: bool = False) -> None:
        """Look once; with a sample if one is due, or if the run is at its end."""
        now = self._standing.seconds
        lasted = now - self._looked
        self._looked = now
        used = self._processor.shares()
        what = limited_by(self._standing.moment(used.loop + used.waited, used.threads, lasted))
        for limits in (self.limits, self._since):
            limits.add(what, lasted)
        self._computed += (used.loop + used.threads) * lasted
        if at_the_end or now - self._sampled >= SAMPLES:
            self._sample(now)

    def _sample(self, now: float) -> None:
        lasted = now - self._sampled
        whats = self._since.seconds
        what = max(whats, key=whats.__getitem__)
        self._standing.look()
        share = self._computed / lasted if lasted > 0 else 0.0
        self._keep(self._standing.sample(share, what), self.limits.seconds)
        self._sampled, self._computed, self._since = now, 0.0, Limits()
