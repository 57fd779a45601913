"""The page of a run from its record of events, with a batch's charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from penstock_batch.report.charts import charts, scripts
from penstock_batch.report.page import Chart, page
from penstock_batch.report.record.telling import told_by

__all__ = ["record_page"]

TITLES: Final[Mapping[str, str]] = {"waiting": "Tasks that waited"}
"""Of charts that are called otherwise than a batch's."""


def record_page(paths: Sequence[Path], *, run: int | None) -> bytes:
    """The page of the last run in these files, or of the one with this number, from 1. Raises `ConfigError` if they
    have none.
    """
    told = told_by(paths, run=run)
    drawn = charts(told.figures)
    return page(
        title=told.title,
        state=told.state,
        facts=told.facts,
        tables=told.tables,
        charts=[Chart(key, TITLES.get(key, title), spec) for key, (title, spec) in drawn.items() if key != "processor"],
        rows=[],
        rows_word="",
        scripts=scripts(),
    )
