"""A batch in a process of its own against a server of no latency in another, and what that process cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import attrs

from penstock import PenstockError
from penstock_bench.competitor.environment import Environment, cache_folder
from penstock_bench.measuring.records import Sample
from penstock_bench.reporting.console import announce

__all__ = ["IN_FLIGHT", "bare", "cookbook", "filling", "kept", "run", "serving"]

IN_FLIGHT: Final = 64
COOKBOOK: Final = Environment(
    title="the cookbook's way", stem="cookbook-", packages=("aiohttp==3.13.2",), without="--without-peer"
)
_SERVER: Final = """
seed = 1
[models.m]
latency = { mean = 0.0 }
"""
_PIPELINE: Final = """
[input]
path = "rows.jsonl"
[output]
path = "out.jsonl"
[[steps]]
name = "summary"
kind = "chat"
model = "p/m"
prompt = "Summarise: {{{{ text }}}}"
params = {{ max_tokens = 20 }}
[providers.p]
base_url = "{url}"
[providers.p.models.m]
max_parallel_requests = {in_flight}
[plugins]
request_limiters = []
sinks = []
"""


@attrs.frozen
class Cost:
    """The processor's time of a process and of its children, in seconds, its wall time, and its memory at most."""

    cpu: float
    peak: float
    """Bytes."""


def run(rows: int) -> Sample:
    """The processor's time of `penstock run` over so many rows."""
    with _job(rows) as folder:
        return Sample(rows, _cost(_ours(folder), folder).cpu)


def bare(rows: int) -> Sample:
    """That of a bare loop over the same calls."""
    return _other(rows, (sys.executable, str(Path(__file__).with_name("bare_loop.py"))))


def cookbook(rows: int) -> Sample:
    """That of the cookbook's way."""
    python = COOKBOOK.python(cache_folder(), announce)
    return _other(rows, (str(python), str(Path(__file__).with_name("cookbook.py"))))


def filling(rows: int) -> Sample:
    """The memory that a run over so many rows took at most."""
    return Sample(1, _filled(rows)[1].peak)


def kept(rows: int) -> Sample:
    """The processor's time of a run whose rows are all kept but one, which was appended."""
    folder = Path(_filled(rows)[0].name)
    with serving() as url:
        _write(folder, url)
        with (folder / "rows.jsonl").open("a", encoding="utf-8") as file:
            file.write(_row(f"new since {os.urandom(8).hex()}"))
        return Sample(rows, _cost(_ours(folder), folder).cpu)


@cache
def _filled(rows: int) -> tuple[TemporaryDirectory[str], Cost]:
    """A folder in which so many rows have been run, which goes with the process, and what that cost."""
    folder = TemporaryDirectory()
    path = Path(folder.name)
    _rows(path, rows)
    with serving() as url:
        _write(path, url)
        return folder, _cost(_ours(path), path)


def _other(rows: int, command: Sequence[str]) -> Sample:
    with _job(rows) as folder, serving() as url:
        rest = (url, str(folder / "rows.jsonl"), str(folder / "other.jsonl"), str(IN_FLIGHT))
        sample = Sample(rows, _cost((*command, *rest), folder).cpu)
        with (folder / "other.jsonl").open(encoding="utf-8") as file:
            if (done := sum(1 for _ in file)) != rows:
                raise PenstockError(f"{command[-1]} answered {done:,} of {rows:,} rows")
        return sample


def _ours(folder: Path) -> Sequence[str]:
    return (sys.executable, "-m", "penstock", "run", str(folder / "pipeline.toml"), "--progress", "none")


def _cost(command: Sequence[str], folder: Path) -> Cost:
    """What a command cost. Raises `PenstockError` unless it ends well."""
    with (folder / "said.txt").open("w+", encoding="utf-8") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise PenstockError(f"{command[-1]} ended with {process.returncode}: {said.read()[-500:]}")
    scale = 1 if sys.platform == "darwin" else 1024
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * scale)


@contextmanager
def _job(rows: int) -> Iterator[Path]:
    with TemporaryDirectory() as name, serving() as url:
        folder = Path(name)
        _rows(folder, rows)
        _write(folder, url)
        yield folder


def _rows(folder: Path, rows: int) -> None:
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(_row(f"row {number} of a table about rivers, weirs and mills") for number in range(rows))


def _row(text: str) -> str:
    return json.dumps({"text": text}) + "\n"


def _write(folder: Path, url: str) -> None:
    text = _PIPELINE.format(url=url, in_flight=IN_FLIGHT)
    (folder / "pipeline.toml").write_text(text, encoding="utf-8")


@contextmanager
def serving() -> Iterator[str]:
    """The base URL of a mock provider in a process of its own."""
    with TemporaryDirectory() as name:
        file = Path(name, "server.toml")
        file.write_text(_SERVER, encoding="utf-8")
        command = (sys.executable, "-m", "penstock_bench.socket_server", str(file))
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                yield process.stdout.readline().strip()
            finally:
                process.terminate()
                process.wait()
