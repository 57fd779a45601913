"""Which columns the output has, and what they are called there. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penstock import Problem, did_you_mean
from penstock_batch.rows.failed_rows import FAILED

__all__ = ["selected", "selected_columns", "selection_problems"]


def selected_columns(chosen: Sequence[str] | Mapping[str, str] | None) -> Mapping[str, str] | None:
    """The columns of the output, each by the column that it is filled from; `None` where all go as they are.

    >>> selected_columns(["id", "summary"])
    {'id': 'id', 'summary': 'summary'}
    """
    if chosen is None:
        return None
    return dict(chosen) if isinstance(chosen, Mapping) else {name: name for name in chosen}


def selected(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """A row of the output, of what there is in a row. A column that it does not have is left out.

    >>> selected({"id": 7, "text": "a gate"}, {"ticket": "id", "lang": "lang"})
    {'ticket': 7}
    """
    return {name: row[column] for name, column in columns.items() if column in row}


def selection_problems(chosen: Sequence[str] | Mapping[str, str] | None, names: Sequence[str]) -> list[Problem]:
    """What is wrong with the choice among the columns that there are in the end.

    >>> print(*selection_problems(["sumary"], ["id", "summary"]))
    columns: 'sumary' is no column of the last rows; did you mean 'summary'?
    """
    if chosen is None:
        return []
    if not chosen:
        return [Problem(("columns",), "names no column; leave it out for all of them")]
    problems = [
        Problem(("columns",), f"gives a column the name {name!r}, {what}")
        for name, what in (("", "which is empty"), (FAILED, "under which a failed row says why"))
        if name in chosen
    ]
    wanted = list(chosen.values()) if isinstance(chosen, Mapping) else list(chosen)
    for name in dict.fromkeys(wanted):
        if name not in names and name:
            hint = did_you_mean(name, names, otherwise="there are")
            problems.append(Problem(("columns",), f"{name!r} is no column of the last rows; {hint}"))
        if not isinstance(chosen, Mapping) and wanted.count(name) > 1:
            problems.append(Problem(("columns",), f"names {name!r} twice"))
    return problems
