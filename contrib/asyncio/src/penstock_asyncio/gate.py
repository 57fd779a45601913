"""The two faces of a gate: for code under asyncio, and for plain code in threads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from inspect import isasyncgen, isawaitable, iscoroutine, isgeneratorfunction
from typing import Any, TypeVar, Unpack, cast

import httpx2

import penstock
from penstock_asyncio.attempt import Attempt
from penstock_asyncio.block import RequestBlock, SyncRequestBlock
from penstock_asyncio.call import Call, Port
from penstock_asyncio.door import GateAsyncDoor, GateThreadDoor
from penstock_asyncio.execution import Execution
from penstock_asyncio.ports import Ports
from penstock_dialects import Decoder
from penstock_httpx import AdmissionTransport, RequestDescription, ThreadAdmissionTransport

__all__ = ["Gate", "SyncGate"]

R = TypeVar("R")

Describe = Callable[[httpx2.Request], RequestDescription]


class _Face:
    """What both faces have."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def now(self) -> float:
        """The gate's clock in seconds, by which deadlines are given."""
        return self._ports.run.now()

    def _look(self, port: Port, look: Callable[[penstock.Scheduler], object]) -> Call:
        async def work(_call: Call, _executor: penstock.ModelRequestExecutor) -> object:
            return look(self._ports.run.scheduler)

        return Call(port, work)


class Gate(_Face):
    """The request gate of a run that has a thread of its own, for code under asyncio. Made by `open_gate`.

    Any number of event loops may use it at once.
    """

    def request(
        self, resource: penstock.RequestResourceKey | str, **options: Unpack[penstock.CallOptions]
    ) -> RequestBlock:
        """One admitted call: `async with gate.request("provider/model") as attempt`, as `penstock.request`, with the
        same options.

        Entering it raises `ConfigError` for a wrong option, and `RequestAdmissionError` where the lease is refused.
        """
        return RequestBlock(self._ports, resource, cast("dict[str, Any]", options))

    async def execute(
        self,
        call: Callable[[Attempt], Awaitable[R]],
        resource: penstock.RequestResourceKey | str,
        *,
        max_attempts: int | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[penstock.CallOptions],
    ) -> R:
        """What `call(attempt)` returns, tried again where that may help, as `penstock.execute`, with the same options.

        The call is made in this task. Raises as `penstock.execute`.
        """
        port = self._ports.of_loop()
        execution = Execution(
            self._ports.run, port, call, resource, options, max_attempts=max_attempts, idempotency_key=idempotency_key
        )
        attempt = execution.attempt(await port.ask(execution.call))
        while True:
            with execution.making:
                return await _begun(call, attempt)
            attempt = execution.attempt(await port.reply(execution.call, execution.making.failed))

    def transport(
        self,
        inner: httpx2.AsyncBaseTransport | None = None,
        *,
        provider: str | None = None,
        describe: Describe | None = None,
        dialect: str | None = None,
        decoders: Mapping[str, Callable[[], Decoder]] | None = None,
    ) -> AdmissionTransport:
        """An httpx2 transport for asyncio clients whose requests pass this gate: `penstock_httpx.AdmissionTransport`,
        which explains the parameters.
        """
        return AdmissionTransport(
            inner,
            provider=provider,
            describe=describe,
            dialect=dialect,
            decoders=decoders,
            door=GateAsyncDoor(self._ports),
        )

    async def explain(self) -> str:
        """What every waiting call waits for, in words."""
        port = self._ports.of_loop()
        return cast(str, await port.ask(self._look(port, penstock.Scheduler.explain)))

    async def health(self) -> penstock.Health:
        """How the run is: what is queued and in flight, who waits longest, whether its loop keeps up."""
        port = self._ports.of_loop()
        return cast(penstock.Health, await port.ask(self._look(port, penstock.Scheduler.health)))

    @property
    def for_threads(self) -> SyncGate:
        """The same gate for plain code in threads."""
        return SyncGate(self._ports)


class SyncGate(_Face):
    """The request gate of a run that has a thread of its own, for plain code in any number of threads, which it blocks
    where they must wait. Made by `open_gate_sync`.
    """

    def request(
        self, resource: penstock.RequestResourceKey | str, **options: Unpack[penstock.CallOptions]
    ) -> SyncRequestBlock:
        """One admitted call: `with gate.request("provider/model") as attempt`. Else as `Gate.request`.

        Entering it raises `RuntimeError` in a thread where an event loop runs, which must not be blocked.
        """
        return SyncRequestBlock(self._ports, resource, cast("dict[str, Any]", options))

    def execute(
        self,
        call: Callable[[Attempt], R],
        resource: penstock.RequestResourceKey | str,
        *,
        max_attempts: int | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[penstock.CallOptions],
    ) -> R:
        """What the plain function `call(attempt)` returns, tried again where that may help. Else as `Gate.execute`."""
        port = self._ports.of_thread()
        execution = Execution(
            self._ports.run, port, call, resource, options, max_attempts=max_attempts, idempotency_key=idempotency_key
        )
        attempt = execution.attempt(port.ask(execution.call))
        while True:
            with execution.making:
                return _returned(call, attempt)
            attempt = execution.attempt(port.reply(execution.call, execution.making.failed))

    def transport(
        self,
        inner: httpx2.BaseTransport | None = None,
        *,
        provider: str | None = None,
        describe: Describe | None = None,
        dialect: str | None = None,
        decoders: Mapping[str, Callable[[], Decoder]] | None = None,
    ) -> ThreadAdmissionTransport:
        """An httpx2 transport for synchronous clients whose requests pass this gate:
        `penstock_httpx.ThreadAdmissionTransport`. Parameters as `Gate.transport`.
        """
        return ThreadAdmissionTransport(
            inner,
            provider=provider,
            describe=describe,
            dialect=dialect,
            decoders=decoders,
            door=GateThreadDoor(self._ports),
        )

    def explain(self) -> str:
        """What every waiting call waits for, in words."""
        port = self._ports.of_thread()
        return cast(str, port.ask(self._look(port, penstock.Scheduler.explain)))

    def health(self) -> penstock.Health:
        """How the run is: what is queued and in flight, who waits longest, whether its loop keeps up."""
        port = self._ports.of_thread()
        return cast(penstock.Health, port.ask(self._look(port, penstock.Scheduler.health)))

    @property
    def for_asyncio(self) -> Gate:
        """The same gate for code under asyncio."""
        return Gate(self._ports)


def _returned(call: Callable[[Attempt], R], attempt: Attempt) -> R:
    found = call(attempt)
    if iscoroutine(found) or isasyncgen(found) or isgeneratorfunction(call):
        if iscoroutine(found):
            found.close()  # nobody will await it
        returned = type(found).__name__
        raise penstock.ConfigError(f"call must be a plain function, and it returned {returned}: write `def`")
    return found


def _begun(call: Callable[[Attempt], Awaitable[R]], attempt: Attempt) -> Awaitable[R]:
    begun: object = call(attempt)
    if isawaitable(begun):
        return begun
    returned = type(begun).__name__
    raise penstock.ConfigError(f"call must be an async function, and it returned {returned}: write `async def`")
