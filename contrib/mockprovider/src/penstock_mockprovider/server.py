"""A mock provider on a loopback port, for as long as a block runs.

The HTTP is hypercorn's, one `TCPServer` a connection. Accepting is done here and not by
`hypercorn.trio.serve`, for one reason: hypercorn shields its sends from cancellation, so a client that
stops reading in the middle of a long answer would keep the block from ending. Whoever holds the connections
can close them, and that ends every send.
"""

from __future__ import annotations

import ipaddress
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import trio

from penstock import ConfigError
from penstock_mockprovider.config import MockProviderConfig
from penstock_mockprovider.report import MockReport

if TYPE_CHECKING:
    import hypercorn

    from penstock_mockprovider.app import MockApp

__all__ = ["MockProvider", "serve"]

_FOR_EVER = 10**9
_BACKLOG = 1024


class MockProvider:
    """A running mock provider. `base_url` is what an OpenAI client takes (`http://127.0.0.1:port/v1`);
    `url` is the same without its last part."""

    def __init__(self, app: MockApp, host: str, port: int) -> None:
        self._app = app
        self.port = port
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self.base_url = f"{self.url}/v1"

    def report(self) -> MockReport:
        """What was seen until now; the same as `GET /mock/report`."""
        return self._app.report()

    async def until(self, holds: Callable[[MockReport], bool]) -> MockReport:
        """The report, as soon as `holds` is true of it: for tests, which must not wait for durations."""
        return await self._app.until(holds)


@asynccontextmanager
async def serve(
    config: MockProviderConfig | None = None, *, port: int = 0, host: str = "127.0.0.1"
) -> AsyncIterator[MockProvider]:
    """A mock provider for `config` (default: two models without limits) while the block runs. It listens before
    the block begins; at the block's end connections are closed at once, without grace.

    `port` 0 takes any free one. Raises `ConfigError` if `host` is not a loopback address, `OSError` if the
    port cannot be had. What the block raises leaves as it is, not in an exception group.
    """
    address = _loopback(host)
    # Imported here, not above: whoever only lists plugins or reads configurations should not pay for a web
    # server.
    from penstock_mockprovider.app import MockApp

    (listener,) = await trio.open_tcp_listeners(port, host=address, backlog=_BACKLOG)
    app = MockApp(config or MockProviderConfig(), trio.current_time(), time.time())
    connections: set[trio.SocketStream] = set()
    raised: Exception | None = None
    async with trio.open_nursery() as nursery:
        try:
            await nursery.start(_accept, app, listener, connections)
            for endpoint in app.endpoints.values():
                nursery.start_soon(endpoint.follow_schedule)
            yield MockProvider(app, address, listener.socket.getsockname()[1])
        except Exception as error:
            raised = error  # raised again below, outside the nursery, which would wrap it
        finally:
            for connection in connections:
                connection.socket.close()
            nursery.cancel_scope.cancel()
    if raised is not None:
        raise raised


async def _accept(
    app: MockApp,
    listener: trio.SocketListener,
    connections: set[trio.SocketStream],
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    from hypercorn.trio.tcp_server import TCPServer
    from hypercorn.trio.worker_context import WorkerContext
    from hypercorn.typing import ConnectionState
    from hypercorn.utils import wrap_app

    settings = _settings()
    # Starlette and hypercorn each have their own types for the messages of ASGI.
    wrapped = wrap_app(cast("Any", app.asgi), settings.wsgi_max_body_size, "asgi")
    context = WorkerContext(None)

    async def handle(stream: trio.SocketStream) -> None:
        connections.add(stream)
        try:
            # hypercorn names the TLS stream here, but handles a plain one, which is all that its own server
            # gives it.
            await TCPServer(wrapped, settings, context, ConnectionState({}), cast("Any", stream))
        finally:
            connections.discard(stream)

    task_status.started()
    await trio.serve_listeners(handle, [listener])


def _loopback(host: str) -> str:
    if host == "localhost":
        return "127.0.0.1"  # the name may mean two addresses, and then port 0 two ports
    try:
        if ipaddress.ip_address(host).is_loopback:
            return host
    except ValueError:
        pass
    raise ConfigError([f"host: a mock provider serves loopback addresses only, not {host!r}"])


def _settings() -> hypercorn.Config:
    import hypercorn

    settings = hypercorn.Config()
    # A logger of ours instead of handlers of its own: silent unless someone listens, but for errors.
    settings.errorlog = logging.getLogger("penstock_mockprovider")
    settings.accesslog = None
    settings.include_server_header = False
    settings.include_date_header = False  # the application's date is the one that Retry-After is counted from
    # A pooled connection that the server closes while the client reuses it looks like a provider's failure.
    settings.keep_alive_timeout = _FOR_EVER
    settings.keep_alive_max_requests = _FOR_EVER
    return settings
