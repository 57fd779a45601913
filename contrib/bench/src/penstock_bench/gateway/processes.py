"""A server in a process of its own: whether it listens, what its processes cost, what they hold in memory. Linux."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from penstock import PenstockError

__all__ = ["Server", "free_port"]

STARTING: Final = 120.0
"""Seconds within which a server must listen."""
ENDING: Final = 10.0
_PAUSE: Final = 0.05


def free_port() -> int:
    """A port of the loopback interface at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


class Server:
    """A command that serves at `port`, once it listens there. Raises `PenstockError` where it does not."""

    def __init__(
        self, name: str, command: Sequence[str], port: int, folder: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.port = port
        self._log = folder / f"{name}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={**os.environ, **(environment or {})},
            )
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def _wait(self) -> None:
        last = time.monotonic() + STARTING
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1.0).close()
                return
            except OSError:
                pass
            if self._process.poll() is not None or time.monotonic() > last:
                said = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
                why = said[-1] if said else f"it ended with {self._process.poll()}"
                raise PenstockError(f"{self.name} does not serve: {why}")
            time.sleep(_PAUSE)

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(ENDING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def cpu_seconds(self) -> float:
        """The processor's time that all its processes have used, in user code and in the system's."""
        ticks = 0
        for process in self._tree(self._process.pid):
            fields = _read(process, "stat").rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def pss(self) -> list[float]:
        """What each of its processes holds, in bytes, the first one first: shared pages count by their share."""
        return [_pss(process) for process in self._tree(self._process.pid)]

    def _tree(self, process: int) -> Iterator[int]:
        yield process
        for thread in os.listdir(f"/proc/{process}/task"):
            for child in _read(process, f"task/{thread}/children").split():
                yield from self._tree(int(child))


def _read(process: int, what: str) -> str:
    return Path(f"/proc/{process}/{what}").read_text(encoding="utf-8")


def _pss(process: int) -> float:
    for line in _read(process, "smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return float(line.split()[1]) * 1024
    return 0.0
