"""The budgets of one limiter: what is common to those that are configured and those that are learnt.

A limit per second or minute is kept evenly (`pace.py`), one per hour or day as it is needed (`window.py`).
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from penstock_token_budget.amounts import PLACES
from penstock_token_budget.pace import Pace
from penstock_token_budget.window import SlidingWindow, SubWindow

__all__ = [
    "LONG",
    "BudgetLine",
    "EvenBudget",
    "WindowBudget",
    "burst_of",
    "per_window",
]

LONG: Final = 3600.0
"""From this length on, in seconds, a window is not spread out: a thousand calls a day are wanted when needed."""


class BudgetLine(Protocol):
    """One limit of one dimension."""

    dimension: str
    place: int
    """That of its dimension, in `Amounts`."""
    learns_from_estimates: bool
    """Whether `correct` is to be told, too, that an estimate was right."""

    @property
    def key(self) -> tuple[str, float]:
        """What it is of a scope: the dimension, and the seconds of a configured window; for what is learnt the
        header that tells it, and 0.
        """
        ...

    @property
    def limit(self) -> float:
        """The whole budget of one window, in requests or tokens."""
        ...

    @property
    def text(self) -> str:
        """The limit in words."""
        ...

    def ready_at(self, amount: float, now: float) -> float:
        """The moment from which a call of this amount may go out; not after `now` if that is so already."""
        ...

    def next_change(self, now: float) -> float | None:
        """The next moment at which that may be another answer for any amount."""
        ...

    def charge(self, amount: float, now: float) -> object:
        """Count an amount that goes out; the answer is what a correction needs."""
        ...

    def correct(self, entry: object, difference: float, now: float) -> None:
        """An amount that was charged turns out to be so much larger, or smaller."""
        ...

    def soonest(self, out: float, now: float) -> float:
        """When a call could go out if `out`, which is charged and not confirmed yet, had cost nothing."""
        ...

    def snapshot(self, now: float) -> dict[str, Any]:
        """Figures for people."""
        ...


def burst_of(dimension: str, rate: float, burst_seconds: float) -> float:
    """The depth of a pace in seconds. Of requests the one that always may go is part of the burst."""
    return max(0.0, burst_seconds - 1 / rate) if dimension == "requests" else burst_seconds


def per_window(dimension: str, limit: float, seconds: float) -> str:
    """A limit in words.

    >>> per_window("input_tokens", 40_000.0, 60.0)
    '40000 input tokens per minute'
    """
    words = {1.0: "second", 60.0: "minute", 3600.0: "hour", 86400.0: "day"}
    return f"{limit:.12g} {dimension.replace('_', ' ')} per {words.get(seconds, f'{seconds:g} s')}"


class EvenBudget(Pace):
    """A configured limit per second or minute: a pace that any call has to wait for."""

    learns_from_estimates = False

    def __init__(self, dimension: str, limit: float, seconds: float, burst_seconds: float) -> None:
        rate = limit / seconds
        super().__init__(rate, burst_of(dimension, rate, burst_seconds))
        self.dimension = dimension
        self.place = PLACES[dimension]
        self.key = (dimension, seconds)
        self.limit = limit
        self.text = per_window(dimension, limit, seconds)

    def adopt(self, previous: BudgetLine) -> None:
        """What went out under another limit is paid for when it was to be paid for."""
        assert isinstance(previous, EvenBudget)
        self.free_at = previous.free_at

    def ready_at(self, amount: float, now: float) -> float:
        return self.free_at

    def next_change(self, now: float) -> float | None:
        return self.free_at if self.free_at > now else None

    def correct(self, entry: object, difference: float, now: float) -> None:
        self.charge(difference, now)

    def soonest(self, out: float, now: float) -> float:
        return self.free_at - out / self.rate

    def snapshot(self, now: float) -> dict[str, Any]:
        return {"limit": self.text, "left": round(self.level(now), 3)}


class WindowBudget:
    """A configured limit per hour or day."""

    learns_from_estimates = False

    def __init__(self, dimension: str, limit: float, seconds: float) -> None:
        self.dimension = dimension
        self.place = PLACES[dimension]
        self.key = (dimension, seconds)
        self.limit = limit
        self.text = per_window(dimension, limit, seconds)
        self._window = SlidingWindow(limit, seconds)

    def adopt(self, previous: BudgetLine) -> None:
        """What was used of the same window under another limit stays used."""
        assert isinstance(previous, WindowBudget)
        self._window.adopt(previous._window)

    def ready_at(self, amount: float, now: float) -> float:
        return self._window.ready_at(now)

    def next_change(self, now: float) -> float | None:
        moment = self._window.ready_at(now)
        return moment if moment > now else None

    def charge(self, amount: float, now: float) -> object:
        return self._window.charge(amount, now)

    def correct(self, entry: object, difference: float, now: float) -> None:
        assert isinstance(entry, SubWindow)
        entry.amount += difference

    def soonest(self, out: float, now: float) -> float:
        return now if out else self._window.ready_at(now)

    def snapshot(self, now: float) -> dict[str, Any]:
        return {"limit": self.text, "left": round(self.limit - self._window.used(now), 3)}
