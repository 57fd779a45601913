"""The screen of `penstock top`: one look on standard output, or looks on the terminal until the run ends."""

from __future__ import annotations

import os
from functools import partial
from typing import Final

import trio
from rich.console import Console
from rich.live import Live

from penstock.cli.top.drawing import drawn, most_rows
from penstock.cli.top.view import view_of
from penstock.cli.top.watching import figures_of_run, watch
from penstock.run.explain_asking import FoundRun
from penstock.words.report import RunFigures

__all__ = ["show_once", "show_until_it_ends"]

WHOLE: Final = 400
"""As wide as names and reasons may be."""


def _console() -> Console:
    return Console(markup=False, emoji=False, highlight=False)


def show_once(figures: RunFigures) -> None:
    """One look, whole: where there is no terminal, no line is cut, unless COLUMNS says how wide it is."""
    console = _console()
    if not console.is_terminal and not os.environ.get("COLUMNS"):
        console.width = WHOLE
    console.print(drawn(view_of(figures, None, most_rows(console)), console))


def show_until_it_ends(run: FoundRun, interval: float) -> str:
    """Look after look, on the whole terminal, which is as it was before when the run has ended. Returns how that was
    seen. Raises `OSError` or `ValueError` if the run never answers.
    """
    console = _console()
    with Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:

        def show(now: RunFigures, before: RunFigures | None, note: str) -> None:
            live.update(drawn(view_of(now, before, most_rows(console)), console, note), refresh=True)

        return trio.run(partial(watch, partial(figures_of_run, run), show, interval))
