"""What a program is given of a run: its rows, one by one, and what it came to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

__all__ = ["BatchResult", "BatchSummary", "RowFailure"]


@attrs.frozen
class RowFailure:
    """Why a row is not done: `error` in one line, of the step named `step`, or of the row itself where that is `None`.

    `cause` is that by which the summary counts failures; `answer` are the model's last words, if there are any.
    """

    error: str
    step: str | None = None
    cause: str = ""
    answer: Any = None

    def __str__(self) -> str:
        return self.cause or self.error


@attrs.frozen
class BatchResult:
    """One row, done or not. `index` counts the input's rows from 0, `line` names its line from 1.

    Where steps make other rows of rows, a result is a row of the last stage, which `index` counts, or one that failed
    on its way there, in its own stage. `line` is then that of the input's row that it was made of, `None` where it was
    gathered, and `items` are the numbers, from 1, of the items that it was split off as.

    `values` are the row's columns and the steps of one that is done; of one that failed its columns as far as they
    could be read.
    """

    index: int
    line: int | None
    values: Mapping[str, Any]
    failure: RowFailure | None = None
    items: tuple[int, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every step is done."""
        return self.failure is None


@attrs.frozen
class BatchSummary:
    """What a run came to: rows that are `done`, that `failed` for the `reasons` (reason to count), and that are `open`
    since it was left or broke off. As a text it is the command's own summary.
    """

    done: int
    failed: int
    open: int
    reasons: Mapping[str, int]
    seconds: float
    lines: tuple[str, ...] = attrs.field(repr=False, default=())

    def __str__(self) -> str:
        return "\n".join(self.lines)
