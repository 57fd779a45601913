"""The coordinator: the one scheduler of a gateway with several workers, its `/metrics`, and what is served.

It calls no provider and has no clients: it gives places. From the first process it gets a socket for each worker, and
is asked to reload; to it go the plans, lest a coordinator that comes after this one serve by an old file.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from itertools import count
from typing import Final

import attrs
import trio

import penstock
from penstock_gateway.book import Book
from penstock_gateway.call_log import CallLog
from penstock_gateway.control import BEAT, NEW_WORKER, READY, RELOAD, RELOADED, Control, Newcomer
from penstock_gateway.door import clients_at_once
from penstock_gateway.front import Front
from penstock_gateway.link import Link
from penstock_gateway.loading import Serving
from penstock_gateway.local_gate import LocalGate
from penstock_gateway.messages import Counted, Inherited, Plan, Ready, Tell, from_worker
from penstock_gateway.metrics import Metrics
from penstock_gateway.plan import ServingPlan, pieces
from penstock_gateway.prepared import Prepared
from penstock_gateway.pulse import Pulse
from penstock_gateway.reloading import run_name
from penstock_gateway.server import Gateway, reload_from
from penstock_gateway.spending.at_work import SpendingAtWork, open_spending, time_of_day
from penstock_gateway.tallies import add, written
from penstock_gateway.upstreams import open_upstreams
from penstock_wire import open_poller

__all__ = ["coordinate"]

_log: Final = logging.getLogger("penstock.gateway")

TELL_TIMEOUT: Final = 1.0
"""Seconds that a page of metrics waits for what workers have counted."""


async def coordinate(
    control: Control,
    admin: Sequence[socket.socket],
    prepared: Prepared,
    load: Callable[[], Serving],
    keep: Callable[[bytes], None],
    kept: bytes | None,
) -> None:
    """Give places until the first process has ended, or, after SIGTERM, until there are no workers any more.

    `prepared` is what the first process had when it forked, `kept` what coordinators before this one have counted;
    `load` reads the configuration anew, and `keep` keeps what is counted.
    Raises `ConfigError` and `PluginError` where it cannot be served.
    """
    metrics = Metrics()
    if kept is not None:
        add(metrics, kept)
    serving = prepared.serving
    config = serving.gateway
    mocks = {name: each for name, each in prepared.upstreams.items() if each.target is None}
    with (
        trio.open_signal_receiver(signal.SIGTERM, signal.SIGQUIT) as signals,
        open_spending(serving.spending, time_of_day) as spending,
    ):
        async with (
            open_poller() as poller,
            open_upstreams(poller, mocks, connect_timeout=config.connect_timeout) as upstreams,
            _open_run(prepared, spending) as scheduler,
        ):
            gate = LocalGate(scheduler.requests, spending)
            front = Front(serving, upstreams, gate, metrics, CallLog(None, metrics, poller))
            gateway = Gateway(front, upstreams, scheduler, spending, poller)
            embedded = {name: each.url for name, each in upstreams.items()}
            book = Book(gate, trio.current_time)
            coordinator = Coordinator(gateway, book, control, embedded, load, keep, prepared.number)
            gateway.elsewhere = coordinator.connections
            gateway.connections_limit = coordinator.connections_limit
            gateway.before_page = coordinator.ask_for_counts
            gateway.on_reload = coordinator.spread
            gateway.reload_by(load)
            async with trio.open_nursery() as nursery:
                listeners = [trio.SocketListener(trio.socket.from_stdlib_socket(each)) for each in admin]
                nursery.start_soon(gateway.admin.serve, listeners)
                nursery.start_soon(coordinator.obey, nursery)
                nursery.start_soon(coordinator.tell_when_ready)
                nursery.start_soon(coordinator.tell_plans)
                nursery.start_soon(control.tell_life)
                nursery.start_soon(coordinator.end_who_hangs)
                async for number in signals:
                    gateway.front.draining = True
                    if number == signal.SIGQUIT or not coordinator.workers:
                        break
                    nursery.start_soon(coordinator.leave_as_the_last, nursery.cancel_scope)
                nursery.cancel_scope.cancel()


def _open_run(prepared: Prepared, spending: SpendingAtWork) -> AbstractAsyncContextManager[penstock.Scheduler]:
    """The run as the first process has prepared it, or one of its own."""
    serving, run = prepared.serving, prepared.run
    if isinstance(run, penstock.PreparedRun):
        return penstock.open_scheduler(run)
    plugins, name = spending.plugins(serving.spending), run_name(serving.config.source)
    if run is not None:
        return penstock.open_scheduler(run, plugins=plugins, run_id=name)
    return penstock.open_scheduler(serving.config, plugins=(*plugins, *serving.plugins), run_id=name)


@attrs.define(eq=False)
class WorkerAtWork:
    """What the coordinator knows of a worker."""

    link: Link
    process: int
    ready: bool = False
    connections: int = 0
    told: trio.Event = attrs.field(factory=trio.Event)
    """Set when the worker has answered `Tell`, or is gone."""


class Coordinator:
    """A coordinator at work."""

    def __init__(
        self,
        gateway: Gateway,
        book: Book,
        control: Control,
        embedded: dict[str, str],
        load: Callable[[], Serving],
        keep: Callable[[bytes], None],
        told: int,
    ) -> None:
        self._gateway = gateway
        self._book = book
        self._control = control
        self._embedded = embedded
        self._load = load
        self._keep = keep
        self._told = told
        """How many plans have been told, by this coordinator and those before it."""
        self._numbers = count(1)
        self.workers: dict[int, WorkerAtWork] = {}
        self._pulse = Pulse()
        self._empty = trio.Event()
        self._all_ready = trio.Event()
        self._reloaded = trio.Event()
        self._taken = deque[Plan | None]()
        """What the first process is to be told: plans in pieces, and behind them that a reload is over."""

    def connections(self) -> int:
        """How many clients are connected to workers, as those told last."""
        return sum(worker.connections for worker in self.workers.values())

    def connections_limit(self) -> int:
        """How many clients may be connected to all workers."""
        return len(self.workers) * clients_at_once(self._gateway.front.serving)

    async def ask_for_counts(self) -> None:
        """Wait until every worker has told what it has counted, or a second."""
        asked = list(self.workers.values())
        for worker in asked:
            worker.told = trio.Event()
            worker.link.post(Tell())
        with trio.move_on_after(TELL_TIMEOUT):
            for worker in asked:
                await worker.told.wait()

    async def end_who_hangs(self) -> None:
        """Ask all workers again and again whether they live, and end by force who does not say so."""
        while True:
            await trio.sleep(BEAT)
            for number in self._pulse.beat():
                process = self.workers[number].process
                _log.warning("a worker (process %d) hangs, and is ended", process)
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            for worker in self.workers.values():
                worker.link.post(Tell(page=False))

    async def tell_when_ready(self) -> None:
        """Tell the first process when all are at work."""
        await self._all_ready.wait()
        await self._control.tell(READY)

    async def obey(self, nursery: trio.Nursery) -> None:
        """Do what the first process says; the end, when that has ended."""
        while (said := await self._control.receive()) is not None:
            what, newcomer = said
            if what == NEW_WORKER and newcomer is not None:
                nursery.start_soon(self._serve, newcomer)
            elif what == RELOAD:
                nursery.start_soon(self._reload)
        nursery.cancel_scope.cancel()

    async def _reload(self) -> None:
        await reload_from(self._gateway, self._load)
        self._taken.append(None)
        self._reloaded.set()

    def spread(self, serving: Serving) -> None:
        """Tell all workers what is served from now on, and the first process at last."""
        self._told += 1
        for plan in pieces(ServingPlan(serving, self._embedded)):
            for worker in self.workers.values():
                worker.link.post(plan)
            self._taken.append(plan)
        self._reloaded.set()

    async def tell_plans(self) -> None:
        """Let the first process keep each plan that is taken, and know of each reload that is over."""
        while True:
            await self._reloaded.wait()
            self._reloaded = trio.Event()
            while self._taken:
                piece = self._taken.popleft()
                await (self._control.tell(RELOADED) if piece is None else self._control.tell_plan(piece))

    async def leave_as_the_last(self, coordinating: trio.CancelScope) -> None:
        """End when no worker is left."""
        await self._empty.wait()
        coordinating.cancel()

    async def _serve(self, newcomer: Newcomer) -> None:
        link = Link(newcomer.connected)
        number, worker = next(self._numbers), WorkerAtWork(link, newcomer.process)
        self.workers[number] = worker
        self._pulse.heard(number)  # from now on: it may hang before it is ready
        self._book.join(number, link.post)
        if newcomer.forked_after == self._told:
            link.post(Inherited(self._embedded))
        else:
            for plan in pieces(ServingPlan(self._gateway.front.serving, self._embedded)):
                link.post(plan)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(link.run)
                while (packet := await link.receive()) is not None:
                    self._pulse.heard(number)
                    try:
                        self._take(number, worker, packet)
                    except Exception:  # what one worker says wrongly is no other's fault: it goes, and comes anew
                        _log.exception("what a worker of the gateway said could not be understood")
                        break
                nursery.cancel_scope.cancel()
        finally:
            del self.workers[number]
            self._book.leave(number)
            self._pulse.gone(number)
            worker.told.set()
            link.close()
            if self._gateway.front.draining and not self.workers:
                self._empty.set()

    def _take(self, number: int, worker: WorkerAtWork, packet: bytes) -> None:
        for message in from_worker(packet):
            if isinstance(message, Counted):
                add(self._gateway.front.metrics, message.tallies)
                self._keep(written(self._gateway.front.metrics))
                worker.connections = message.connections
                if message.asked:
                    worker.told.set()
            elif isinstance(message, Ready):
                worker.ready = True
                if sum(each.ready for each in self.workers.values()) == self._gateway.front.serving.gateway.workers:
                    self._all_ready.set()
            else:
                self._book.take(number, message)
