"""Servers that nobody here wrote, started for a test.

`tox -e peers` installs them and runs this; there a server that is missing fails. An ordinary run skips it all, and says
so. `PENSTOCK_PEER_SERVERS` makes the difference: it names a folder with the programs, before those of the path.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import attrs
import httpx2
import openai
import pytest
import trio

import penstock
from penstock_httpx import AdmissionTransport

_FOLDER = "PENSTOCK_PEER_SERVERS"
_RUNNING = re.compile(r"Uvicorn running on (http://[\d.]+:\d+)")

Start = Callable[..., str]


@pytest.fixture(autouse=True)
def only_where_they_are_installed() -> None:
    """Skips in an ordinary run."""
    if _FOLDER not in os.environ:
        pytest.skip("against servers that nobody here wrote: `tox -e peers` installs them and runs this")


def program(name: str) -> str:
    """Where a program is. Fails the test if it is nowhere."""
    found = shutil.which(
        name, path=os.pathsep.join(filter(None, [os.environ[_FOLDER], os.environ["PATH"], "/usr/sbin"]))
    )
    if found is None:
        pytest.fail(f"{name} is not installed: neither in {_FOLDER} nor in PATH")
    return found


@pytest.fixture
def serve() -> Iterator[Start]:
    """Starts a uvicorn server by its program's name and arguments, and gives the URL at which it listens."""
    with ExitStack() as running:

        def start(name: str, *arguments: str) -> str:
            process = subprocess.Popen(
                [program(name), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env={**os.environ, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"},
            )
            assert process.stdout is not None
            running.enter_context(process.stdout)
            running.callback(process.wait)
            running.callback(process.kill)
            said = []
            for line in process.stdout:
                said.append(line)
                listens = _RUNNING.search(line)
                if listens:
                    # It must not block in the middle of the test because nobody takes what it says.
                    drain = Thread(target=process.stdout.read)
                    drain.start()
                    running.callback(drain.join)
                    running.callback(process.kill)
                    return listens[1]
            raise AssertionError(f"{name} ended before it listened: {''.join(said)}")

        yield start


@attrs.frozen
class Nginx:
    """A running nginx before some server. `statuses` are those of its own log."""

    url: str
    log: Path

    @property
    def statuses(self) -> Counter[int]:
        return Counter(int(line) for line in self.log.read_text(encoding="utf-8").split())


@pytest.fixture
def nginx_with(tmp_path: Path) -> Iterator[Callable[[str, str], Nginx]]:
    """Starts nginx with what stands in its `http`, and says that it is at a URL. It listens when it has started."""
    there = program("nginx")
    with ExitStack() as running:

        def start(http: str, url: str) -> Nginx:
            paths = "\n".join(
                f"{kind}_temp_path {tmp_path}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
            )
            config = tmp_path / "nginx.conf"
            config.write_text(
                f"""
                {"user root;" if os.geteuid() == 0 else ""}
                pid {tmp_path}/nginx.pid;
                error_log {tmp_path}/error.log;
                worker_processes 1;
                events {{ worker_connections 512; }}
                http {{
                    {paths}
                    log_format status '$status';
                    access_log {tmp_path}/access.log status;
                    {http}
                }}
                """,
                encoding="utf-8",
            )
            command = [there, "-p", str(tmp_path), "-c", str(config), "-e", f"{tmp_path}/error.log"]
            subprocess.run(command, check=True, capture_output=True)
            running.callback(subprocess.run, [*command, "-s", "stop"], check=True, capture_output=True)
            return Nginx(url, tmp_path / "access.log")

        yield start


def free_port() -> int:
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


@pytest.fixture
def nginx(nginx_with: Callable[[str, str], Nginx]) -> Callable[..., Nginx]:
    """Starts nginx before a server, with its `http` and its `location` directives."""

    def start(upstream: str, *, zones: str, limits: str) -> Nginx:
        port = free_port()
        served = f"location / {{ proxy_pass {upstream}; proxy_buffering off; {limits} }}"
        return nginx_with(f"{zones} server {{ listen 127.0.0.1:{port}; {served} }}", f"http://127.0.0.1:{port}")

    return start


class Counted(httpx2.AsyncBaseTransport):
    """Sends, and counts the statuses that come back."""

    def __init__(self) -> None:
        self._inner = httpx2.AsyncHTTPTransport()
        self.statuses: Counter[int] = Counter()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._inner.handle_async_request(request)
        self.statuses[response.status_code] += 1
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


@attrs.frozen
class Caller:
    """The openai SDK through the transport."""

    sdk: openai.AsyncOpenAI
    scheduler: penstock.Scheduler
    statuses: Counter[int]

    async def ask(self, number: int) -> None:
        """One call, asked again as often as the provider refuses it; the gate holds it back meanwhile."""
        messages: Any = [{"role": "user", "content": f"A penstock is a gate. It lets water in: {number}"}]
        while True:
            try:
                answer = await self.sdk.chat.completions.create(model="small", messages=messages)
            except (openai.RateLimitError, openai.InternalServerError):
                continue
            assert answer.choices[0].message.content
            return

    async def ask_all(self, calls: int, *, within: float = 60.0) -> None:
        """So many calls, no two of the same words, all at once; `TooSlowError` after so many seconds."""
        with trio.fail_after(within):
            async with trio.open_nursery() as nursery:
                for number in range(calls):
                    nursery.start_soon(self.ask, number)

    @property
    def refused_share(self) -> float:
        """What part of the attempts was refused by the provider."""
        return (self.statuses[429] + self.statuses[503]) / self.statuses.total()


@asynccontextmanager
async def calling(base_url: str, *plugins: object, cap: int = 16) -> AsyncIterator[Caller]:
    """A caller with the limiters of the default stack and the token budget; at its end every lease must be back."""
    config = {
        "plugins": {"request_limiters": ["cooldown", "aimd", "token-budget"]},
        "providers": {"peer": {"models": {"small": {"max_parallel_requests": cap}}}},
    }
    counted = Counted()
    async with (
        penstock.open_scheduler(config, plugins=list(plugins)) as scheduler,
        httpx2.AsyncClient(transport=AdmissionTransport(counted, provider="peer")) as http,
    ):
        sdk = openai.AsyncOpenAI(base_url=base_url, api_key="none", http_client=http, max_retries=0)
        yield Caller(sdk, scheduler, counted.statuses)
    assert scheduler.report is not None
    issued, returned = scheduler.report.request_leases
    assert issued == returned, "a lease is missing"


@pytest.fixture
def caller() -> Callable[..., Any]:
    return calling
