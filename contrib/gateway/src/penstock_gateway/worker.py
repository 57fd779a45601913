"""A worker: it serves the clients that it accepts, for their whole life, and asks the coordinator for places.

SIGTERM                 no new connections; calls under way have `drain_seconds`
SIGQUIT                 the end, at once
the coordinator ends    as SIGTERM, but with `orphan_seconds`; who waits for a place is refused
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import IO, Final

import attrs
import trio

from penstock_gateway.call_log import CallLog
from penstock_gateway.door import Door
from penstock_gateway.front import Front
from penstock_gateway.link import Link
from penstock_gateway.loading import Serving
from penstock_gateway.messages import Counted, FromCoordinator, Inherited, Plan, Ready, Tell, from_coordinator
from penstock_gateway.metrics import Metrics
from penstock_gateway.plan import PlanReader, ServingPlan
from penstock_gateway.remote_gate import RemoteGate
from penstock_gateway.tallies import take
from penstock_gateway.upstream_spec import UpstreamSpec
from penstock_gateway.upstreams import open_upstreams
from penstock_wire import open_poller

__all__ = ["work"]

COUNTED_EVERY: Final = 1.0
"""Seconds, at least, between two tallies that are told unasked."""


async def work(
    coordinator: socket.socket,
    clients: Sequence[socket.socket],
    log: IO[bytes] | None,
    prefix: str,
    inherited: Serving,
    specs: Mapping[str, UpstreamSpec],
) -> None:
    """Serve until told to end, or until the coordinator has. `log` is shared with other workers; `prefix` makes the
    numbers of calls differ from theirs; `inherited` is what the first process had when it forked, `specs` are the
    providers.
    """
    link, plans = Link(coordinator), PlanReader()
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGQUIT) as signals:
        plan, later = await _first_plan(link, plans, inherited)
        if plan is None:
            return
        metrics = Metrics()
        async with (
            open_poller() as poller,
            open_upstreams(
                poller,
                specs,
                connect_timeout=plan.serving.gateway.connect_timeout,
                embedded=plan.embedded,
            ) as upstreams,
        ):
            with closing(CallLog(log, metrics, poller)) as calls:
                gate = RemoteGate(link.post, poller.now)
                front = Front(plan.serving, upstreams, gate, metrics, calls, prefix=prefix)
                worker = Worker(link, gate, front, Door(front, poller), plans)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(worker.listen, later, nursery.cancel_scope)
                    nursery.start_soon(worker.obey, signals, nursery.cancel_scope)
                    nursery.start_soon(link.run)
                    listeners = [trio.SocketListener(trio.socket.from_stdlib_socket(each)) for each in clients]
                    held = [HeldListener(listener, link) for listener in listeners]
                    nursery.start_soon(worker.door.accept, held)
                    link.post(Ready())
                worker.door.close()
                worker.tell_counts()
                link.flush()


async def _first_plan(
    link: Link, plans: PlanReader, inherited: Serving
) -> tuple[ServingPlan | None, list[FromCoordinator]]:
    """What to serve, and what was said after it; no plan, where the coordinator ended before."""
    while (packet := await link.receive()) is not None:
        messages = from_coordinator(packet)
        for number, message in enumerate(messages):
            if isinstance(message, Inherited):
                return ServingPlan(inherited, message.embedded), messages[number + 1 :]
            assert isinstance(message, Plan)
            if (plan := plans.take(message)) is not None:
                return plan, messages[number + 1 :]
    return None, []


class HeldListener(trio.abc.Listener[trio.SocketStream]):
    """A listener that takes nobody in while the coordinator does not hear what is said to it."""

    def __init__(self, listener: trio.SocketListener, link: Link) -> None:
        self._listener = listener
        self._link = link

    async def accept(self) -> trio.SocketStream:
        await self._link.roomy()
        return await self._listener.accept()

    async def aclose(self) -> None:
        await self._listener.aclose()


@attrs.define(eq=False)
class Worker:
    """A worker at work."""

    link: Link
    gate: RemoteGate
    front: Front
    door: Door
    plans: PlanReader
    counted_at: float = attrs.field(factory=trio.current_time)

    async def listen(self, first: list[FromCoordinator], serving: trio.CancelScope) -> None:
        """Hear the coordinator, and end within the grace when it has ended."""
        self.take(first)
        while (packet := await self.link.receive()) is not None:
            self.take(from_coordinator(packet))
            if trio.current_time() - self.counted_at >= COUNTED_EVERY:
                self.tell_counts()
        self.gate.close()
        await self.door.drain(self.front.serving.gateway.orphan_seconds)
        serving.cancel()

    def take(self, messages: list[FromCoordinator]) -> None:
        for message in messages:
            if isinstance(message, Plan):
                if (plan := self.plans.take(message)) is not None:
                    self.front.use(plan.serving)
            elif isinstance(message, Tell):
                self.tell_counts(asked=message.page)
            else:
                assert not isinstance(message, Inherited), "it is told before all else"
                self.gate.take(message)

    def tell_counts(self, *, asked: bool = False) -> None:
        """Say what has been counted since the last time."""
        self.counted_at = trio.current_time()
        self.link.post(Counted(take(self.front.metrics), self.door.connections, asked))

    async def obey(self, signals: object, serving: trio.CancelScope) -> None:
        """Do as signals say."""
        async with trio.open_nursery() as nursery:
            async for number in signals:  # type: ignore[attr-defined]
                if number == signal.SIGQUIT:
                    break
                if not self.front.draining:
                    nursery.start_soon(self.leave, serving)
            serving.cancel()

    async def leave(self, serving: trio.CancelScope) -> None:
        await self.door.drain(self.front.serving.gateway.drain_seconds)
        serving.cancel()
