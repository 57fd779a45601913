"""What limits a run, moment by moment: seen by looking at it now and then, so that it costs the run nothing. Pure.

At each look the time since the last one is given to whatever held the run back, the first of these that is so:

1. the processor: the run's loop computed nearly all of the time. If more than half of that was a Python step's
   function, it was the step;
2. a model at which cells wait, the one with most of them: its cooldown, its `max_parallel_requests`, the lower limit
   that was found, or else a rate (calls or tokens for a time);
3. the budget, where calls wait for what others will have cost;
4. a Python step all of whose threads are busy, or which takes the processor from the loop;
5. `rows_in_flight`, if there are more rows and none of those in memory waits;
6. the task gate, if cells wait that no model holds back;
7. what is out: the answers of a model, or a Python step;
8. reading and writing.

(Lost: adding up each task's waits from all events. It says the same of a run at half of the run's own cost.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

__all__ = ["Limits", "ModelMoment", "Moment", "limited_by"]

BUSY: Final = 0.85
"""The share of the time from which on computing is what limits."""

FULL: Final = 0.8
"""The share of a limit from which on it is full: at a single look a place may just have become free."""


@attrs.frozen
class ModelMoment:
    """A model at one moment: calls in flight, cells that could be called and wait, of those the ones at the request
    gate; the cap and the limit in force; seconds of cooldown left.
    """

    in_flight: int = 0
    waiting: int = 0
    at_gate: int = 0
    cap: int = 1
    limit: int | None = None
    cooldown: float = 0.0

    @property
    def held_by(self) -> str | None:
        """What holds calls back, as words before the model's name; `None` if nothing does."""
        limit = self.cap if self.limit is None else min(self.limit, self.cap)
        if self.cooldown > 0:
            return "the cooldown of"
        if self.in_flight >= int(limit * FULL):
            return "max_parallel_requests of" if limit == self.cap else "the limit of"
        return "the rate of" if self.at_gate else None


@attrs.frozen(kw_only=True)
class Moment:
    """A run at one moment.

    - `models`: by name; `python`: cells at work, by Python step; `workers`: the threads of each.
    - `loop`, `threads`: the share of the time since the last look for which the run's loop computed, or would have if
      others had not had the processor, and for which all other threads did together.
    - `more_rows`, `room`: whether there are more rows, and whether they could come in.
    - `for_budget`: calls that wait for the budget.
    - `inside`: the share for which the loop was within the function of a Python step, by step.
    """

    models: Mapping[str, ModelMoment] = attrs.field(factory=dict)
    python: Mapping[str, int] = attrs.field(factory=dict)
    workers: Mapping[str, int] = attrs.field(factory=dict)
    loop: float = 0.0
    threads: float = 0.0
    more_rows: bool = False
    room: bool = True
    for_budget: int = 0
    inside: Mapping[str, float] = attrs.field(factory=dict)


def limited_by(moment: Moment) -> str:
    """What limited the run up to this moment, in words.

    >>> limited_by(Moment(models={"acme/large": ModelMoment(in_flight=4, waiting=90, cap=64, limit=4)}))
    'the limit of acme/large'
    """
    at_work = {step: count for step, count in moment.python.items() if count}
    busiest = max(at_work, key=at_work.__getitem__, default=None)
    busy = moment.loop + moment.threads >= BUSY
    if moment.loop >= BUSY or (busy and not busiest):
        within = max(moment.inside, key=moment.inside.__getitem__, default=None)
        of_steps = within is not None and moment.inside[within] > moment.loop / 2
        return f"your Python step {within}" if of_steps else "this processor"
    held = [
        (model.waiting, f"{words} {name}")
        for name, model in moment.models.items()
        if model.waiting and (words := model.held_by) is not None
    ]
    if held:
        return max(held, key=lambda pair: pair[0])[1]
    if moment.for_budget:
        return "the budget"
    full = [step for step, count in at_work.items() if count >= moment.workers.get(step, count + 1)]
    if full or (busy and busiest):
        return f"your Python step {full[0] if full else busiest}"
    waiting = any(model.waiting for model in moment.models.values())
    if moment.more_rows and not moment.room and not waiting:
        return "rows_in_flight"
    if waiting:
        return "the task gate"
    out = {name: model.in_flight for name, model in moment.models.items() if model.in_flight}
    if out:
        return f"the answers of {max(out, key=out.__getitem__)}"
    return f"your Python step {busiest}" if busiest else "reading and writing"


class Limits:
    """What limited a run, in seconds, as it was seen look by look."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def add(self, what: str, seconds: float) -> None:
        """Give these seconds to what limited the run in them."""
        self.seconds[what] = self.seconds.get(what, 0.0) + seconds

    def shares(self, least: float = 0.005) -> list[tuple[str, float]]:
        """What limited the run and for which share of its time, the largest first; less than `least` is left out."""
        whole = sum(self.seconds.values())
        shares = [(what, seconds / whole) for what, seconds in self.seconds.items() if seconds > 0]
        return sorted((pair for pair in shares if pair[1] >= least), key=lambda pair: (-pair[1], pair[0]))
