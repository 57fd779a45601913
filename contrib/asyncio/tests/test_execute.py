"""A call with retries is made where its caller is, and retried by the rules of the core."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest

from penstock import ConfigError, RequestAdmissionError

pytestmark = pytest.mark.loopback

Run = Callable[[Any], None]

WHERE: ContextVar[str] = ContextVar("where", default="elsewhere")


def test_a_call_is_made_in_the_task_of_its_caller(run: Run, open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            WHERE.set("here")
            own = asyncio.current_task()

            async def call(attempt: Any) -> str:
                assert asyncio.current_task() is own
                assert attempt.idempotency_key == "one"
                return WHERE.get()

            assert await opened.gate.execute(call, "acme/fast", idempotency_key="one") == "here"
        assert opened.recorder.outcomes == ["success"]

    run(main())


def test_a_failure_of_the_provider_is_tried_again_after_a_pause_of_the_gates_clock(run: Run, open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            errors = [ConnectionError(), ConnectionError()]

            async def call(attempt: Any) -> str:
                if errors:
                    raise errors.pop()
                return "done"

            task = asyncio.create_task(opened.gate.execute(call, "acme/fast"))
            for failures in (1, 2):
                await opened.recorder.until("model_request_completed", failures)
                while "after a failed attempt" not in await opened.gate.explain():
                    assert not task.done()
                opened.clock.jump(30.0)
            assert await task == "done"
        assert opened.recorder.outcomes == ["provider_failure", "provider_failure", "success"]

    run(main())


def test_an_error_that_is_not_tried_again_is_the_callers_own_and_tells_only_of_his_code(open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            error = LookupError("gone")

            async def call(attempt: Any) -> None:
                raise error

            with pytest.raises(LookupError) as raised:
                await opened.gate.execute(call, "acme/fast")
            assert raised.value is error
            assert error.__context__ is None
            modules = [str(frame.f_globals["__name__"]) for frame, _ in traceback.walk_tb(error.__traceback__)]
            assert modules[-1] == __name__
            assert not [name for name in modules if name.startswith(("penstock.", "trio."))]

    asyncio.run(main())


def test_a_call_that_is_refused_raises_the_refusal(open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:

            async def call(attempt: Any) -> None:
                pytest.fail("it has no place")

            with pytest.raises(RequestAdmissionError) as refused:
                await opened.gate.execute(call, "acme/unheard-of")
            assert refused.value.reason == "never_fits"
            block = await opened.taken()
            with pytest.raises(RequestAdmissionError):
                await opened.gate.execute(call, "acme/fast", timeout=0)
            await opened.leave(block)

    asyncio.run(main())


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize("call", [None, Unspeakable()])
def test_what_cannot_be_called_is_refused(open_gate: Any, call: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            with pytest.raises(ConfigError, match="call must be a function that takes the attempt"):
                await opened.gate.execute(call, "acme/fast")

    asyncio.run(main())


def test_a_plain_function_in_place_of_a_call_is_told_so(run: Run, open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            with pytest.raises(ConfigError, match="call must be an async function"):
                await opened.gate.execute(lambda attempt: "plain", "acme/fast")
            assert await opened.gate.execute(nothing, "acme/fast") is None

    run(main())


async def nothing(_: object) -> None:
    pass


@pytest.mark.parametrize("place", ["in line", "out", "pausing"])
def test_a_task_that_is_cancelled_ends_its_call_wherever_that_is(run: Run, open_gate: Any, place: str) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            out = asyncio.Event()

            async def call(attempt: Any) -> None:
                if place == "pausing":
                    raise ConnectionError
                out.set()
                await asyncio.Event().wait()

            block = await opened.taken() if place == "in line" else None
            task = asyncio.create_task(opened.gate.execute(call, "acme/fast"))
            if place == "out":
                await out.wait()
            elif place == "pausing":
                while "after a failed attempt" not in await opened.gate.explain():
                    assert not task.done()
            else:
                await opened.recorder.until("request_wait_started", 2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            if block is not None:
                await opened.leave(block)
            async with opened.gate.request("acme/fast"):
                pass
            assert (await opened.gate.explain()).endswith("no request is waiting")
        first = {"in line": "success", "out": "local_cancelled", "pausing": "provider_failure"}[place]
        assert opened.recorder.outcomes == [first, "success"]

    run(main())


def test_an_attempt_of_execute_can_be_detached(open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:

            async def call(attempt: Any) -> Any:
                return attempt.detach()

            held = await opened.gate.execute(call, "acme/fast")
            task = await opened.waiting()
            assert (await opened.gate.health()).waiting_requests == 1
            held.release()
            await task

    asyncio.run(main())


def test_an_error_of_a_call_whose_gate_was_closed_meanwhile_is_the_callers_own(open_gate: Any) -> None:
    async def main() -> None:
        goes_on = asyncio.Event()
        error = ConnectionError()

        async def call(attempt: Any) -> None:
            await goes_on.wait()
            raise error

        with pytest.raises(KeyError):  # noqa: PT012
            async with open_gate() as opened:
                task = asyncio.create_task(opened.gate.execute(call, "acme/fast"))
                await opened.recorder.until("model_request_started")
                raise KeyError
        goes_on.set()
        with pytest.raises(ConnectionError) as raised:
            await task
        assert raised.value is error

    asyncio.run(main())


def test_a_block_of_asyncio_entered_as_one_of_a_thread_names_both_ways(open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            with pytest.raises(RuntimeError, match=r"async with gate.request.*gate.for_threads.request"):
                opened.gate.request("acme/fast").__enter__()

    asyncio.run(main())
