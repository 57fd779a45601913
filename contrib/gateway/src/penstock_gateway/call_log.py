"""A line of JSON per call, without what was said in it, written by a thread: a slow reader holds nobody up.

Lines beyond ten thousand that nobody has taken yet are lost, and counted.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from penstock import ConfigError
from penstock_gateway.metrics import Metrics

__all__ = ["CallLog", "open_log"]

MOST_LINES: Final = 10_000
CLOSING_SECONDS: Final = 5.0


class CallLog:
    """The log of one gateway, over an open file; `None`: there is none."""

    def __init__(self, file: IO[bytes] | None, metrics: Metrics) -> None:
        self._file = file
        self._metrics = metrics
        self._lines: queue.Queue[bytes | None] = queue.Queue(MOST_LINES)
        self._thread = threading.Thread(target=self._write, name="penstock call log", daemon=True)
        if file is not None:
            self._thread.start()

    def write(self, line: Mapping[str, Any]) -> None:
        """Add a line. Waits for nothing."""
        if self._file is None:
            return
        try:
            self._lines.put_nowait(msgspec.json.encode(line) + b"\n")
        except queue.Full:
            self._metrics.lost_lines += 1

    def close(self) -> None:
        """Write what is left; not for longer than some seconds."""
        if self._file is not None:
            with suppress(queue.Full):
                self._lines.put(None, timeout=CLOSING_SECONDS)
            self._thread.join(CLOSING_SECONDS)

    def _write(self) -> None:
        assert self._file is not None
        while (line := self._lines.get()) is not None:
            try:
                self._file.write(line)
                if self._lines.empty():
                    self._file.flush()
            except (OSError, ValueError):  # full, or closed by whoever read it: calls go on
                self._metrics.lost_lines += 1
        with suppress(OSError, ValueError):
            self._file.flush()


@contextmanager
def open_log(where: str | None, metrics: Metrics) -> Iterator[CallLog]:
    """The log while the block runs: `-` is the standard output, nothing no log. Raises `ConfigError`."""
    if not where:
        yield CallLog(None, metrics)
        return
    try:
        file: IO[bytes] = sys.stdout.buffer if where == "-" else Path(where).open("ab")  # noqa: SIM115
    except OSError as error:
        raise ConfigError(f"gateway.log: {where} cannot be written: {error.strerror or error}") from None
    log = CallLog(file, metrics)
    try:
        yield log
    finally:
        log.close()
        if where != "-":
            with suppress(OSError):
                file.close()
