"""A gateway at work: it listens, answers, and ends in order.

SIGTERM or SIGINT   not ready, no new connections, what is under way ends within `drain_seconds`
once more           what is under way ends at once
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from os.path import realpath
from pathlib import Path
from typing import Final

import trio

import penstock
from penstock import ConfigError, PenstockError, printable
from penstock_gateway.admin_port import TEXT, AdminPort, Page
from penstock_gateway.call_log import open_log
from penstock_gateway.door import Door
from penstock_gateway.front import Front
from penstock_gateway.gauges import gauges_of
from penstock_gateway.listening import cannot_listen
from penstock_gateway.loading import Serving
from penstock_gateway.local_gate import LocalGate
from penstock_gateway.metrics import Metrics
from penstock_gateway.reloading import Reloaded, changes_of, needs_a_new_start, run_name
from penstock_gateway.saying import say
from penstock_gateway.service_manager import READY, STOPPING, ServiceManager
from penstock_gateway.spending.at_work import SpendingAtWork, Wall, open_spending, time_of_day
from penstock_gateway.status import WorkerStanding, status_json, status_page
from penstock_gateway.upstream_spec import upstream_specs
from penstock_gateway.upstreams import Upstream, open_upstreams
from penstock_wire import Poller, open_poller

__all__ = ["Gateway", "open_gateway", "reload_from", "serve_until_signal"]

_log: Final = logging.getLogger("penstock.gateway")
_BACKLOG: Final = 1024
_RELOADING: Final = (signal.SIGHUP,) if sys.platform != "win32" else ()


class Gateway:
    """A gateway that serves. `url` is what clients take as a base URL, with `/v1`; at `admin_url` is `/metrics`."""

    def __init__(
        self,
        front: Front,
        upstreams: Mapping[str, Upstream],
        scheduler: penstock.Scheduler,
        spending: SpendingAtWork,
        poller: Poller,
    ) -> None:
        self.front = front
        self.spending = spending
        self.upstreams = upstreams
        self.url = ""
        self.admin_url = ""
        self._began = trio.current_time()
        self._scheduler = scheduler
        self._requests = scheduler.requests
        self.door = Door(front, poller)
        self.admin = AdminPort(self._page)
        self.elsewhere: Callable[[], int] = lambda: 0
        """How many clients are connected to its workers."""
        self.connections_limit: Callable[[], int] = lambda: self.door.most
        """How many clients may be."""
        self.before_page: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
        """Awaited before the page of metrics is made."""
        self._reading = trio.CapacityLimiter(1)
        """Held by one reload at a time, while its file is read: it may be on a disk that does not answer."""
        self.on_reload: Callable[[Serving], None] = lambda _: None
        """Called with what is served from now on."""

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return self.door.connections + self.elsewhere()

    @property
    def leases(self) -> tuple[int, int]:
        """Leases issued and leases returned."""
        return self._requests.leases

    def reload(self, serving: Serving) -> Reloaded:
        """What has changed: it serves by another configuration from now on. No call is cut, and who waits is asked
        again.

        Raises `ConfigError` or `PluginError`: then nothing has changed.
        """
        before = self.front.serving
        problems = needs_a_new_start(before, serving)
        if problems:
            raise ConfigError(problems)
        plugins = (*self.spending.plugins(serving.spending), *serving.plugins)
        changes = self._scheduler.reconfigure(serving.config, plugins=plugins)
        self.spending.use(serving.spending)
        self.front.use(serving)
        self.on_reload(serving)
        return Reloaded(changes, changes_of(before, serving))

    async def reload_from(self, load: Callable[[], Serving]) -> Reloaded:
        """What has changed: it serves by what `load` returns, from now on. `load` is called in a thread.

        Raises `ConfigError` or `PluginError`: then nothing has changed, nor if it is cancelled.
        """
        return self.reload(await trio.to_thread.run_sync(load, limiter=self._reading, abandon_on_cancel=True))

    def reload_by(self, load: Callable[[], Serving]) -> None:
        """Reload with what `load` returns when `penstock serve --reload` or `penstock reconfigure` asks for it."""

        async def take(file: Path) -> Reloaded:
            own = self.front.serving.config.source

            def read() -> Serving:
                if realpath(file) != realpath(own):
                    raise ConfigError(f"this gateway serves by {own}, and not by {file}")
                return load()

            return await self.reload_from(read)

        self._scheduler.watch.on_reconfigure = take

    async def drain(self, seconds: float) -> None:
        """Take no new connections and requests, and wait until what is under way has ended, at most `seconds`."""
        await self.door.drain(seconds)

    def close(self) -> None:
        """End all connections at once, with the calls that are under way."""
        self.door.close()

    def metrics(self) -> str:
        """The page for Prometheus."""
        keys, now = self.front.serving.keys, trio.current_time()
        gauges = gauges_of(self._scheduler, self.spending, keys, now)
        gauges["penstock_connections"] = {(): self.connections}
        gauges["penstock_connections_limit"] = {(): self.connections_limit()}
        return self.front.metrics.text(gauges)

    def workers(self) -> list[WorkerStanding]:
        """The processes that serve clients."""
        return [WorkerStanding("this process", os.getpid(), self.connections)]

    def status(self) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """What `/status` shows, as JSON with its headers."""
        now = trio.current_time()
        return status_json(
            self._scheduler,
            self.spending,
            self.front.metrics,
            self.front.serving.keys,
            self.workers(),
            now=now,
            up=now - self._began,
            connections_limit=self.connections_limit(),
            draining=self.front.draining,
        )

    async def _page(self, path: str) -> Page:
        pages: dict[str, Callable[[], Page]] = {
            "/metrics": lambda: (200, TEXT, self.metrics().encode()),
            "/status": lambda: (200, *status_page()),
            "/status.json": lambda: (200, *self.status()),
            "/healthz": lambda: (200, TEXT, b"ok\n"),
            "/readyz": lambda: (503, TEXT, b"draining\n") if self.front.draining else (200, TEXT, b"ok\n"),
        }
        page = pages.get(path)
        if page is None:
            return 404, TEXT, f"there are {', '.join(pages)}\n".encode()
        await self.before_page()
        return page()


@asynccontextmanager
async def open_gateway(
    serving: Serving, environment: Mapping[str, str], wall: Wall = time_of_day
) -> AsyncIterator[Gateway]:
    """A gateway that serves while the block runs; at its end connections are closed at once. Raises `ConfigError`.

    `wall` is the time of day, in seconds of Unix time, at a moment of trio's clock.
    """
    with open_spending(serving.spending, wall) as spending:
        async with _open_gateway(serving, environment, spending) as gateway:
            yield gateway


@asynccontextmanager
async def _open_gateway(
    serving: Serving, environment: Mapping[str, str], spending: SpendingAtWork
) -> AsyncIterator[Gateway]:
    config, metrics = serving.gateway, Metrics()
    async with (
        open_poller() as poller,
        open_log(config.log, metrics, poller) as log,
        open_upstreams(
            poller,
            upstream_specs(serving.config, environment),
            connect_timeout=config.connect_timeout,
        ) as upstreams,
        penstock.open_scheduler(
            serving.config,
            plugins=(*spending.plugins(serving.spending), *serving.plugins),
            run_id=run_name(serving.config.source),
        ) as scheduler,
    ):
        front = Front(serving, upstreams, LocalGate(scheduler.requests, spending), metrics, log)
        gateway = Gateway(front, upstreams, scheduler, spending, poller)
        listeners = await _listen(config.host, config.port, "gateway")
        admin = [] if config.admin is None else await _listen(config.admin.host, config.admin.port, "gateway.admin")
        gateway.url = f"{_url(config.host, listeners[0])}/v1"
        raised: Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(gateway.door.accept, listeners)
            if config.admin is not None:
                gateway.admin_url = _url(config.admin.host, admin[0])
                nursery.start_soon(gateway.admin.serve, admin)
            try:
                yield gateway
            except Exception as error:
                raised = error  # raised again outside of the nursery, which would wrap it
            finally:
                gateway.close()
            nursery.cancel_scope.cancel()
        if raised is not None:
            raise raised


async def _listen(host: str, port: int, where: str) -> list[trio.SocketListener]:
    try:
        return await trio.open_tcp_listeners(port, host=host, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        raise cannot_listen(where, host, port, error) from None


def _url(host: str, listener: trio.SocketListener) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.socket.getsockname()[1]}"


async def serve_until_signal(
    serving: Serving,
    environment: Mapping[str, str],
    on_ready: Callable[[Gateway], None],
    load: Callable[[], Serving],
) -> None:
    """Serve until a signal asks for the end. `on_ready` is called when clients can connect, `load` for the
    configuration that is to be served after a SIGHUP.
    """
    manager = ServiceManager(environment, os.getpid())
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, *_RELOADING) as signals:
        async with open_gateway(serving, environment) as gateway, trio.open_nursery() as nursery:
            gateway.reload_by(load)
            on_ready(gateway)
            manager.tell(READY)
            nursery.start_soon(manager.tell_life)
            async for number in signals:
                if number not in _RELOADING:
                    break
                nursery.start_soon(reload_from, gateway, load)
            seconds = gateway.front.serving.gateway.drain_seconds
            say(f"penstock: draining {gateway.connections} connections, {seconds:g} s at most")
            manager.tell(STOPPING)

            async def leave_at_the_second() -> None:
                async for number in signals:
                    if number not in _RELOADING:
                        break
                nursery.cancel_scope.cancel()

            nursery.start_soon(leave_at_the_second)
            await gateway.drain(seconds)
            nursery.cancel_scope.cancel()


async def reload_from(gateway: Gateway, load: Callable[[], Serving]) -> bool:
    """Whether a gateway serves by what `load` returns from now on; why not stands on standard error."""
    try:
        await gateway.reload_from(load)
    except PenstockError as error:
        for line in str(error).split("\n"):
            say(f"penstock: not reloaded: {printable(line)}")
        return False
    say("penstock: reloaded")
    return True
