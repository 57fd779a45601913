"""What a run will take: calls, tokens, cost and time, before anything is called. Pure.

Everything is told with where it is from. Tokens in are counted from what the first rows ask, four bytes for a token.
Tokens out are those of kept answers in the mean, else `max_tokens`, which is the most; where there is neither they are
not known, and neither is the cost. Time is that of the model that takes longest, if `max_parallel_requests` calls were
always out, each as long as kept answers took in the mean; limits that are found under way make it longer.

How many calls there are follows from how many rows there will be. Behind a split, a filter or a gather that is known
where all before is kept; else it is estimated by what is kept, or has a bound, or is not known, and then nothing is.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import starmap
from math import ceil
from typing import Final, Literal

import attrs

from penstock import Usage
from penstock_batch.pipeline.config import BATCH_TOKENS
from penstock_batch.providers.models import StepModel
from penstock_batch.words.amounts import counted, duration, money
from penstock_dialects import cost_of

__all__ = ["KeptAnswers", "RowCount", "StepFacts", "StepPlan", "plan_lines", "plan_of"]

BYTES_PER_TOKEN: Final = 4.0

Source = Literal["kept", "max_tokens", "unknown"]


@attrs.frozen
class RowCount:
    """How many rows a stage will have: so many, at most so many, about so many, or (`None`) nobody knows."""

    rows: int | None
    sure: Literal["exactly", "at most", "about"] = "exactly"

    def behind(self, kind: str, by: bool, made: int, of: int) -> RowCount:
        """How many there will be behind a step of this kind, which makes `made` rows of the `of` rows that are known;
        `by`: a gather has columns by which it groups.

        >>> RowCount(100).behind("split", False, made=24, of=8)
        RowCount(rows=300, sure='about')
        >>> RowCount(100).behind("filter", False, made=0, of=0)
        RowCount(rows=100, sure='at most')
        """
        if kind == "gather":
            if not by:
                return RowCount(1)
            return RowCount(self.rows, "about" if self.sure == "about" else "at most")
        if of:
            return RowCount(None if self.rows is None else round(self.rows * made / of), "about")
        if kind == "split":
            return RowCount(None)
        return RowCount(self.rows, "about" if self.sure == "about" else "at most")


@attrs.define
class KeptAnswers:
    """What the kept answers of a step were, added up: of `told` the output is known, of `timed` how long they took."""

    answers: int = 0
    output_tokens: int = 0
    told: int = 0
    elapsed: float = 0.0
    timed: int = 0

    def add(self, usage: Usage, elapsed: float) -> None:
        """Count an answer in."""
        self.answers += 1
        if usage.output_tokens is not None:
            self.output_tokens += usage.output_tokens
            self.told += 1
        if elapsed > 0:
            self.elapsed += elapsed
            self.timed += 1


@attrs.frozen(kw_only=True)
class StepFacts:
    """What is known of a step before the run: `calls` to be made, if each cell is one (`None`: not known), which is
    `sure` to be so or not, and cells that are `kept`, or `empty` since their rows do not want them; the bytes of text
    of a call in the mean of those that could be rendered (`None`: none could); the most that an answer may have;
    what kept ones had.
    """

    name: str
    kind: str
    model: StepModel | None
    calls: int | None
    sure: Literal["exactly", "at most", "about"] = "exactly"
    kept: int = 0
    empty: int = 0
    fallback: Sequence[StepModel] = ()
    """The models that may be asked in the place of `model`."""
    bytes_asked: float | None = None
    stand_ins: bool = False
    """Whether texts of steps before were made up, since they are not known yet."""
    most_output: int | None = None
    batch_size: int = 1
    """Cells that a call may hold, of so many tokens at most:"""
    batch_tokens: int = BATCH_TOKENS
    answers: KeptAnswers = attrs.field(factory=KeptAnswers)


@attrs.frozen(kw_only=True)
class StepPlan:
    """What a step will take. `None` is what cannot be known; `texts` are the cells, where a call holds several;
    `instead` says of each fallback what the calls would cost if it answered all;
    `seconds` is of all its calls, with as many at a time as its model may have.
    """

    name: str
    model: StepModel | None
    calls: int | None
    sure: Literal["exactly", "at most", "about"]
    kept: int
    input_tokens: int | None
    output_tokens: int | None
    output_from: Source
    cost: float | None
    seconds: float | None
    stand_ins: bool
    texts: int | None = None
    empty: int = 0
    instead: Sequence[tuple[str, float | None]] = ()


def plan_of(step: StepFacts) -> StepPlan:
    """The plan of a step."""
    kept = step.answers
    model = step.model
    calls = step.calls
    asked = None if step.bytes_asked is None or calls is None else round(calls * step.bytes_asked / BYTES_PER_TOKEN)
    source: Source = "unknown"
    output: int | None = None
    if step.kind == "embedding":
        output, source = 0, "kept"
    elif calls is None:
        pass
    elif kept.told:
        output, source = round(calls * kept.output_tokens / kept.told), "kept"
    elif step.most_output is not None:
        output, source = calls * step.most_output, "max_tokens"

    def cost_at(called: StepModel | None) -> float | None:
        known = called is not None and asked is not None and output is not None
        return cost_of(called.prices, Usage(asked, output), step.kind) if called is not None and known else None

    at_a_time = 1 if model is None else model.max_parallel_requests
    if step.batch_size > 1 and calls is not None:
        by_tokens = min(calls, ceil((asked or 0) / step.batch_tokens))
        calls = max(ceil(calls / step.batch_size), by_tokens)
    seconds = calls * kept.elapsed / kept.timed / at_a_time if kept.timed and calls is not None else None
    return StepPlan(
        name=step.name,
        model=model,
        calls=calls,
        sure=step.sure,
        kept=step.kept,
        input_tokens=asked,
        output_tokens=output,
        output_from=source,
        cost=cost_at(model),
        seconds=0.0 if calls == 0 else seconds,
        stand_ins=step.stand_ins,
        texts=None if step.batch_size == 1 else step.calls,
        empty=step.empty,
        instead=[(other.name, cost_at(other)) for other in step.fallback],
    )


def plan_lines(plans: Sequence[StepPlan], budget: float | None = None, spent: float = 0.0) -> list[str]:
    """The plan in words, one line each."""
    calling = [plan for plan in plans if plan.model is not None]
    lines = [f"  {plan.name}: {_step(plan)}" for plan in plans]
    lines.append(f"cost: {_cost(calling)}")
    if budget is not None:
        lines.append(f"budget: {money(budget)}, of which {money(spent)} is spent{_enough(calling, budget - spent)}")
    lines.append(f"time: {_time(calling)}")
    return lines


def _step(plan: StepPlan) -> str:
    kept = f", {plan.kept:,} kept" if plan.kept else ""
    kept += f", {plan.empty:,} empty" if plan.empty else ""
    if plan.calls is None:
        what = "cells" if plan.model is None else f"calls to {plan.model.name}"
        return f"{what} unknown, since nobody knows yet how many rows there will be{kept}"
    few = "" if plan.sure == "exactly" else f"{plan.sure} "
    if plan.model is None:
        return f"{few}{plan.calls:,} to be computed{kept}"
    if not plan.calls:
        return f"nothing to be called{kept}"
    asked = "tokens in unknown" if plan.input_tokens is None else f"{counted(plan.input_tokens, 'token')} in"
    if plan.stand_ins:
        asked += " (with stand-ins for what steps before will say)"
    texts = "" if plan.texts is None else f" for {counted(plan.texts, 'text')}"
    words = f"{few}{counted(plan.calls, 'call')} to {plan.model.name}{texts}{kept}; {asked}"
    if plan.output_tokens is None:
        words += ", tokens out unknown (no answer is kept, and the step has no max_tokens)"
    elif plan.output_tokens or plan.output_from == "max_tokens":
        where = "by kept answers" if plan.output_from == "kept" else "at most, by max_tokens"
        words += f", {plan.output_tokens:,} out {where}"
    if plan.cost is not None:
        words += f"; {_how(plan)}{money(plan.cost)}"
    if plan.instead:
        words += f"; not counted is what its fallback would answer: {', '.join(starmap(_instead, plan.instead))}"
    return words


def _instead(name: str, cost: float | None) -> str:
    return name if cost is None else f"{name} ({money(cost)} for all)"


def _how(*plans: StepPlan) -> str:
    """How sure the cost of these steps is, before it."""
    if any(plan.sure == "about" for plan in plans):
        return "about "
    most = any(plan.output_from == "max_tokens" or plan.sure == "at most" for plan in plans)
    return "at most " if most else ""


def _cost(plans: Sequence[StepPlan]) -> str:
    known = [plan for plan in plans if plan.cost is not None]
    unknown = [plan for plan in plans if plan.cost is None and plan.calls != 0]
    if not known:
        return "unknown" if unknown else "nothing"
    whole = sum(plan.cost or 0.0 for plan in known)
    words = f"{_how(*(plan for plan in known if plan.calls))}{money(whole)}"
    return f"{words}, and what {_names(unknown)} will cost, which is unknown" if unknown else words


def _enough(plans: Sequence[StepPlan], left: float) -> str:
    if any(plan.cost is None and plan.calls != 0 for plan in plans):
        return ""
    whole = sum(plan.cost or 0.0 for plan in plans)
    return "; it is enough" if whole <= left else "; it may stop the run before its end"


def _time(plans: Sequence[StepPlan]) -> str:
    by_model: dict[str, float] = {}
    unknown = []
    for plan in plans:
        if plan.seconds is None:
            unknown.append(plan)
        elif plan.model is not None:
            by_model[plan.model.name] = by_model.get(plan.model.name, 0.0) + plan.seconds
    slowest = max(by_model, key=by_model.__getitem__, default=None)
    if slowest is None or not by_model[slowest]:
        return f"unknown, since no answer of {_names(unknown)} is kept" if unknown else "none"
    about = "about" if any(plan.sure != "exactly" and plan.calls for plan in plans) else "at least"
    words = f"{about} {duration(by_model[slowest])}, by {slowest} with max_parallel_requests calls always out"
    return f"{words}; of {_names(unknown)} nothing is known" if unknown else words


def _names(plans: Sequence[StepPlan]) -> str:
    return ", ".join(plan.name for plan in plans)
