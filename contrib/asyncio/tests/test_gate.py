"""Calls under asyncio pass the same gate, by the same rules, as calls under trio."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NoReturn

import pytest

import penstock
import penstock_asyncio
from penstock import ConfigError, RequestAdmissionError, RequestReleaseOutcome, ResponseFacts

WALL = datetime(2026, 1, 1, tzinfo=UTC)

pytestmark = pytest.mark.loopback

Run = Callable[[Any], None]


def test_calls_keep_within_the_cap(run: Run, open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate(cap=3) as opened:

            async def call() -> None:
                async with opened.gate.request("acme/fast"):
                    await asyncio.sleep(0)

            await asyncio.gather(*(call() for _ in range(50)))
        assert opened.recorder.most_in_flight == 3
        assert opened.recorder.outcomes == ["success"] * 50

    run(main())


def test_the_options_are_those_of_the_core() -> None:
    core = inspect.signature(penstock.request).parameters.keys() - {"resource"}
    assert core == penstock.CallOptions.__annotations__.keys()
    of_execute = inspect.signature(penstock.execute).parameters.keys() - core
    for face in (penstock_asyncio.Gate, penstock_asyncio.SyncGate):
        assert inspect.signature(face.execute).parameters.keys() - {"self", "options"} == of_execute


def test_the_options_reach_the_gate(run: Run, open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            async with opened.gate.request("acme/fast", group="tenant", labels={"priority": "low"}) as attempt:
                assert attempt.lease.item.group.key == "tenant"
            with pytest.raises(RequestAdmissionError) as late:
                async with opened.gate.request("acme/fast", deadline=-1.0):
                    pass
            assert late.value.reason == "deadline"
            block = await opened.taken()
            with pytest.raises(RequestAdmissionError) as full:
                async with opened.gate.request("acme/fast", timeout=0):
                    pass
            assert full.value.reason == "no_capacity"
            await opened.leave(block)
        assert opened.recorder.events("request_lease_acquired")[0].labels == {"priority": "low"}

    run(main())


def test_a_timeout_is_one_of_the_gates_clock(run: Run, open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            block = await opened.taken()
            task = await opened.waiting(timeout=5.0)
            opened.clock.jump(5.0)
            with pytest.raises(RequestAdmissionError) as refused:
                await task
            assert refused.value.reason == "queue_timeout"
            await opened.leave(block)

    run(main())


class Unlike:
    """A thing that can be neither compared nor told in words."""

    def __eq__(self, other: object) -> bool:
        raise GeneratorExit

    def __repr__(self) -> str:
        raise RuntimeError

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("resource", "options"),
    [
        (7, {}),
        ("nobody", {}),
        ("acme/fast", {"timeout": -1}),
        ("acme/fast", {"deadline": "soon"}),
        ("acme/fast", {"labels": 3}),
        ("acme/fast", {"group": []}),
        ("acme/fast", {"cost": "much"}),
        ("acme/fast", {"domain": "dance"}),
        ("acme/fast", {"priority": Unlike()}),
    ],
)
def test_a_wrong_argument_is_an_error_to_its_caller_alone(open_gate: Any, resource: Any, options: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            block = await opened.taken()
            other = await opened.waiting()
            with pytest.raises(ConfigError):
                async with opened.gate.request(resource, **options):
                    pass
            with pytest.raises(ConfigError):
                await opened.gate.execute(other, resource, **options)
            await opened.leave(block)
            await other

    asyncio.run(main())


def test_an_unknown_option_is_a_type_error(open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            with pytest.raises(TypeError, match="colour"):
                async with opened.gate.request("acme/fast", colour="red"):
                    pass

    asyncio.run(main())


class Own(Exception):
    pass


async def timeout_of_ours() -> None:
    async with asyncio.timeout(0):
        await asyncio.Event().wait()


async def wait_for_of_ours() -> None:
    await asyncio.wait_for(asyncio.Event().wait(), 0.000001)


async def providers_timeout() -> None:
    raise TimeoutError


async def own_error() -> None:
    raise Own


async def broken_connection() -> None:
    raise ConnectionError


@pytest.mark.parametrize(
    ("call", "error", "outcome"),
    [
        (timeout_of_ours, TimeoutError, "local_timeout"),
        (wait_for_of_ours, TimeoutError, "local_timeout"),
        (providers_timeout, TimeoutError, "provider_timeout"),
        (broken_connection, ConnectionError, "provider_failure"),
        (own_error, Own, "unexpected_exception"),
    ],
)
def test_an_exception_is_classified_and_passes(run: Run, open_gate: Any, call: Any, error: Any, outcome: str) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            with pytest.raises(error):
                async with opened.gate.request("acme/fast"):
                    await call()
            with pytest.raises(error):
                await opened.gate.execute(lambda _: call(), "acme/fast", max_attempts=1)
        assert opened.recorder.outcomes == [outcome, outcome]

    run(main())


def test_what_is_said_of_the_answer_decides_the_outcome(open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            async with opened.gate.request("acme/fast") as attempt:
                attempt.answered(ResponseFacts(status=500, headers={}))
            async with opened.gate.request("acme/fast") as attempt:
                attempt.answered(ResponseFacts(status=500, headers={}))
                attempt.outcome = RequestReleaseOutcome(kind="success")
                assert attempt.outcome == RequestReleaseOutcome(kind="success")
            async with opened.gate.request("acme/fast") as attempt:
                attempt.answered(ResponseFacts(status=429, headers={}))
            await opened.recorder.until("model_request_completed", 3)
            assert attempt.outcome is not None
            assert attempt.outcome.kind == "rate_limited"
        assert opened.recorder.outcomes == ["provider_failure", "success", "rate_limited"]

    asyncio.run(main())


def test_hints_reach_the_limiters_while_the_call_is_out(open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate(cap=2) as opened, opened.gate.request("acme/fast") as attempt:
            attempt.observe(penstock.read_hints({"retry-after": "9"}, refused=True, wall_now=WALL))
            task = await opened.waiting()
            opened.clock.jump(9.0)
            await task

    asyncio.run(main())


def test_what_is_no_answer_no_outcome_and_no_hint_is_refused_at_once(open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            async with opened.gate.request("acme/fast") as attempt:
                for say in (attempt.answered, attempt.finish, attempt.observe):
                    with pytest.raises(ConfigError):
                        say("well")
                held = attempt.detach()
                with pytest.raises(ConfigError):
                    held.release("well")
                with pytest.raises(ConfigError):
                    held.release(error="ill")
            held.release()
        assert opened.recorder.outcomes == ["success"]

    asyncio.run(main())


# -- cancellation ------------------------------------------------------------------------------------------------------


def test_a_task_that_is_cancelled_while_it_waits_leaves_the_queue(run: Run, open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            block = await opened.taken()
            first, second = await opened.waiting(), await opened.waiting()
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            await opened.leave(block)
            await second

    run(main())


def test_a_lease_that_was_granted_to_a_cancelled_task_comes_back_as_never_begun(run: Run, open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            block = await opened.taken()
            task = await opened.waiting()
            await opened.leave(block)
            opened.recorder.wait_for("request_lease_acquired", 2)  # blocks the loop: the task knows nothing of it
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert opened.recorder.outcomes == ["success", "local_cancelled"]

    run(main())


def test_a_task_that_is_cancelled_inside_gives_its_lease_back(run: Run, open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:

            async def call() -> None:
                async with opened.gate.request("acme/fast"):
                    await asyncio.Event().wait()

            task = asyncio.create_task(call())
            await opened.recorder.until("model_request_started")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with opened.gate.request("acme/fast"):
                pass
        assert opened.recorder.outcomes == ["local_cancelled", "success"]

    run(main())


def test_a_task_that_is_cancelled_before_it_asks_asks_for_nothing(open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:

            async def call() -> None:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                async with opened.gate.request("acme/fast"):
                    pytest.fail("a cancelled task does not get in")

            with pytest.raises(asyncio.CancelledError):
                await asyncio.create_task(call())

    asyncio.run(main())


# -- detached, dropped, used wrongly -----------------------------------------------------------------------------------


def test_a_detached_attempt_ends_when_it_is_released_and_once(open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            async with opened.gate.request("acme/fast") as attempt:
                held = attempt.detach()
                assert attempt.detached
            task = await opened.waiting()
            assert held.release(RequestReleaseOutcome(kind="provider_failure"))
            assert not held.release()
            await task
        assert opened.recorder.outcomes == ["provider_failure", "success"]

    asyncio.run(main())


def test_a_detached_attempt_that_is_dropped_comes_back(open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            async with opened.gate.request("acme/fast") as attempt:
                held = attempt.detach()
            task = await opened.waiting()
            del held, attempt
            await task
        assert opened.recorder.outcomes == ["local_cancelled", "success"]

    asyncio.run(main())


def test_a_block_that_is_dropped_comes_back(open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            block = await opened.taken()
            task = await opened.waiting()
            del block
            await task
        assert opened.recorder.outcomes == ["local_cancelled", "success"]

    asyncio.run(main())


def test_a_block_is_good_for_one_use(open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            block = opened.gate.request("acme/fast")
            async with block:
                pass
            with pytest.raises(RuntimeError, match="entered before"):
                async with block:
                    pass
            with pytest.raises(RuntimeError, match="has not been entered, or has been left"):
                await block.__aexit__(None, None, None)

    asyncio.run(main())


def test_an_attempt_may_be_spoken_of_and_ended_in_another_loop(open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            block = opened.gate.request("acme/fast")
            attempt = await block.__aenter__()

            async def elsewhere() -> None:
                attempt.answered(ResponseFacts(status=500, headers={}))
                await block.__aexit__(None, None, None)

            await asyncio.to_thread(asyncio.run, elsewhere())
        assert opened.recorder.outcomes == ["provider_failure"]

    asyncio.run(main())


def test_it_can_be_looked_at(open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            block = await opened.taken()
            task = await opened.waiting()
            assert "acme/fast" in await opened.gate.explain()
            health = await opened.gate.health()
            assert (health.requests_in_flight, health.waiting_requests) == (1, 1)
            assert opened.gate.now() == 0.0
            await opened.leave(block)
            await task

    asyncio.run(main())


class OfNoClass(Exception):
    """What it says of its class raises."""

    @property  # type: ignore[misc]
    def __class__(self) -> NoReturn:  # type: ignore[override]
        raise ValueError("class")


@pytest.mark.parametrize("how", ["block", "detached", "execute"])
def test_an_error_that_cannot_be_looked_at_costs_no_lease(how: str, open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate(cap=1) as opened:
            gate, kept = opened.gate, None

            async def fails(_: object) -> None:
                raise OfNoClass

            try:
                if how == "execute":
                    await gate.execute(fails, "acme/fast")
                else:
                    async with gate.request("acme/fast") as attempt:
                        if how == "block":
                            raise OfNoClass
                        held = attempt.detach()
                    held.release(error=OfNoClass())
            except Exception as error:
                kept = error  # and with it all that its traceback knows
            async with gate.request("acme/fast", timeout=5):
                pass
            assert how != "block" or type(kept) is OfNoClass

    asyncio.run(main())
