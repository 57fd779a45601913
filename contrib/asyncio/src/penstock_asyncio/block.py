"""The block of one call: it waits for the lease in another thread, and gives it back there."""

from __future__ import annotations

from types import TracebackType
from typing import Any, NoReturn

import penstock
from penstock_asyncio.attempt import Attempt, neutral
from penstock_asyncio.call import Call, Held, OnTurn, Port
from penstock_asyncio.ports import Ports

__all__ = ["RequestBlock", "SyncRequestBlock"]


class _Block:
    """What both blocks do. The end posts and waits for nothing, so no cancellation can come between."""

    __slots__ = ("__weakref__", "_attempt", "_held", "_options", "_port", "_ports", "_resource")

    def __init__(self, ports: Ports, resource: penstock.RequestResourceKey | str, options: dict[str, Any]) -> None:
        self._held: Held | None = None
        self._ports = ports
        self._resource = resource
        self._options = options
        self._port: Port | None = None
        self._attempt: Attempt | None = None

    def _call(self, port: Port) -> Call:
        if self._port is not None:
            raise RuntimeError("this block has been entered before: ask the gate for another one")
        self._port = port
        return Call(port, self._acquire, _not_begun, self._ask)

    def _ask(
        self, executor: penstock.ModelRequestExecutor, on_turn: OnTurn
    ) -> penstock.Attempt | penstock.WaitingAttempt:
        return executor.ask(self._resource, on_turn, **self._options)

    async def _acquire(self, call: Call, executor: penstock.ModelRequestExecutor) -> Held:
        options = self._options if call.timeout is None else {**self._options, "timeout": call.timeout}
        async with executor.attempt(self._resource, **options) as attempt:
            held = Held(attempt, call.port, self._ports.run.held)
            held.take_over()
        return held

    def _enter(self, held: Held) -> Attempt:
        self._held = held
        self._attempt = attempt = Attempt(held, self._ports.run)
        return attempt

    def _leave(self, error: BaseException | None) -> None:
        held, attempt, port = self._held, self._attempt, self._port
        if held is None or attempt is None or port is None:
            raise RuntimeError("this block has not been entered, or has been left")
        if error is not None or not attempt.detached:
            known = None if error is None else neutral(error)
            port.end(held.release, None, known, self._ports.run.clock.current_time())
        self._held = self._attempt = None

    def __del__(self) -> None:
        held = self._held
        if held is not None:
            self._ports.run.inbox.post(held.give_up, "its block was dropped")


class RequestBlock(_Block):
    """The block of one call under asyncio: `async with` waits for the lease, and gives it back with the classified
    outcome at the end. Good for one use.
    """

    __slots__ = ()

    def __enter__(self) -> NoReturn:
        raise RuntimeError(
            "a call of this gate under asyncio is `async with gate.request(...)`; "
            "in a plain thread it is `with gate.for_threads.request(...)`"
        )

    def __exit__(self, *_: object) -> None:
        """Never called: there is no way in."""

    async def __aenter__(self) -> Attempt:
        port = self._ports.of_loop()
        return self._enter(await port.ask(self._call(port)))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)


class SyncRequestBlock(_Block):
    """The block of one call in a plain thread, which `with` blocks until the lease is there. Good for one use."""

    __slots__ = ()

    def __enter__(self) -> Attempt:
        port = self._ports.of_thread()
        return self._enter(port.ask(self._call(port)))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)


def _not_begun(held: Held) -> None:
    held.give_up("cancelled before it began", went_out=False)
