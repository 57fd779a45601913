"""A lease is held until the body ends, raises, is closed or is collected, and comes back exactly once."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any

import pytest
import trio
import trio.testing

from penstock_dialects import Answer, Dialect, Shape
from penstock_httpx import admission
from penstock_httpx.testing import ScriptedBody


async def test_a_stream_is_not_held_back_and_holds_its_lease_until_it_ends(autojump_clock: Any, gate: Any) -> None:
    seen = []
    async with gate(ScriptedBody(b"a", b"b")) as opened, opened.stream() as response:
        started = trio.current_time()
        async for chunk in response.aiter_raw():
            seen.append((chunk, trio.current_time() - started, opened.in_flight))
        assert opened.in_flight == 0

    assert seen == [(b"a", 1.0, 1), (b"b", 2.0, 1)]
    assert opened.outcomes == ["success"]


async def test_leaving_a_stream_early_gives_the_lease_back_and_says_nothing_about_the_provider(
    autojump_clock: Any, gate: Any
) -> None:
    body = ScriptedBody(b"a", b"b")
    async with gate(body) as opened:
        async with opened.stream() as response, aclosing(response.aiter_raw()) as chunks:
            await anext(chunks)
        assert opened.in_flight == 0

    assert opened.outcomes == ["local_cancelled"]
    assert body.closed == 1


async def test_a_stream_that_is_left_after_its_last_event_was_a_success(autojump_clock: Any, gate: Any) -> None:
    done = ScriptedBody(b"data: {}\n\n", b"data: [DONE]\n\n")
    drained = ScriptedBody(b"data: {}\n\n", b"data: [DONE]\n\n", b": goodbye\n\n")
    async with gate(done, drained) as opened:
        for _ in range(2):
            async with opened.stream() as response, aclosing(response.aiter_raw()) as chunks:
                await anext(chunks)
                await anext(chunks)

    assert opened.outcomes == ["success", "success"]


async def test_a_body_that_is_iterated_a_second_time_goes_on_where_it_was(autojump_clock: Any, gate: Any) -> None:
    async with gate(ScriptedBody(b"a", b"b", b"c")) as opened:
        async with opened.stream() as response, aclosing(response.aiter_raw()) as chunks:
            first = await anext(chunks)
            rest = [chunk async for chunk in response.stream]
        assert (first, rest) == (b"a", [b"b", b"c"])

    assert opened.outcomes == ["success"]


async def test_closing_without_reading_gives_the_lease_back(autojump_clock: Any, gate: Any) -> None:
    async with gate(200) as opened:
        async with opened.stream():
            assert opened.in_flight == 1
        assert opened.in_flight == 0

    assert opened.outcomes == ["local_cancelled"]


async def test_an_answer_that_is_dropped_gives_its_lease_back_when_it_is_collected(
    autojump_clock: Any, gate: Any
) -> None:
    async with gate(200) as opened:
        response = await opened.head()
        assert opened.in_flight == 1
        del response
        gc.collect()
        await trio.testing.wait_all_tasks_blocked()
        assert opened.in_flight == 0


async def test_collecting_an_answer_after_the_run_harms_nothing(autojump_clock: Any, gate: Any) -> None:
    kept = []

    async with gate(200) as opened:
        kept.append(await opened.head())
        await kept[0].aclose()

    kept.clear()
    gc.collect()


# -- cancellation ----------------------------------------------------------------------------------------------------


class CancelAtStep(trio.abc.Instrument):
    """Cancels a scope when its task is about to take its n-th step, and so at each of its checkpoints in turn."""

    def __init__(self, scope: trio.CancelScope, step: int) -> None:
        self._task = trio.lowlevel.current_task()
        self._scope = scope
        self._steps_left = step
        self.cancelled = False

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self._steps_left -= 1
            if self._steps_left == 0:
                self.cancelled = True
                self._scope.cancel()


async def cancelled_at(step: int, call: Callable[[], Awaitable[None]]) -> bool:
    """Make a call that is cancelled at its n-th step; whether it took so many."""
    with trio.CancelScope() as scope:
        instrument = CancelAtStep(scope, step)
        trio.lowlevel.add_instrument(instrument)
        try:
            await call()
        finally:
            trio.lowlevel.remove_instrument(instrument)
    return instrument.cancelled


@pytest.mark.parametrize("manner", ["read at once", "streamed", "left early"])
async def test_a_call_that_is_cancelled_at_any_await_gives_its_lease_back_once(
    autojump_clock: Any, gate: Any, manner: str
) -> None:
    step, cancelled = 0, True
    while cancelled:
        step += 1
        async with gate(ScriptedBody(b"a", b"b"), 200) as opened:

            async def call(opened: Any = opened) -> None:
                if manner == "read at once":
                    await opened.ask()
                    return
                async with opened.stream() as response, aclosing(response.aiter_raw()) as chunks:
                    async for _ in chunks:
                        if manner == "left early":
                            break

            cancelled = await cancelled_at(step, call)
            assert opened.in_flight == 0
            released = len(opened.events("request_lease_released"))
            assert released == len(opened.events("request_lease_acquired"))
            if opened.outcomes:
                assert opened.outcomes[0] in ("local_cancelled", "success")
    assert step > 3, "it was cancelled at no more than a few awaits"


async def test_a_call_that_is_cancelled_while_it_waits_for_its_place_is_never_sent(
    autojump_clock: Any, gate: Any
) -> None:
    async with gate(200) as opened, opened.stream():
        with trio.move_on_after(0.5) as scope:
            await opened.ask()

    assert scope.cancelled_caught
    assert len(opened.inner.requests) == 1


@pytest.mark.parametrize("seconds", [0.5, 1.5, 2.5, 3.5])
async def test_a_call_that_takes_too_long_is_no_failure_of_the_provider(
    autojump_clock: Any, gate: Any, seconds: float
) -> None:
    async with gate(ScriptedBody(b"a", b"b")) as opened:
        with trio.move_on_after(seconds) as scope:
            await opened.ask()

    assert scope.cancelled_caught
    assert opened.outcomes == ["local_cancelled"]


async def test_the_lease_comes_back_from_an_answer_that_a_dialect_makes_nonsense_of(
    autojump_clock: Any, gate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(_: dict[str, Any], answer: Answer) -> None:
        setattr(answer, "finish", 5)  # noqa: B010  # a mistake that the types know of

    odd = Dialect(name="odd", shapes=(Shape("odd", lambda _: True, read),))
    monkeypatch.setattr(admission, "dialect_at", lambda _: odd)
    async with gate(ScriptedBody(b"{}")) as opened:
        with suppress(AttributeError):
            await opened.ask()
        assert opened.in_flight == 0
