"""Which plugins are told that the run starts and ends: each once, however often the run is reconfigured."""

from __future__ import annotations

from collections.abc import Collection

from penstock.plugins.compiled_hooks import CompiledHooks
from penstock.words.report import RunInfo, RunReport

__all__ = ["RunNotes"]


class RunNotes:
    """The notes of one run. A plugin that came under way is told that the run starts when it comes, and one that was
    taken out is told of the end with all others.
    """

    def __init__(self, hooks: CompiledHooks) -> None:
        self._hooks: list[tuple[CompiledHooks, Collection[str]]] = [(hooks, ())]
        """Each with the plugins in it that the next has too, and who are told by that."""
        self._run: RunInfo | None = None

    def run_started(self, run: RunInfo) -> None:
        """Tell every plugin that the run is about to start."""
        self._run = run
        self._hooks[0][0].run_started(run)

    def run_reconfigured(self, hooks: CompiledHooks, kept: Collection[str]) -> None:
        """Tell the plugins that are new."""
        before, _ = self._hooks[-1]
        self._hooks[-1] = before, kept
        self._hooks.append((hooks, ()))
        if self._run is not None:
            hooks.run_started(self._run, besides=kept)

    def run_finished(self, report: RunReport) -> None:
        """Tell every plugin that was told of the start."""
        for hooks, besides in self._hooks:
            hooks.run_finished(report, besides=besides)
