"""What mypy must know of calls through the request gate. Nothing here runs: `mypy` reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_type

import penstock
from penstock import (
    Attempt,
    Condition,
    OutcomeKind,
    RequestAdmissionError,
    RequestGroupSpec,
    RequestReason,
    RequestReleaseOutcome,
    TaskReason,
)


async def answer(attempt: Attempt) -> Mapping[str, int]:
    return {attempt.attempt_id: 1}


async def options_are_known_by_name_and_type() -> None:
    async with penstock.request("acme/small", group=RequestGroupSpec("a"), timeout=3, deadline=5.0) as attempt:
        assert_type(attempt, Attempt)
    penstock.request("acme/small", time_out=3)  # type: ignore[call-arg]
    penstock.request("acme/small", timeout="3")  # type: ignore[arg-type]
    penstock.request("acme/small", cost=5)  # type: ignore[arg-type]
    penstock.request("acme/small", group=["a"])  # type: ignore[arg-type]
    penstock.request("acme/small", max_attempts=3)  # type: ignore[call-arg]


async def a_result_has_the_type_that_the_call_returns() -> None:
    assert_type(await penstock.execute(answer, "acme/small", max_attempts=3), Mapping[str, int])
    await penstock.execute(answer, "acme/small", max_atempts=3)  # type: ignore[call-arg]
    await penstock.execute("acme/small", answer)  # type: ignore[arg-type]


def how_a_call_ended_is_one_of_the_kinds(outcome: RequestReleaseOutcome) -> bool:
    assert_type(outcome.kind, OutcomeKind)
    RequestReleaseOutcome(kind="succes")  # type: ignore[arg-type]
    return outcome.kind == "timeout"  # type: ignore[comparison-overlap]


def a_refusal_tells_reason_and_conditions(error: RequestAdmissionError) -> None:
    assert_type(error.reason, TaskReason | RequestReason)
    assert_type(error.denied.until, frozenset[Condition])
    assert_type(error.denied.retry_after_seconds, float | None)
