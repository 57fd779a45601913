"""What a caller's own code does wrong while it runs ends what that caller holds, and nothing of others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from threading import Thread
from typing import Any, NoReturn

import pytest
import trio
from trio.testing import MockClock

import penstock
from penstock import ConfigError, PenstockError

CONFIG = {"providers": {"acme": {"models": {"small": {"max_parallel_requests": 2}}}}, "plugins": {"sinks": []}}
Attack = Callable[[penstock.Scheduler], Awaitable[object]]


async def innocent(name: str) -> str:
    async with penstock.request("acme/small"):
        await trio.sleep(10)
    return name


async def beside_others(attack: Attack) -> BaseException | None:
    """What the attack raises to whom it belongs to; all others must be carried out, and every lease be back."""
    raised: BaseException | None = None
    async with penstock.open_scheduler(CONFIG) as scheduler:
        others = [scheduler.start_soon(innocent, name, group=name) for name in ("a", "b", "c", "d")]
        await trio.sleep(1)
        try:
            await attack(scheduler)
        except Exception as error:
            raised = error
        assert [await other for other in others] == ["a", "b", "c", "d"]
        scheduler.check_invariants()
    assert scheduler.report is not None
    assert scheduler.report.leases[0] == scheduler.report.leases[1]
    assert scheduler.report.request_leases[0] == scheduler.report.request_leases[1]
    return raised


class Ended(BaseException):
    """No `Exception`."""


class OfNoClassEither(BaseException):
    @property  # type: ignore[misc]
    def __class__(self) -> NoReturn:  # type: ignore[override]
        raise ValueError("class")


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class Sealed(Exception):
    """Nothing can be noted on it, and nothing be looked up."""

    def __setattr__(self, name: str, value: object) -> None:
        raise ValueError(name)

    def __getattr__(self, name: str) -> NoReturn:
        raise ValueError(name)


class Closed(Exception):
    def __getattribute__(self, name: str) -> NoReturn:
        raise ValueError(name)


class OfNoClass(Exception):
    @property  # type: ignore[misc]
    def __class__(self) -> NoReturn:  # type: ignore[override]
        raise ValueError("class")


class CountsAsFalse(Exception):
    def __bool__(self) -> bool:
        return False


class NoNotes(Exception):
    __notes__ = "no list"  # type: ignore[assignment]


class Stubborn(BaseExceptionGroup[BaseException]):
    def split(self, *_: Any) -> NoReturn:
        raise ValueError("no halves")


async def a_cancellation_of_before() -> NoReturn:
    kept = None
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.sleep(1)
        except trio.Cancelled as error:
            kept = error
    assert kept is not None
    raise kept


def raising(error: BaseException) -> Callable[[], Awaitable[None]]:
    async def fn() -> None:
        await trio.sleep(0)
        raise error

    return fn


@pytest.mark.parametrize(
    "fn",
    [
        pytest.param(raising(SystemExit(3)), id="SystemExit"),
        pytest.param(raising(Ended()), id="no Exception"),
        pytest.param(raising(OfNoClassEither()), id="what cannot be looked at"),
        pytest.param(raising(asyncio.CancelledError()), id="asyncio's cancellation"),
        pytest.param(raising(BaseExceptionGroup("both", [Ended(), ValueError()])), id="a group"),
        pytest.param(raising(Stubborn("none", [Ended()])), id="a group that cannot be split"),
        pytest.param(a_cancellation_of_before, id="a cancellation that is over"),
    ],
)
async def test_a_task_that_raises_no_exception_ends_alone(
    autojump_clock: MockClock, fn: Callable[[], Awaitable[None]]
) -> None:
    async def attack(scheduler: penstock.Scheduler) -> None:
        await scheduler.start_soon(fn)

    raised = await beside_others(attack)
    assert isinstance(raised, PenstockError)
    assert "it alone ends by that" in str(raised)
    assert raised.__cause__ is not None


@pytest.mark.parametrize("kind", [Unprintable, Sealed, Closed, OfNoClass, CountsAsFalse, NoNotes])
@pytest.mark.parametrize("where", ["task", "call"])
async def test_an_exception_that_cannot_be_looked_at_is_its_tasks_own(
    autojump_clock: MockClock, kind: type[Exception], where: str
) -> None:
    async def fn() -> None:
        if where == "task":
            raise kind
        async with penstock.request("acme/small"):
            raise kind

    async def attack(scheduler: penstock.Scheduler) -> None:
        await scheduler.start_soon(fn, retry_on=(kind,), max_attempts=2)

    assert type(await beside_others(attack)) is kind


async def test_a_callback_that_raises_no_exception_is_told_at_the_end(autojump_clock: MockClock) -> None:
    def leaves(_: object) -> NoReturn:
        raise SystemExit(3)

    async def attack(scheduler: penstock.Scheduler) -> None:
        scheduler.start_soon(innocent, "e").add_done_callback(leaves)

    with pytest.raises(ExceptionGroup) as told:
        await beside_others(attack)
    assert told.group_contains(PenstockError, match="a callback raised SystemExit")


async def test_what_is_no_callback_is_refused(autojump_clock: MockClock) -> None:
    async def attack(scheduler: penstock.Scheduler) -> None:
        handle: Any = scheduler.start_soon(innocent, "e")
        try:
            handle.add_done_callback("print")
        finally:
            await handle

    raised = await beside_others(attack)
    assert isinstance(raised, ConfigError)
    assert "callback must be a function" in str(raised)


async def test_a_source_that_raises_no_exception_raises_to_its_map(autojump_clock: MockClock) -> None:
    async def source() -> AsyncIterator[str]:
        yield "e"
        raise Ended

    async def attack(scheduler: penstock.Scheduler) -> None:
        async with scheduler.map(innocent, source()) as results:
            async for _ in results:
                pass

    raised = await beside_others(attack)
    assert isinstance(raised, PenstockError)
    assert "the source of the items raised Ended" in str(raised)


@pytest.mark.parametrize("error", [ValueError("not so fast"), SystemExit(3), Ended(), asyncio.CancelledError()])
async def test_a_source_that_raises_when_it_is_closed_is_logged(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    async def source() -> AsyncIterator[str]:
        try:
            while True:
                yield "e"
        finally:
            raise error

    async def attack(scheduler: penstock.Scheduler) -> None:
        async with scheduler.map(innocent, source(), window=1) as results:
            async for _ in results:
                break

    assert await beside_others(attack) is None
    assert "raised while it was closed" in caplog.text


async def test_a_map_without_its_block_is_told_so_and_does_not_wait(autojump_clock: MockClock) -> None:
    async def attack(scheduler: penstock.Scheduler) -> None:
        async for _ in scheduler.map(innocent, ["e"]):
            pass

    raised = await beside_others(attack)
    assert isinstance(raised, RuntimeError)
    assert "async with" in str(raised)


async def test_what_an_attempt_holds_cannot_be_put_off_by_its_caller(autojump_clock: MockClock) -> None:
    async def attack(_: penstock.Scheduler) -> None:
        async with penstock.request("acme/small") as attempt:
            given: Any = attempt
            given.lease = None

    assert isinstance(await beside_others(attack), AttributeError)


async def test_what_a_call_was_admitted_with_cannot_be_changed_while_it_is_out(autojump_clock: MockClock) -> None:
    async def attack(_: penstock.Scheduler) -> None:
        async with penstock.request("acme/small") as attempt:
            lease: Any = attempt.lease
            for thing, name in ((lease, "item"), (lease, "tokens"), (lease.item, "resource"), (lease.item, "cost")):
                with pytest.raises(AttributeError):
                    setattr(thing, name, None)

    assert await beside_others(attack) is None


async def test_an_outcome_that_is_none_is_refused_and_the_lease_comes_back(autojump_clock: MockClock) -> None:
    async def attack(_: penstock.Scheduler) -> None:
        async with penstock.request("acme/small") as attempt:
            given: Any = attempt
            given.outcome = "success"

    assert isinstance(await beside_others(attack), ConfigError)


async def test_a_plain_function_in_place_of_a_call_is_told_so_and_its_lease_comes_back(
    autojump_clock: MockClock,
) -> None:
    async def attack(_: penstock.Scheduler) -> None:
        plain: Any = len
        await penstock.execute(lambda attempt: plain(attempt.attempt_id), "acme/small")

    error = await beside_others(attack)
    assert isinstance(error, ConfigError)
    assert "call must be an async function" in str(error)


async def test_what_a_task_comes_after_may_be_given_by_an_iterator(autojump_clock: MockClock) -> None:
    ended: list[str] = []

    async def end(name: str) -> None:
        await trio.sleep(1 if name == "first" else 0)
        ended.append(name)

    async def attack(scheduler: penstock.Scheduler) -> None:
        after: Any = iter(["first"])
        members_of: Any = iter(["all"])
        scheduler.add(
            [
                penstock.TaskSpec(task_id="all", fn=end, args=("all",), barrier=True),
                penstock.TaskSpec(task_id="first", fn=end, args=("first",)),
                penstock.TaskSpec(task_id="then", fn=end, args=("then",), after=after, members_of=members_of),
            ]
        )
        scheduler.seal("all")

    assert await beside_others(attack) is None
    assert ended == ["first", "then", "all"]


@pytest.mark.parametrize("member", [Ended, GeneratorExit])
async def test_a_group_without_end_is_its_tasks_own(autojump_clock: MockClock, member: type[BaseException]) -> None:
    async def fn() -> None:
        nested: BaseException = member()
        for _ in range(3000):
            nested = BaseExceptionGroup("nested", [nested])
        raise nested

    async def attack(scheduler: penstock.Scheduler) -> None:
        handle = scheduler.start_soon(fn)
        await handle.wait()
        assert isinstance(handle.error, PenstockError)

    assert await beside_others(attack) is None


async def test_an_error_that_cannot_be_asked_whether_it_is_tried_again_is_not(autojump_clock: MockClock) -> None:
    tries: list[str] = []

    async def fn() -> None:
        tries.append("once")
        raise OfNoClass

    async def attack(scheduler: penstock.Scheduler) -> None:
        await scheduler.start_soon(fn, retry_on=(KeyError,), max_attempts=2)

    assert type(await beside_others(attack)) is OfNoClass
    assert tries == ["once"]


async def test_a_task_cannot_be_awaited_in_the_loop_of_another_thread(autojump_clock: MockClock) -> None:
    told: list[BaseException] = []

    async def attack(scheduler: penstock.Scheduler) -> None:
        handle = scheduler.start_soon(innocent, "e")

        async def elsewhere() -> None:
            try:
                with trio.move_on_after(60):
                    await handle
            except RuntimeError as error:
                told.append(error)

        thread = Thread(target=trio.run, args=(elsewhere,), kwargs={"clock": MockClock(autojump_threshold=0)})
        thread.start()
        thread.join()
        assert await handle == "e"

    assert await beside_others(attack) is None
    assert "belongs to another thread" in str(told)
