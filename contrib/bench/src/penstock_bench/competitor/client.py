"""Our end of the pipe to the competitor's process, which measures one cell per request."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import penstock
from penstock_bench.competitor.environment import CLOSEST, cache_folder
from penstock_bench.measuring.records import Sample
from penstock_bench.measuring.rows import COMPETITOR

__all__ = ["CompetitorProcess", "competitor_process"]

_START = """
import sys, types
package = types.ModuleType("penstock_bench")
package.__path__ = [{bench!r}]
sys.modules["penstock_bench"] = package
for name, path in (("penstock", {core!r}), ("penstock.testing", {core!r} + "/testing")):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [path]
from penstock.testing.provider import limits, provider, report
for module in (limits, provider, report):
    vars(sys.modules["penstock.testing"]).update((name, getattr(module, name)) for name in module.__all__)
from penstock_bench.competitor_side.server import main
main()
"""
"""Makes the competitor's side importable by its own name, and the simulated provider, which needs attrs alone; nothing
else of this environment with them.
"""

_BENCH: Final = str(Path(__file__).parents[1])
_CORE: Final = str(Path(penstock.__file__).parent)


class CompetitorProcess:
    """A process in the competitor's environment that measures cells: `with CompetitorProcess(...) as competitor:`.

    `cap` is in seconds: a cell that takes longer is cut, and gives what was done until then.
    """

    name = COMPETITOR

    def __init__(self, python: Path, cap: float, log: Path) -> None:
        self._command = [str(python), "-c", _START.format(bench=_BENCH, core=_CORE)]
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
        """One measurement. Raises `CompetitorUnavailable` if the process ends, or says that the cell failed."""
        answer = self.ask(cell, parameters)
        return Sample(answer["units"], answer["seconds"], answer["complete"])

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
        answer = self._read(process)
        if not answer["complete"]:  # it has ended, since nothing else could have stopped the cell
            self._end()
        return answer

    def _start(self) -> subprocess.Popen[str]:
        with self._log.open("a", encoding="utf-8") as log:
            return subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1
            )

    def _read(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise CLOSEST.unavailable(f"ended with exit code {process.wait()} before it answered (see {self._log})")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise CLOSEST.unavailable(f"could not measure: {answer['error']} (see {self._log})")
        return answer

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):  # what was not taken any more is of no use to anybody
                pipe.close()
        process.wait()


@contextmanager
def competitor_process(cache: Path | None, cap: float, announce: Callable[[str], None]) -> Iterator[CompetitorProcess]:
    """The process of the closest competitor, whose environment is kept in `cache`, if not in the user's cache folder.

    Raises `CompetitorUnavailable`.
    """
    folder = cache or cache_folder()
    with CompetitorProcess(CLOSEST.python(folder, announce), cap, folder / "competitor.log") as process:
        yield process
