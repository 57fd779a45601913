"""Plain code in threads passes the gate too, and is blocked where it must wait."""

from __future__ import annotations

import asyncio
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import trio

from penstock import ConfigError, RequestAdmissionError, ResponseFacts

pytestmark = pytest.mark.loopback


def test_threads_keep_within_the_cap(open_gate_sync: Any) -> None:
    with open_gate_sync(cap=2) as opened, ThreadPoolExecutor(8) as pool:

        def call(number: int) -> int:
            with opened.gate.request("acme/fast", group=f"tenant-{number % 3}"):
                return number

        assert list(pool.map(call, range(40))) == list(range(40))
    assert opened.recorder.most_in_flight == 2
    assert opened.recorder.outcomes == ["success"] * 40


def test_what_a_thread_says_of_its_call_decides_the_outcome(open_gate_sync: Any) -> None:
    with open_gate_sync() as opened:
        with opened.gate.request("acme/fast") as attempt:
            attempt.answered(ResponseFacts(status=500, headers={}))
        with pytest.raises(ConnectionError), opened.gate.request("acme/fast"):
            raise ConnectionError
        with pytest.raises(ConfigError), opened.gate.request("acme/fast", timeout=-1):
            pass
        with opened.gate.request("acme/fast"), pytest.raises(RequestAdmissionError):  # noqa: SIM117
            with opened.gate.request("acme/fast", timeout=0):
                pass
        assert opened.gate.health().requests_in_flight == 0
        assert opened.gate.now() == 0.0
    assert opened.recorder.outcomes == ["provider_failure", "provider_failure", "success"]


def test_a_plain_call_is_made_in_its_thread_and_tried_again(open_gate_sync: Any) -> None:
    with open_gate_sync() as opened, ThreadPoolExecutor(1) as pool:
        errors = [ConnectionError()]

        def call(attempt: Any) -> int:
            if errors:
                raise errors.pop()
            return threading.get_ident()

        def whole() -> tuple[int, int]:
            return opened.gate.execute(call, "acme/fast"), threading.get_ident()

        result = pool.submit(whole)
        while "after a failed attempt" not in opened.gate.explain():
            assert not result.done()
        opened.clock.jump(30.0)
        assert len(set(result.result())) == 1

        def fails(attempt: Any) -> None:
            raise LookupError

        with pytest.raises(LookupError):
            opened.gate.execute(fails, "acme/fast")
    assert opened.recorder.outcomes == ["provider_failure", "success", "unexpected_exception"]


def test_ctrl_c_ends_a_wait_and_a_call(open_gate_sync: Any) -> None:
    with open_gate_sync() as opened:

        def interrupt() -> None:
            opened.recorder.wait_for("request_wait_started", 2)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        def interrupted(attempt: Any) -> None:
            raise KeyboardInterrupt

        with opened.gate.request("acme/fast"):
            thread = threading.Thread(target=interrupt)
            thread.start()
            with pytest.raises(KeyboardInterrupt), opened.gate.request("acme/fast"):
                pytest.fail("there is one place")
            thread.join()
        with pytest.raises(KeyboardInterrupt):
            opened.gate.execute(interrupted, "acme/fast")
        assert opened.gate.explain().endswith("no request is waiting")
    assert opened.recorder.outcomes == ["success", "local_cancelled"]


def test_who_waits_in_a_thread_when_the_gate_is_closed_is_refused(open_gate_sync: Any) -> None:
    with ThreadPoolExecutor(1) as pool:
        with open_gate_sync() as opened:
            block = opened.gate.request("acme/fast")
            block.__enter__()

            def wait() -> None:
                with opened.gate.request("acme/fast"):
                    pytest.fail("the gate is closed")

            waiting = pool.submit(wait)
            opened.recorder.wait_for("request_wait_started", 2)
            waiting.add_done_callback(lambda _: block.__exit__(None, None, None))
        with pytest.raises(RequestAdmissionError) as refused:
            waiting.result()
        assert refused.value.reason == "shutdown"


def test_it_never_blocks_an_event_loop(open_gate_sync: Any) -> None:
    with open_gate_sync() as opened:

        async def use() -> None:
            with pytest.raises(RuntimeError, match=r"this would block the event loop: use `gate\.for_asyncio`"):
                opened.gate.explain()
            async with opened.gate.for_asyncio.request("acme/fast"):
                pass

        async def under_trio() -> None:
            with (
                pytest.raises(RuntimeError, match=r"this would block the trio run.*penstock\.open_scheduler"),
                opened.gate.request("acme/fast"),
            ):
                pass

        asyncio.run(use())
        trio.run(under_trio)


def test_a_gate_of_asyncio_serves_threads_too(open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:

            def plain() -> None:
                with opened.gate.for_threads.request("acme/fast"):
                    pass

            await asyncio.to_thread(plain)
        assert opened.recorder.outcomes == ["success"]

    asyncio.run(main())


@pytest.mark.filterwarnings("error")  # of a coroutine that nobody awaited
def test_a_call_in_a_thread_that_has_only_been_begun_is_no_success(open_gate_sync: Any) -> None:
    async def asynchronous(_: object) -> None:
        raise AssertionError

    async def pieces(_: object) -> Any:
        yield 1

    def plain_pieces(_: object) -> Any:
        yield 1

    with open_gate_sync() as opened:
        for function in (asynchronous, pieces, plain_pieces):
            with pytest.raises(ConfigError, match="call must be a plain function, and it returned"):
                opened.gate.execute(function, "acme/fast")
        assert opened.gate.health().requests_in_flight == 0
    assert "success" not in opened.recorder.outcomes
