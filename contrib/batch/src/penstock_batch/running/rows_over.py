"""What has become of each row of a stage: it is done, it has failed, or it is open.

A row that is not the one that was read when the run began has failed, whatever was answered to the one that stood there
before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import attrs

from penstock_batch.rows.reader import BadRow, Row
from penstock_batch.running.deriving import StageRows
from penstock_batch.running.lineage import Origin
from penstock_batch.running.results import Result

__all__ = ["CHANGED", "UNREADABLE", "Failure", "input_rows", "record_of"]

CHANGED: Final = "changed while it ran"
"""The reason of a row that the input has no more."""
UNREADABLE: Final = "unreadable row"
"""That of one that cannot be read."""


@attrs.frozen
class Failure:
    """The failure of a row. `line` is the input's, from 1; `row` its columns, or `None` and the beginning of its
    `text`; `words` are the last of the model. `answers` are those of the row that stood there before. `items` are the
    numbers of the items that it was split off as.
    """

    line: int | None
    step: str | None
    error: str
    row: dict[str, Any] | None
    text: str | None = None
    answers: dict[str, Any] | None = None
    reason: str = UNREADABLE
    words: Any = None
    items: tuple[int, ...] = ()

    @property
    def cause(self) -> str:
        """By which failures are counted."""
        return f"{self.step}: {self.error}" if self.step else self.reason

    @property
    def fields(self) -> dict[str, Any]:
        """It as it stands in the failed file (`failed_rows.py`), without the row's columns."""
        failure = {"line": self.line, "step": self.step, "error": self.error, "answer": self.words}
        more = {"text": self.text, "answers": self.answers, "items": list(self.items) or None}
        return failure | {name: value for name, value in more.items() if value is not None}


def input_rows(stage: StageRows) -> Iterator[tuple[int, Row | BadRow | None]]:
    """The rows of the stage by their index, and `None` for each that its input has no more. Raises `InputProblem`.

    Of those beyond its limit only what may be in the output: rows that can be read, and are what they were.
    """
    facts, limit = stage.pipeline.facts, stage.limit
    index = -1
    for row in stage.pipeline.rows():
        index = row.index
        if index >= facts.rows:  # it came after the run had begun, and belongs to the next
            return
        if limit is None or index < limit or (isinstance(row, Row) and facts.unchanged(row)):
            yield index, row
    for gone in range(index + 1, stage.rows):
        yield gone, None


def record_of(index: int, row: Row | BadRow | None, stage: StageRows) -> Result | Failure | None:
    """What has become of a row of the stage: `None` while it is open. One that was made of others is told by where it
    comes from.
    """
    origin = Origin(None if row is None else row.line) if stage.origin is None else stage.origin(index)
    if row is None or not stage.pipeline.facts.unchanged(row):
        values = row.values if isinstance(row, Row) else None
        text = row.text if isinstance(row, BadRow) else None
        answers = _answers(index, stage)
        return Failure(origin.line, None, CHANGED, values, text, answers, CHANGED, items=origin.items)
    if isinstance(row, BadRow):
        return Failure(row.line, None, f"line {row.line}: {row.problem}", None, row.text)
    result = stage.results.of(row.index)
    if result is None or result.kind == "done":
        return result
    why = result.record
    return Failure(origin.line, why["step"], why["error"], row.values, words=why["words"], items=origin.items)


def _answers(index: int, stage: StageRows) -> dict[str, Any]:
    result = stage.results.of(index)
    known = {} if result is None or result.kind == "failed" else result.record
    return {name: known[name] for step in stage.pipeline.steps for name in step.output_names if name in known}
