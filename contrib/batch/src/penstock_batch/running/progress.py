"""The progress of a run while it is going: a table that redraws itself on a terminal, plain lines elsewhere.

`Standing` is what is shown, taken afresh each time from the counters and from the request gate's pressure;
`plain_line` and `table` turn it into text and are pure.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

import attrs
import trio

from penstock_batch.calls.tallies import Tallies
from penstock_batch.running.time_left import Left
from penstock_batch.words.amounts import counted, duration, money
from penstock_batch.words.terminal import say

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["GateStanding", "ModelStanding", "ProgressKind", "Standing", "StepStanding", "plain_line", "show_progress"]

ProgressKind = Literal["auto", "plain", "none"]

_REDRAW = 0.25
_LINE = 10.0
_WINDOW = 10.0

NOTABLE_WAIT = 5.0
NOTABLE_LAG = 0.1
"""Seconds from which on a wait, or a late loop, is shown."""


@attrs.frozen
class StepStanding:
    """The standing of one step: cells done of all, failed, cells a second lately, and what they cost, if that is
    known; `empty` are those that their rows do not want.
    """

    done: int
    failed: int
    rate: float
    cost: float | None = None
    empty: int = 0


@attrs.frozen
class ModelStanding:
    """The standing of one model: calls in flight, the adaptive limit on them, calls waiting, 429s so far, and seconds
    of cooldown left.
    """

    in_flight: int
    limit: int | None
    waiting: int
    limited: int
    cooldown: float
    given_up: bool


@attrs.frozen
class GateStanding:
    """The standing of the task gate: cells queued and at work, the group that waits longest and for how many seconds;
    how late the loop was lately, in seconds, and which task held it up; and, while nothing moves, what it waits for.
    """

    queued: int = 0
    running: int = 0
    waiter: str | None = None
    longest_wait: float = 0.0
    lag: float = 0.0
    blocked_by: str | None = None
    waits_for: str | None = None

    def words(self) -> str:
        """The text of what is notable."""
        said = f"{self.queued:,} queued, {self.running:,} at work"
        if self.waiter is not None and self.longest_wait >= NOTABLE_WAIT:
            said += f", {self.waiter} waits {self.longest_wait:.0f} s"
        if self.lag >= NOTABLE_LAG:
            said += f", the loop was {self.lag:.1f} s late"
            said += f" ({self.blocked_by})" if self.blocked_by else ""
        return said + (f"; nothing moves: {self.waits_for}" if self.waits_for else "")


@attrs.frozen
class Standing:
    """The standing of the whole run at one moment; `rows_done` and `rows_failed` of `rows`, after `seconds`. `left` is
    what is known of the rest, `cost` what the run has cost so far; `for_budget` calls wait for the budget. The rows are
    those of the `stage` that it is at, which is a number and of how many, where there are several.
    """

    rows: int
    rows_done: int
    rows_failed: int
    seconds: float
    steps: Mapping[str, StepStanding]
    models: Mapping[str, ModelStanding]
    gate: GateStanding = GateStanding()
    left: Left = attrs.field(factory=Left)
    cost: float | None = None
    for_budget: int = 0
    stage: tuple[int, int] | None = None
    failed_before: int = 0

    @property
    def at_stage(self) -> str:
        """The text of the stage, where there are several, before that of its rows."""
        if self.stage is None:
            return ""
        failed = f" ({self.failed_before:,} failed before)" if self.failed_before else ""
        return f"stage {self.stage[0]} of {self.stage[1]}{failed}: "

    @property
    def share(self) -> str:
        """The rows that are over, of all, in per cent; a run is at 100 % when it is, and no sooner."""
        over = self.rows_done + self.rows_failed
        return f"{100 * over // self.rows} %" if self.rows else "100 %"

    def outlook(self) -> str:
        """The text of what is left, and of money."""
        waiting = (
            [f"{counted(self.for_budget, 'call')} wait{'s' * (self.for_budget == 1)} for the budget"]
            if self.for_budget
            else []
        )
        return ", ".join([_left(self.left), *_money(self.cost, self.left.cost), *waiting])


class Rates:
    """The cells per second of each step, over the last ten seconds. `now` is a moment of the run's clock."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, dict[str, int]]] = deque()

    def take(self, tallies: Tallies, now: float) -> Mapping[str, float]:
        """The rates at `now`, which the present counts enter into."""
        done = {name: step.done for name, step in tallies.steps.items()}
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[1][0] <= now - _WINDOW:
            self._seen.popleft()
        then, before = self._seen[0]
        lasted = now - then
        return {name: (count - before[name]) / lasted if lasted > 0 else 0.0 for name, count in done.items()}


