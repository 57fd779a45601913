"""A budget: which calls may go out so that what all of them may cost stays within it. Pure.

    spent (answers, those of earlier runs too) + out (what calls that are out may cost at most) + this call ≤ budget

- It fits: the call goes out, and counts for its most until it has ended; then for what it cost.
- It would fit if those that are out cost less than they may: it waits, and is asked again when one of them ends.
- It does not fit whatever those that are out will cost: it is refused. If the budget as it was when the run began would
  have held it, the budget is spent: it *closes*, and no call that comes later is asked. Otherwise it is this call alone
  that is too dear.

A call whose output nothing bounds (the first of a step without `max_tokens`) counts for its input, and goes out alone
of its step: its answer tells what the next ones may cost.

A call that is out when another is refused comes back as it would have. Nobody waits for ever: with no call out a call
fits, or does not. A call that costs nothing always goes.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Literal

import attrs

from penstock_batch.money.estimates import Most, most_output
from penstock_batch.pipeline.steps import Step
from penstock_batch.words.amounts import money

__all__ = ["Budget", "Decision", "Ended", "budget_lines"]

Decision = Literal["goes", "waits", "too_dear", "spent"]


@attrs.frozen
class Ended:
    """What the end of a call changes for those that wait: each that goes now, and each that is refused, and why."""

    going: tuple[Hashable, ...] = ()
    refused: tuple[tuple[Hashable, Decision], ...] = ()


def _unbounded(step: Step) -> bool:
    return any(most_output(step.said_to(model, step.params)) is None for model in step.models)


@attrs.frozen
class _Call:
    step: str
    most: Most


def budget_lines(budget: float | None, steps: Iterable[Step]) -> Iterator[str]:
    """The words about a budget before a run: by what calls are counted, and by how much it may be passed."""
    if budget is None:
        return
    yield f"budget: {money(budget)} for all runs; a call counts for its max_tokens"
    unbounded = [step.name for step in steps if step.kind == "chat" and _unbounded(step)]
    if unbounded:
        yield (
            f"  {', '.join(unbounded)} has none: there it is 1.5 times the largest answer so far, so the budget may be "
            "passed by what answers exceed that, and by the whole first answer"
        )


class Budget:
    """What may be spent, what is, and which calls are out or wait for it. A call is known by whatever the caller takes
    for its name, which is one call's at a time.
    """

    def __init__(self, limit: float, spent: float = 0.0) -> None:
        self.limit = limit
        self.spent = spent
        """What was paid, by all runs."""
        self.closed = spent > 0 and spent >= limit
        """Whether no more calls are asked, since the budget is spent."""
        self.out = 0.0
        """What the calls that are out may cost at most."""
        self._at_first = limit - spent
        self._out: dict[Hashable, _Call] = {}
        self._waiting: dict[Hashable, _Call] = {}

    @property
    def waiting(self) -> int:
        """How many calls wait for what others will have cost."""
        return len(self._waiting)

    @property
    def passed_by(self) -> float:
        """By how much more was spent than the budget allows: answers may cost more than was to be foreseen."""
        return max(0.0, self.spent - self.limit)

    def ask(self, name: Hashable, step: str, most: Most) -> Decision:
        """Whether this call may go out. One that goes is out until `end`; one that waits is named by an `end` to come,
        or withdrawn by its own. Raises `ValueError` for a name that is out or waits.
        """
        if name in self._out or name in self._waiting:
            raise ValueError(f"call {name!r} is out or waits already")
        call = _Call(step, most)
        decision = "spent" if self.closed and not most.free else self._decide(call)
        if decision == "goes":
            self._go(name, call)
        elif decision == "waits":
            self._waiting[name] = call
        return decision

    def estimated(self, name: Hashable, most: Most) -> None:
        """Note what a call that waits may cost, as is known by now; the next `end` decides by it. Raises `KeyError` if
        it does not wait.
        """
        self._waiting[name] = attrs.evolve(self._waiting[name], most=most)

    def end(self, name: Hashable, cost: float | None) -> Ended:
        """Count the end of a call that is out for what it cost, `None` where it had no answer; or take back one that
        waits. Raises `KeyError` for a name that is neither.
        """
        if self._waiting.pop(name, None) is not None:
            return Ended()
        ended = self._out.pop(name)
        self.spent += cost or 0.0
        self.out = self.out - ended.most.cost if self._out else 0.0  # no rounding is left over where nothing is out
        going: list[Hashable] = []
        refused: list[tuple[Hashable, Decision]] = []
        for other, call in tuple(self._waiting.items()):
            decision = self._decide(call)
            if decision == "waits":
                continue
            del self._waiting[other]
            if decision == "goes":
                self._go(other, call)
                going.append(other)
            else:
                refused.append((other, decision))
        return Ended(tuple(going), tuple(refused))

    def _go(self, name: Hashable, call: _Call) -> None:
        self._out[name] = call
        self.out += call.most.cost

    def _decide(self, call: _Call) -> Decision:
        left = self.limit - self.spent
        if call.most.free:
            return "goes"
        if call.most.cost > left or left <= 0:
            if call.most.cost > self._at_first:
                return "too_dear"
            self.closed = True
            return "spent"
        if self._out and call.most.cost > left - self.out:
            return "waits"
        if not call.most.bounded and any(o.step == call.step and not o.most.bounded for o in self._out.values()):
            return "waits"
        return "goes"

    def check_invariants(self) -> None:
        """What waits is not out, does wait for something, and would not go if it was asked again. Raises
        `AssertionError`.
        """
        assert not self._out.keys() & self._waiting.keys()
        assert not self._waiting or self._out, "a call waits for nothing"
