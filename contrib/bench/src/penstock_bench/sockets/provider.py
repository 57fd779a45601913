"""A mock provider in a process of its own, so that its work is not the client's."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.request import urlopen

from penstock import PenstockError
from penstock_bench.sockets.cells import SocketCell

__all__ = ["MODEL", "ProviderProcess", "served"]

MODEL = "small"
_SECONDS = 20.0


class ProviderProcess:
    """A running mock provider: `base_url` is what an OpenAI client takes."""

    def __init__(self, process: subprocess.Popen[str], base_url: str) -> None:
        self._process = process
        self.base_url = base_url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.communicate(timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def refused(self) -> int:
        """The 429s that it has sent, by its own count."""
        with urlopen(self.base_url.removesuffix("/v1") + "/mock/report", timeout=_SECONDS) as answer:
            return int(json.load(answer)["models"][MODEL]["total"]["refused"])


@contextmanager
def served(cell: SocketCell, folder: Path, seed: int) -> Iterator[ProviderProcess]:
    """The cell's provider, for as long as the block lasts. `seed` is that of its latencies. Raises `PenstockError`."""
    config = folder / f"{cell.name}.toml"
    config.write_text(f"seed = {seed}\n\n[models.{MODEL}]\n{_toml(cell)}", encoding="utf-8")
    command = [sys.executable, "-m", "penstock_bench.socket_server", str(config)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    base_url = process.stdout.readline().strip()
    if not base_url:
        process.kill()
        process.communicate()
        raise PenstockError(f"the mock provider for {cell.name} did not start")
    with ProviderProcess(process, base_url) as provider:
        yield provider


def _toml(cell: SocketCell) -> str:
    return "".join(f"{key} = {_value(value)}\n" for key, value in cell.limits.items())


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(of_key)}" for key, of_key in value.items()) + " }"
    return json.dumps(value)
