"""The start and the end of a run, for its plugins: each hears of both once, however often the run is reconfigured."""

from __future__ import annotations

from collections.abc import Collection

import trio

from penstock.plugins.compiled_hooks import CompiledHooks
from penstock.words.report import RunInfo, RunReport

__all__ = ["RunNotes"]


class RunNotes:
    """The notices of start and end for the plugins of one run. A plugin that comes under way gets the first when it
    comes, and one that was taken out gets the second with all others.
    """

    def __init__(self, hooks: CompiledHooks) -> None:
        self._hooks: list[tuple[CompiledHooks, Collection[str]]] = [(hooks, ())]
        """Each with the plugins in it that the next has too, and that have their notices from that."""
        self._run: RunInfo | None = None

    @property
    def started_at(self) -> float:
        """When the run began, on its own clock; there from its start on."""
        assert self._run is not None
        return self._run.started_at

    @trio.lowlevel.enable_ki_protection  # what a plugin raises is caught, and a real Ctrl+C is not to be among it
    def run_started(self, run: RunInfo) -> None:
        """The notice to every plugin that the run is about to start."""
        self._run = run
        self._hooks[0][0].run_started(run)

    def run_reconfigured(self, hooks: CompiledHooks, kept: Collection[str]) -> None:
        """The same notice to the plugins that are new."""
        before, _ = self._hooks[-1]
        self._hooks[-1] = before, kept
        self._hooks.append((hooks, ()))
        if self._run is not None:
            hooks.run_started(self._run, besides=kept)

    @trio.lowlevel.enable_ki_protection
    def run_finished(self, report: RunReport) -> None:
        """The notice of the end to every plugin that had that of the start."""
        for hooks, besides in self._hooks:
            hooks.run_finished(report, besides=besides)
