"""The summary of a run that has ended. Pure: figures in, lines out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from penstock_batch.calls.tallies import ModelTally, StepTally, Tallies
from penstock_batch.running.assembly import Assembled
from penstock_batch.words.amounts import counted, duration, money

__all__ = ["AllowedRate", "summary_lines"]

_MOST_REASONS = 8


@attrs.frozen
class AllowedRate:
    """The rate that a model's limits allow: for an embedded provider its true limits, known from its own report, else
    unknown.

    `calls` of the `seconds` from the first call to the last answer; `limit` is the adaptive limit on calls in flight
    at the end. `refused` is how often an embedded provider itself says that it answered 429.
    """

    seconds: float | None = None
    completed: int = 0
    calls: float | None = None
    limit: int | None = None
    refused: int | None = None


def summary_lines(
    result: Assembled,
    tallies: Tallies,
    allowed: Mapping[str, AllowedRate],
    *,
    seconds: float,
    interrupted: bool,
    costs: Iterable[str] = (),
    where: Iterable[str] = (),
    shadows: Iterable[object] = (),
    stages: Iterable[str] = (),
) -> list[str]:
    """The summary, one line each. `costs` are about money, `where` says where time was spent, `shadows` what plugins in
    shadow would have done, `stages` what has become of how many rows where rows were made of rows.
    """
    total = result.done + result.failed + result.open
    ended = f"{result.done:,} done, {result.failed:,} failed{_open(result.open)}"
    lines = [f"{counted(total, 'row')}: {ended}, in {duration(seconds)}"]
    lines += _reasons(result.reasons)
    lines += [f"  {told}" for told in stages]
    before = sum(step.before for step in tallies.steps.values())
    if before:
        lines.append(f"  {counted(before, 'cell')} {'was' if before == 1 else 'were'} done before and cost nothing now")
    lines += [
        f"  {name}: {_step(step, seconds)}"
        for name, step in tallies.steps.items()
        if step.done or step.failed or step.empty
    ]
    calls = sum(model.calls for model in tallies.models.values())
    limited = sum(model.limited for model in tallies.models.values())
    if calls:
        share = f"({limited / calls:.1%}{_own_count(allowed)})"
        lines.append(f"{counted(calls, 'call')}, {limited:,} answered 429 {share}{_at_best(allowed)}")
    lines += [f"  {name}: {_model(model, allowed.get(name))}" for name, model in tallies.models.items() if model.calls]
    lines += costs
    lines += where
    lines += map(str, shadows)
    if interrupted:
        lines.append("interrupted: what was finished is kept; the same command goes on from there")
    return lines


def _own_count(allowed: Mapping[str, AllowedRate]) -> str:
    """The number of calls that the providers themselves say they refused; empty unless all are embedded."""
    counts = [rate.refused for rate in allowed.values() if rate.refused is not None]
    return f"; by the provider's own count {sum(counts):,}" if counts and len(counts) == len(allowed) else ""


def _at_best(allowed: Mapping[str, AllowedRate]) -> str:
    """The time in which the slowest of the models could have given its answers; empty unless the limits of all are
    known."""
    times = [rate.completed * rate.seconds / rate.calls for rate in allowed.values() if rate.calls and rate.seconds]
    return f"; the limits allow them in {duration(max(times))} at best" if times and len(times) == len(allowed) else ""


def _open(count: int) -> str:
    return f", {count:,} not done" if count else ""


def _reasons(reasons: Mapping[str, int]) -> list[str]:
    ranked = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    lines = [f"  {count:,} × {reason}" for reason, count in ranked[:_MOST_REASONS]]
    rest = ranked[_MOST_REASONS:]
    if rest:
        lines.append(f"  {sum(count for _, count in rest):,} × {counted(len(rest), 'other reason')}")
    return lines


def _step(step: StepTally, seconds: float) -> str:
    words = f"{step.done:,} done"
    if step.calls:
        words += f" by {counted(step.calls, 'call')}"
    if step.done and seconds > 0:
        words += f" ({step.done / seconds:.1f}/s)"
    if step.empty:
        words += f", {step.empty:,} empty"
    if step.failed:
        words += f", {step.failed:,} failed"
    if step.asked_again:
        words += f", {counted(step.asked_again, 'answer')} in the place of others that were not accepted"
    if step.cost:
        words += f", {_cost(step.cost, step.done)}"
    if step.cut_short:
        whose = "its" if step.cut_short == 1 else "their"
        words += f", {counted(step.cut_short, 'answer')} cut short by {whose} limit on tokens"
    return words


def _model(model: ModelTally, allowed: AllowedRate | None) -> str:
    words = f"{counted(model.calls, 'call')}, {model.limited:,} × 429"
    if model.failed:
        words += f", {model.failed:,} failed"
    if allowed is not None and allowed.calls is not None and allowed.seconds:
        achieved, could = allowed.completed / allowed.seconds, allowed.calls / allowed.seconds
        words += f"; {achieved:.1f}/s of {could:.1f}/s that the provider's limits allow ({achieved / could:.0%})"
    elif model.first_call_at is not None and model.last_answer_at is not None:
        lasted = model.last_answer_at - model.first_call_at
        if lasted > 0:
            words += f"; {model.answered / lasted:.1f}/s"
        if allowed is not None and allowed.limit is not None:
            words += f" under a limit that ended at {allowed.limit} in flight"
    if model.input_tokens or model.output_tokens:
        words += f"; {counted(model.input_tokens, 'token')} in, {model.output_tokens:,} out"
    if model.cost:
        words += f"; {_cost(model.cost, model.answered)}"
    return words


def _cost(cost: float, answers: int) -> str:
    each = f", {money(cost / answers)} each" if answers > 1 else ""
    return f"cost {money(cost)}{each}"
