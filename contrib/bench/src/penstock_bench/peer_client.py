"""Our end of the pipe to the peer's process, which measures one cell per request."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import penstock
from penstock_bench.peer_environment import PeerUnavailable
from penstock_bench.records import Sample

__all__ = ["PeerProcess"]

_START = """
import sys, types
package = types.ModuleType("penstock_bench")
package.__path__ = [{folder!r}]
sys.modules["penstock_bench"] = package
for name, path in (("penstock", {core!r}), ("penstock.testing", {core!r} + "/testing")):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [path]
from penstock.testing.provider import provider
vars(sys.modules["penstock.testing"]).update((name, getattr(provider, name)) for name in provider.__all__)
from penstock_bench.peer_side.server import main
main()
"""
"""Makes the peer's side importable by its own name, and the simulated provider, which needs attrs alone; nothing else
of this environment with them.
"""


_HERE = str(Path(__file__).parent)
_CORE = str(Path(penstock.__file__).parent)


class PeerProcess:
    """Measures cells in the peer's environment. Use it as `with PeerProcess(...) as peer:`.

    `cap` is in seconds: a cell that takes longer is cut, and gives what was done until then.
    """

    name = "the peer"

    def __init__(self, python: Path, cap: float, log: Path) -> None:
        self._command = [str(python), "-c", _START.format(folder=_HERE, core=_CORE)]
        self._cap = cap
        self._log = log
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def measure(self, cell: str, parameters: Mapping[str, Any]) -> Sample:
        """Measure once. Raises `PeerUnavailable` if the process ends, or says that the cell failed."""
        told = self.ask(cell, parameters)
        return Sample(told["units"], told["seconds"], told["complete"])

    def ask(self, cell: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """What a cell answers: `units`, `seconds`, `complete`, and `result` if it has one. Raises as `measure`."""
        process = self._process
        if process is None:
            process = self._process = self._start()
            self._read(process)  # that it is ready
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended: what it said last is read below
            process.stdin.write(json.dumps({"cell": cell, "seconds": self._cap, **parameters}) + "\n")
            process.stdin.flush()
        told = self._read(process)
        if not told["complete"]:  # it has ended, since nothing else could have stopped the cell
            self._end()
        return told

    def _start(self) -> subprocess.Popen[str]:
        with self._log.open("a") as log:
            return subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1
            )

    def _read(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise PeerUnavailable(f"ended with exit code {process.wait()} before it answered (see {self._log})")
        told: dict[str, Any] = json.loads(line)
        if "error" in told:
            raise PeerUnavailable(f"could not measure: {told['error']} (see {self._log})")
        return told

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):  # what was not taken any more is of no use to anybody
                pipe.close()
        process.wait()
