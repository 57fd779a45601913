"""A real Prometheus for a test: started with our rules, asked by its HTTP API, ended."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import attrs
import trio

RULES = sorted(Path(__file__).parents[1].glob("*-alerts.yml"))

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Loopback is asked without a proxy."""


@attrs.frozen
class Prometheus:
    """A Prometheus that is ready. `url` is that of its API."""

    url: str

    async def get(self, path: str, **parameters: str) -> Any:
        """What the API answers. Raises `urllib.error.URLError`."""
        url = f"{self.url}{path}?{urllib.parse.urlencode(parameters)}"
        return json.loads(await trio.to_thread.run_sync(_read, url))["data"]

    async def ask(self, expression: str) -> list[tuple[Mapping[str, str], float]]:
        """The labels and the value of each series of an answer."""
        found = await self.get("/api/v1/query", query=expression)
        return [(each["metric"], float(each["value"][1])) for each in found["result"]]

    async def one(self, expression: str) -> float | None:
        """The value of the only series; `None` if there is none."""
        found = await self.ask(expression)
        assert len(found) < 2, found
        return found[0][1] if found else None

    async def until(self, expression: str, value: float) -> None:
        """Wait until an answer is this value. Raises `trio.TooSlowError` with the last answer in its notes."""
        last: object = None
        try:
            with trio.fail_after(60):
                while (last := await self.one(expression)) != value:
                    await trio.sleep(0.2)
        except trio.TooSlowError as error:
            error.add_note(f"{expression} is {last}, and should be {value}")
            raise


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@asynccontextmanager
async def open_prometheus(program: str, folder: Path, targets: Mapping[str, str]) -> AsyncIterator[Prometheus]:
    """A Prometheus that scrapes each job at its address, once a second, and has our rules."""
    config = folder / "prometheus.yml"
    jobs = [{"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in targets.items()]
    every = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config.write_text(
        json.dumps({"global": every, "rule_files": [*map(str, RULES)], "scrape_configs": jobs}), encoding="utf-8"
    )
    prometheus = Prometheus(f"http://127.0.0.1:{free_port()}")
    command = [
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={prometheus.url.removeprefix('http://')}",
    ]
    process = await trio.lowlevel.open_process(command, stdout=DEVNULL, stderr=DEVNULL)
    try:
        with trio.fail_after(60):
            while process.returncode is None and not await _ready(prometheus):
                await trio.sleep(0.1)
        assert process.returncode is None, "Prometheus ended at once"
        yield prometheus
    finally:
        with trio.CancelScope(shield=True):
            process.terminate()
            await process.wait()


async def _ready(prometheus: Prometheus) -> bool:
    try:
        await trio.to_thread.run_sync(_read, f"{prometheus.url}/-/ready")
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except OSError:
        return False
    return True


def _read(url: str) -> bytes:
    with _OPENER.open(url, timeout=10) as answer:
        content: bytes = answer.read()
    return content
