"""`penstock_batch.run`: the rows of a run, gone through by `for` or by `async for`.

The run has a thread of its own, so it is the same under asyncio, under trio, in a notebook and in plain code. Two runs
meet nowhere but in a store that they share, which refuses the second.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from types import TracebackType
from typing import Any, Self

import attrs
import trio

from penstock import load_config
from penstock_batch.api.arguments import check_arguments
from penstock_batch.api.results import BatchResult, BatchSummary
from penstock_batch.api.worker import BatchWorker
from penstock_batch.pipeline.config import InputConfig, OutputConfig
from penstock_batch.pipeline.loading import load_pipeline
from penstock_batch.rows.given import given_rows
from penstock_batch.running.assembly import refuse_to_replace, remove_results
from penstock_batch.running.progress import ProgressKind

__all__ = ["BatchRows", "run"]

PathLike = Path | str


def run(
    pipeline: PathLike | Mapping[str, Any],
    rows: Iterable[Mapping[str, Any]] | None = None,
    *,
    store: PathLike | None = None,
    output: PathLike | None = None,
    limit: int | None = None,
    overwrite: bool = False,
    plugins: Sequence[PathLike] = (),
    progress: ProgressKind = "none",
) -> BatchRows:
    """The rows of a pipeline as they are done, in the order of the input: `for row in run("pipeline.toml", rows=…)`.

    - `pipeline`: the TOML, or a mapping of its tables, whose paths are taken from the current folder.
    - `rows`: mappings of columns to values, taken all before anything is called; `None`: those of `[input]`.
    - `store`: the file in which finished cells are kept, and found by a later run. Without it nothing is kept, unless
      there is an output that has its store beside it.
    - `output`: the file to write at the end, as the command does. `None`: that of `[output]` where the rows come from
      `[input]`, else nothing is written.
    - `limit`, `overwrite`, `plugins`, `progress`: as of the command.

    Raises `ConfigError` at once, with every problem, and whatever `rows` raises. What breaks the run off is raised when
    the rows that were done before have been handed over.
    """
    check_arguments(
        pipeline,
        store=store,
        output=output,
        limit=limit,
        overwrite=overwrite,
        plugins=plugins,
        progress=progress,
    )
    described = pipeline if isinstance(pipeline, Mapping) else Path(pipeline)
    writes = output is not None or (rows is None and _has_output(described))
    folder = tempfile.mkdtemp(prefix="penstock-batch-")
    gone = _Folder(folder)
    kept = None if store is None else Path(store).absolute()
    place: OutputConfig | None = None
    if output is not None:
        place = OutputConfig(path=Path(output).absolute(), store=kept)
    elif not writes:
        place = OutputConfig(path=Path(folder) / "unwritten.jsonl", store=kept)
    given = None if rows is None else given_rows(rows)
    source = None if given is None else InputConfig(path=given.path, format="given")
    loaded = load_pipeline(described, source=source, output=place)
    if writes and place is None and kept is not None:
        loaded = attrs.evolve(loaded, store=kept)
    if writes:
        refuse_to_replace(loaded, overwrite=overwrite)
        if overwrite:
            remove_results(loaded)
    worker = BatchWorker(
        loaded,
        limit=limit,
        plugins=[Path(each) for each in plugins],
        progress=progress,
        overwrite=overwrite,
        writes=writes,
        needs=(given, gone),
    )
    return BatchRows(worker, keeps=store is not None or writes)


def _has_output(described: Path | Mapping[str, Any]) -> bool:
    if isinstance(described, Mapping):
        return "output" in described
    return "output" in load_config(described, foreign_tables=True).foreign


class _Folder:
    """A folder that is gone with this object."""

    def __init__(self, path: str) -> None:
        weakref.finalize(self, rmtree, path, ignore_errors=True)


class BatchRows:
    """The rows of one run, to be gone through once, in whatever loop or none.

    It begins with the first row that is asked for. Where the loop is left, by `break` or by what it raises, the run
    ends: calls in flight may come back where answers are kept, else they are cancelled. In a block, `with` or `async
    with`, the end of the block waits for that.
    """

    def __init__(self, worker: BatchWorker, *, keeps: bool) -> None:
        self.worker = worker
        """The run, in its thread."""
        self._keeps = keeps
        self._begun = False

    @property
    def summary(self) -> BatchSummary:
        """What the run came to. Raises `RuntimeError` while it lasts."""
        if self.worker.summary is None:
            raise RuntimeError("the summary is there when the run has ended: when all rows were gone through")
        return self.worker.summary

    def __iter__(self) -> Iterator[BatchResult]:
        """The rows, in plain code. Raises `RuntimeError` where an event loop runs, which must not be blocked."""
        if trio.lowlevel.in_trio_run() or _in_asyncio():
            raise RuntimeError("this would block the event loop: go through the rows by `async for`")
        return self._rows()

    def _rows(self) -> Iterator[BatchResult]:
        self._begin()
        try:
            self.worker.start()
            while True:
                there = threading.Event()
                result = self.worker.handover.take(there.set)
                if result is True:
                    there.wait()
                elif isinstance(result, BatchResult):
                    yield result
                else:
                    break
        finally:
            self.close()
        self._raise()

    def __aiter__(self) -> AsyncRows:
        """The rows, under asyncio or trio."""
        self._begin()
        self.worker.start()
        return AsyncRows(self)

    def _begin(self) -> None:
        if self._begun:
            raise RuntimeError("these rows have been gone through: call run anew")
        self._begun = True

    def _raise(self) -> None:
        if self.worker.error is not None:
            raise self.worker.error

    def leave(self) -> None:
        """Have the run end, without waiting for it."""
        self.worker.stop(at_once=not self._keeps)

    def close(self) -> None:
        """Have the run end, and wait for that; an interrupt of the wait cancels what is in flight."""
        self.leave()
        try:
            self.worker.join()
        except BaseException:
            self.worker.stop(at_once=True)
            raise

    async def aclose(self) -> None:
        """Have the run end, and wait for that; a cancellation of the wait cancels what is in flight."""
        self.leave()
        try:
            if trio.lowlevel.in_trio_run():
                await trio.to_thread.run_sync(self.worker.join, abandon_on_cancel=True)
            else:
                await asyncio.to_thread(self.worker.join)
        except BaseException:
            self.worker.stop(at_once=True)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class AsyncRows:
    """The rows, one after another, for one task. Where this is dropped before their end, the run ends."""

    def __init__(self, rows: BatchRows) -> None:
        self._rows = rows
        self._over = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> BatchResult:
        worker = self._rows.worker
        wait, wake = _waiting()
        try:
            while (result := worker.handover.take(wake)) is True:
                await wait()
                wait, wake = _waiting()
            if isinstance(result, BatchResult):
                return result
            self._over = True
            await self._rows.aclose()
        except BaseException:
            self._over = True
            self._rows.leave()
            raise
        self._rows._raise()
        raise StopAsyncIteration

    def __del__(self) -> None:
        if not self._over:
            self._rows.leave()


def _waiting() -> tuple[Callable[[], Any], Callable[[], object]]:
    """What waits in the loop that runs, and what ends that from another thread."""
    if trio.lowlevel.in_trio_run():
        event = trio.Event()
        token = trio.lowlevel.current_trio_token()

        def wake_trio() -> None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(event.set)

        return event.wait, wake_trio
    loop = asyncio.get_running_loop()
    there = asyncio.Event()

    def wake_loop() -> None:
        with suppress(RuntimeError):  # it is closed
            loop.call_soon_threadsafe(there.set)

    return there.wait, wake_loop


def _in_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