def _left(left: Left) -> str:
    """The text of the time that is left.

    >>> _left(Left()), _left(Left(75.0)), _left(Left(3700.0, at_least=True))
    ('time left unknown', '1 min 15 s left', 'more than 1 h 1 min left')
    """
    if left.seconds is None:
        return "time left unknown"
    return f"{'more than ' if left.at_least else ''}{duration(left.seconds)} left"


def _money(cost: float | None, at_the_end: float | None) -> list[str]:
    if cost is None:
        return []
    return [f"cost {money(cost)}{'' if at_the_end is None else f' of about {money(at_the_end)}'}"]


def plain_line(standing: Standing) -> str:
    """The standing as one line, for logs."""
    failed = f", {standing.rows_failed:,} failed" if standing.rows_failed else ""
    rows = f"{standing.rows_done:,} of {counted(standing.rows, 'row')} ({standing.share}){failed}"
    parts = [
        f"{standing.seconds:.0f} s: {standing.at_stage}{rows}",
        standing.outlook(),
    ]
    parts += [f"{name} {_step_words(step)}" for name, step in standing.steps.items()]
    parts += [f"{name} {_model_words(model)}" for name, model in standing.models.items()]
    parts.append(standing.gate.words())
    return "; ".join(parts)


def _step_words(step: StepStanding) -> str:
    cost = "" if step.cost is None else f", cost {money(step.cost)}"
    empty = f", {step.empty:,} empty" if step.empty else ""
    return f"{step.done:,} ({step.rate:.1f}/s{cost}){empty}"


def _model_words(model: ModelStanding) -> str:
    if model.given_up:
        return "given up"
    limit = f" of {model.limit}" if model.limit is not None else ""
    words = f"{model.in_flight}{limit} in flight"
    if model.waiting:
        words += f", {model.waiting:,} waiting"
    if model.cooldown > 0:
        words += f", cooling down {model.cooldown:.1f} s"
    return words


def table(standing: Standing) -> Table:
    """The standing as tables for a terminal."""
    from rich.table import Table

    whole = Table.grid(padding=(0, 2))
    failed = f", [red]{standing.rows_failed:,} failed[/]" if standing.rows_failed else ""
    of = f"of {counted(standing.rows, 'row')} ({standing.share})"
    rows = f"{standing.at_stage}[bold]{standing.rows_done:,}[/] {of}{failed}"
    whole.add_row(f"{rows}, {standing.seconds:.0f} s; {standing.outlook()}")
    steps = Table("step", box=None, pad_edge=False)
    for heading in ("done", "empty", "failed", "per second", "cost"):
        steps.add_column(heading, justify="right")
    for name, step in standing.steps.items():
        cost = "" if step.cost is None else money(step.cost)
        beside = (f"{count:,}" if count else "" for count in (step.empty, step.failed))
        steps.add_row(name, f"{step.done:,}", *beside, f"{step.rate:.1f}", cost)
    models = Table("model", box=None, pad_edge=False)
    for heading in ("in flight", "limit", "waiting", "429s", "cooling down"):
        models.add_column(heading, justify="right")
    for name, model in standing.models.items():
        cooling = "given up" if model.given_up else f"{model.cooldown:.1f} s" if model.cooldown > 0 else ""
        limit = "" if model.limit is None else str(model.limit)
        models.add_row(name, str(model.in_flight), limit, f"{model.waiting:,}", f"{model.limited:,}", cooling)
    whole.add_row(steps)
    if standing.models:
        whole.add_row(models)
    whole.add_row(standing.gate.words())
    return whole


def _on_a_terminal() -> bool:
    return sys.stderr is not None and not sys.stderr.closed and sys.stderr.isatty()


def _console() -> Console:
    """The terminal. To load what draws on it takes its time, in which the run is to go on."""
    import rich.live
    import rich.table

    return rich.console.Console(stderr=True)


async def show_progress(kind: ProgressKind, standing: Callable[[], Standing]) -> None:
    """Show how the run stands until cancelled, on standard error."""
    if kind == "none":
        return
    console = await trio.to_thread.run_sync(_console) if kind == "auto" and _on_a_terminal() else None
    if console is not None and console.is_terminal:
        from rich.live import Live

        with Live(table(standing()), console=console, auto_refresh=False, transient=True) as live:
            while True:
                await trio.sleep(_REDRAW)
                live.update(table(standing()), refresh=True)
    standing()  # the first rates are counted from here
    while True:
        await trio.sleep(_LINE)
        say(plain_line(standing()), err=True)
