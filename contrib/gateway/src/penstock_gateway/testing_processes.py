"""A gateway of several processes on loopback, before a provider of the test's own, for tests on Linux."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from subprocess import PIPE

import trio

from penstock_gateway.testing import KEYS, PROVIDER_KEY, Client, Provider

__all__ = ["Served", "open_served", "stays"]


class Served:
    """`penstock serve` at work. `provider` is whom it calls."""

    def __init__(self, provider: Provider, folder: Path, nursery: trio.Nursery) -> None:
        self.provider = provider
        self.path = folder / "gateway.toml"
        self.log = folder / "calls.log"
        self.process: trio.Process
        self.port = 0
        self.admin_port = 0
        self.said: list[str] = []
        self._heard = trio.lowlevel.ParkingLot()
        self._nursery = nursery
        self._clients: list[Client] = []

    def describe(self, text: str = "", *, cap: int, workers: int = 2) -> None:
        """Write the configuration."""
        self.path.write_text(
            f"""
            [providers.acme]
            base_url = "{self.provider.url}"
            api_key_env = "PROVIDER_KEY"
            [providers.acme.models.small]
            model = "acme-small-2"
            max_parallel_requests = {cap}
            [plugins]
            request_limiters = ["token-budget"]
            [plugins.token-budget]
            learn = false
            [gateway.admin]
            port = 0
            [gateway]
            port = 0
            workers = {workers}
            log = "{self.log}"
            {text}
            """,
            encoding="utf-8",
        )

    async def begin(self, *, files: int | None = None, **more: str) -> None:
        """Start it, and wait until it serves, or has ended. It may have so many `files` open; `more` is put into its
        environment.
        """
        command = [sys.executable, "-m", "penstock", "serve", str(self.path)]
        if files is not None:
            command = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *command]
        environment = {**os.environ, **KEYS, "PROVIDER_KEY": PROVIDER_KEY, **more}
        self.process = await trio.lowlevel.open_process(command, stderr=PIPE, env=environment)
        self._nursery.start_soon(self._listen)
        await self.hears(lambda: self.process.returncode is not None or any("  -d " in line for line in self.said))
        for line in self.said:
            if "serving at " in line:
                self.port = int(line.partition("/v1")[0].rpartition(":")[2])
            if "metrics at " in line:
                self.admin_port = int(line.partition("/metrics")[0].rpartition(":")[2])

    async def _listen(self) -> None:
        assert self.process.stderr is not None
        data = b""
        async for more in self.process.stderr:
            *lines, data = (data + more).split(b"\n")
            self.said += [line.decode() for line in lines]
            self._heard.unpark_all()
        await self.process.wait()
        self._heard.unpark_all()

    async def hears(self, holds: Callable[[], bool]) -> None:
        """Wait until something is true of what it has `said`, or of its process."""
        while not holds():
            await self._heard.park()

    async def says(self, text: str, *, since: int = 0) -> None:
        """Wait until a line after the first `since` has this text."""
        await self.hears(lambda: any(text in line for line in self.said[since:]) or self.process.returncode is not None)

    def children(self) -> list[int]:
        """The processes of the coordinator and of the workers, in the order of their start."""
        pid = self.process.pid
        return sorted(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()))

    async def client(self, worker: int | None = None) -> Client:
        """A client that is connected, to this worker."""
        while True:
            client = Client(await trio.open_tcp_stream("127.0.0.1", self.port))
            self._clients.append(client)
            if worker is None or await self.worker_of(client) == worker:
                return client

    async def takes_connections(self) -> bool:
        """Whether anybody listens."""
        try:
            stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        except OSError:
            return False
        await stream.aclose()
        return True

    async def worker_of(self, client: Client) -> int:
        """The number of the worker that a client is connected to."""
        _, headers, _ = await client.ask(b"", path="/v1/models", method="GET")
        return int(headers["x-penstock-call"].partition(".")[0], 16)

    async def figures(self) -> dict[str, float]:
        """What `/metrics` says."""
        _, page = await self._page("/metrics")
        lines = [line.rpartition(" ") for line in page.decode().splitlines() if not line.startswith("#")]
        return {name: float(figure) for name, _, figure in lines}

    async def is_ready(self) -> bool:
        """What `/readyz` says."""
        return (await self._page("/readyz"))[0] == 200

    async def _page(self, path: str) -> tuple[int, bytes]:
        stream = await trio.open_tcp_stream("127.0.0.1", self.admin_port)
        status, _, page = await Client(stream).ask(b"", path=path, method="GET")
        await stream.aclose()
        return status, page

    async def end(self) -> None:
        """The end, whatever it does."""
        for client in self._clients:
            client.stream.socket.close()
        if hasattr(self, "process") and self.process.returncode is None:
            self.process.send_signal(signal.SIGSTOP)  # so that it starts nobody meanwhile
            for pid in (*self.children(), self.process.pid):
                os.kill(pid, signal.SIGKILL)
            await self.process.wait()


async def stays(stream: trio.SocketStream, wait: Callable[[], Awaitable[object]]) -> bool:
    """Whether a caller is still there when a wait is over; if not, it is left at once."""
    waited = False

    async def listen(waiting: trio.CancelScope) -> None:
        with suppress(trio.BrokenResourceError):
            await stream.receive_some(1)
        waiting.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen, nursery.cancel_scope)
        await wait()
        waited = True
        nursery.cancel_scope.cancel()
    return waited


@asynccontextmanager
async def open_served(folder: Path) -> AsyncIterator[Served]:
    """A provider, before which nothing is served yet; `folder` is for files."""
    provider = Provider()
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    provider.url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/v1"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, provider.serve, [listener])
        served = Served(provider, folder, nursery)
        try:
            yield served
        finally:
            with trio.CancelScope(shield=True):
                await served.end()
        nursery.cancel_scope.cancel()
