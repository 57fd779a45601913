"""How a gate is opened and closed, under asyncio and in plain code."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import trio

import penstock
from penstock_asyncio.gate import Gate, SyncGate
from penstock_asyncio.ports import Ports
from penstock_asyncio.run import GateRun, Opening

__all__ = ["GateBlock", "SyncGateBlock", "open_gate", "open_gate_sync"]

Config = penstock.PenstockConfig | Mapping[str, Any] | Path | str | None


def open_gate(
    config: Config = None,
    *,
    plugins: Iterable[object] = (),
    run_id: str | None = None,
    wall_clock: penstock.WallClock | None = None,
) -> GateBlock:
    """A gate for code under asyncio, open for the block: `async with open_gate("penstock.toml") as gate:`.

    The arguments are those of `penstock.open_scheduler`; plugins are called in the gate's thread. The end of the block
    refuses who waits, and lets calls that are out finish within the `shutdown_grace` of the configuration; a block that
    raises waits for nobody.

    Raises what `penstock.open_scheduler` does: `ConfigError` with every problem of the configuration; and at the end
    what ended the run, if that was an error.
    """
    return GateBlock(Opening(config, plugins, run_id, wall_clock))


def open_gate_sync(
    config: Config = None,
    *,
    plugins: Iterable[object] = (),
    run_id: str | None = None,
    wall_clock: penstock.WallClock | None = None,
) -> SyncGateBlock:
    """A gate for plain code, open for the block: `with open_gate_sync("penstock.toml") as gate:`.

    Else as `open_gate`.
    """
    return SyncGateBlock(Opening(config, plugins, run_id, wall_clock))


class _Opened:
    """What both blocks do; good for one use. `report` is there when the block has ended."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._run: GateRun | None = None
        self._ports: Ports | None = None
        self.report: penstock.RunReport | None = None
        """What the run came to; there once the block has ended."""

    def _begin(self) -> GateRun:
        if self._run is not None:
            raise RuntimeError("this gate has been opened before: call open_gate or open_gate_sync anew")
        self._run = run = GateRun(self._opening)
        return run

    def _opened(self, run: GateRun) -> Ports:
        self._ports = Ports(run)
        return self._ports

    def _close(self, error: BaseException | None) -> GateRun:
        assert self._run is not None, "the block has been entered"
        self._run.close(at_once=error is not None)
        return self._run

    def _closed(self, report: penstock.RunReport) -> None:
        self.report = report
        if self._ports is not None:
            self._ports.close()


class GateBlock(_Opened):
    """The block in which a gate is open, for code under asyncio."""

    async def __aenter__(self) -> Gate:
        _require_asyncio()
        run = self._begin()
        try:
            await asyncio.wrap_future(run.opened)
        except BaseException:
            run.close(at_once=True)
            raise
        return Gate(self._opened(run))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        run = self._close(error)
        self._closed(await asyncio.wrap_future(run.ended))


class SyncGateBlock(_Opened):
    """The block in which a gate is open, for plain code."""

    def __enter__(self) -> SyncGate:
        run = self._begin()
        try:
            run.opened.result()
        except BaseException:
            run.close(at_once=True)
            raise
        return SyncGate(self._opened(run))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        run = self._close(error)
        self._closed(run.ended.result())


def _require_asyncio() -> None:
    if trio.lowlevel.in_trio_run():
        raise RuntimeError("open_gate is for asyncio, and this code runs under trio: use penstock.open_scheduler")
