"""The loop of `penstock top`: ask, show, wait; until the run has ended."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import trio

from penstock.cli.top.view import read_figures
from penstock.run.explain_asking import FoundRun, ask
from penstock.run.explain_protocol import Question
from penstock.words.report import RunFigures

__all__ = ["Show", "figures_of_run", "watch"]

Show = Callable[[RunFigures, RunFigures | None, str], None]
"""What shows the figures, beside those of the look before, with a note."""

Ask = Callable[[], Awaitable[RunFigures]]


async def figures_of_run(run: FoundRun) -> RunFigures:
    """The figures of a run now. Raises `OSError` or `ValueError` with what went wrong."""
    return read_figures(json.loads(await ask(run, Question(records=True, figures=True))))


async def watch(asked: Ask, show: Show, interval: float) -> str:
    """Show a run every `interval` seconds, until it has ended; returns how that was seen.

    A run that does not answer is asked again: its loop may be busy.
    """
    before: RunFigures | None = None
    now: RunFigures | None = None
    silent_since: float | None = None
    while True:
        note = ""
        try:
            figures = await asked()
        except (FileNotFoundError, ConnectionRefusedError):
            return "the run has ended"
        except (OSError, ValueError) as error:
            if now is None:
                raise
            silent_since = trio.current_time() if silent_since is None else silent_since
            note = f"no answer for {trio.current_time() - silent_since:.0f} s: {error}"
        else:
            before, now, silent_since = now, figures, None
        show(now, before, note)
        await trio.sleep(interval)
