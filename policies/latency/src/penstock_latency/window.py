"""A window of answers: what they took on average, how sure that is, and how many calls were in flight.

Single latencies of language models differ by a factor of ten on an idle server, so nothing is decided by one of them.
The average is a ratio of sums (seconds ÷ amount), which is right for tokens too: the mean of the single ratios would be
ruled by the shortest answers.
"""

from __future__ import annotations

from math import sqrt

import attrs

__all__ = ["Load", "Window"]


@attrs.frozen
class Load:
    """Means over one window or several: `latency` and the time out (`residence`) per amount, and calls in flight."""

    latency: float
    residence: float
    in_flight: float

    @property
    def throughput(self) -> float:
        """Amounts per second, by Little's law."""
        return self.in_flight / self.residence

    def blend(self, newer: Load, share: float) -> Load:
        """The mean in which `newer` counts for `share`."""
        return Load(
            self.latency + (newer.latency - self.latency) * share,
            self.residence + (newer.residence - self.residence) * share,
            self.in_flight + (newer.in_flight - self.in_flight) * share,
        )


class Window:
    """Sums over the answers so far."""

    def __init__(self) -> None:
        self.answers = 0
        self._seconds = self._amount = self._elapsed = 0.0
        self._seconds_squared = self._product = self._amount_squared = 0.0
        self._in_flight = 0
        self._full = 0

    def add(self, seconds: float, amount: float, elapsed: float, in_flight: int, full: bool) -> None:
        """An answer to a call that went out as the `in_flight`-th and was out for `elapsed` seconds.

        `full`: the limit was reached while it was out.
        """
        self.answers += 1
        self._seconds += seconds
        self._amount += amount
        self._elapsed += elapsed
        self._seconds_squared += seconds * seconds
        self._product += seconds * amount
        self._amount_squared += amount * amount
        self._in_flight += in_flight
        self._full += full

    @property
    def latency(self) -> float:
        """Seconds per amount; the window must not be empty."""
        return self._seconds / self._amount

    @property
    def in_flight(self) -> float:
        """How many calls were in flight on average when one went out, itself included."""
        return self._in_flight / self.answers

    @property
    def in_use(self) -> bool:
        """Whether the limit was reached around most of the calls, so that their latency speaks for it."""
        return 2 * self._full >= self.answers

    @property
    def residence(self) -> float:
        """Seconds that calls were out, per amount: what the latency is a part of, or all."""
        return self._elapsed / self._amount

    @property
    def load(self) -> Load:
        """All that a later window is compared with."""
        return Load(self.latency, self.residence, self.in_flight)

    @property
    def error(self) -> float:
        """The standard error of `latency`, in the same unit."""
        ratio = self.latency
        spread = self._seconds_squared - 2 * ratio * self._product + ratio * ratio * self._amount_squared
        return sqrt(spread) / self._amount if spread > 0 else 0.0  # rounding may leave it a hair below 0
