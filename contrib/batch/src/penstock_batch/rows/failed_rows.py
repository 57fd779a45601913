"""A row that failed, as it stands in the failed file, which is an input as it is: its own columns, and why it failed.

A line is the row with one column more, `_failed`, an object of `line`, `step`, `error` and `answer`. Whoever reads such
rows leaves that column out, so the file can be mended and run again, and what fails then is written the same way. A row
that could not be read has no columns, and its beginning as `text`: it cannot be read the second time either.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["FAILED", "failed_line", "is_failure", "row_without_failure", "unread"]

FAILED: Final = "_failed"
"""The name of the column that says why a row failed."""
_FIELDS: Final = frozenset({"line", "step", "error"})


def failed_line(columns: Mapping[str, Any] | None, failure: Mapping[str, Any]) -> dict[str, Any]:
    """The line of a failed row. `failure` has `line`, `step`, `error` and more; `columns` are `None` where the row
    could not be read.

    >>> failed_line({"id": 1}, {"line": 1, "step": "summary", "error": "HTTP 400"})
    {'id': 1, '_failed': {'line': 1, 'step': 'summary', 'error': 'HTTP 400'}}
    """
    return {**(columns or {}), FAILED: dict(failure)}


def is_failure(value: object) -> bool:
    """Whether `value` is what a run writes into the column `_failed`."""
    return isinstance(value, dict) and value.keys() >= _FIELDS


def row_without_failure(values: dict[str, Any]) -> dict[str, Any]:
    """The columns of a row that failed in an earlier run, without the reason. Raises `ValueError` for a column of that
    name that no run has written.
    """
    if FAILED not in values:
        return values
    if not is_failure(values[FAILED]):
        raise ValueError(f"has a column {FAILED!r}, which is the one in which a run says why a row failed; rename it")
    return {name: value for name, value in values.items() if name != FAILED}


def unread(values: Mapping[str, Any]) -> tuple[str, str] | None:
    """The reason and the text of a row that could not be read in an earlier run; `None` for any other."""
    failure = values.get(FAILED)
    if len(values) > 1 or not isinstance(failure, dict) or not isinstance(failure.get("text"), str):
        return None
    return str(failure.get("error")), failure["text"]
