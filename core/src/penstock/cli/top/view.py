"""What `penstock top` shows of a run, as lines and tables of text. Pure.

Rates are the difference of two looks. What is in no column that fits is left out, the least important first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import attrs
import cattrs

from penstock.words.report import RunFigures, WaitingFor

__all__ = ["Column", "TableView", "View", "read_figures", "view_of"]

LONGEST_NAME: Final = 120
"""Characters of a name that are shown."""


@attrs.frozen
class Column:
    """A column: its head, the fewest cells that it needs, and whether it holds figures."""

    head: str
    least: int
    figures: bool = True


@attrs.frozen
class TableView:
    """A table, its columns by importance; `more` counts the rows that are left out."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    more: int = 0


@attrs.frozen
class View:
    """The whole: lines of a head, and tables."""

    head: Sequence[str]
    tables: Sequence[TableView]


def read_figures(records: Any) -> RunFigures:
    """The figures in what a run answered. Raises `ValueError` for what are none."""
    try:
        return _CONVERTER.structure(records, RunFigures)
    except Exception as error:  # whatever is wrong with what another process says
        raise ValueError("the answer has no figures of a run; is it one of another version?") from error


_CONVERTER: Final = cattrs.Converter()


def view_of(now: RunFigures, before: RunFigures | None, most_rows: int) -> View:
    """What is shown of these figures; `before` are those of an earlier look, `most_rows` is for each table."""
    seconds = now.captured_at - before.captured_at if before is not None and before.run_id == now.run_id else 0.0
    past = before if seconds > 0 else None
    return View(
        [*_head(now, past, seconds)],
        [
            table
            for table in (_calls(now, past, seconds, most_rows), _tenants(now, most_rows), _tasks(now, most_rows))
            if table.rows
        ],
    )


def _head(now: RunFigures, past: RunFigures | None, seconds: float) -> Iterable[str]:
    yield f"run {now.run_id}, for {_duration(now.running_for)}"
    active, waiting = sum(each.active for each in now.tasks), sum(each.waiting for each in now.tasks)
    done = f"{now.ended.get('completed', 0):,} done"
    if past is not None:
        done += f" ({(now.ended.get('completed', 0) - past.ended.get('completed', 0)) / seconds:,.1f}/s)"
    others = [f"{count:,} {word}" for word, count in now.ended.items() if count and word != "completed"]
    yield f"tasks: {active:,} running, {waiting:,} waiting, {now.unfinished:,} unfinished; {', '.join([done, *others])}"
    yield "places: " + ", ".join(f"{name} {taken:,} of {limit:,}" for name, (taken, limit) in now.resources.items())


def _calls(now: RunFigures, past: RunFigures | None, seconds: float, most: int) -> TableView:
    columns = [
        Column("calls to", 12, figures=False),
        Column("limit", 5),
        Column("out", 5),
        Column("wait", 6),
        Column("longest", 8),
        Column("/s", 7),
        Column("cooldown", 8),
        Column("paused", 6),
        Column("waits for", 14, figures=False),
    ]
    gone = {} if past is None else {(c.provider, c.model, c.domain): c.gone_out for c in past.calls}
    rows = []
    for calls in sorted(now.calls, key=lambda each: (-each.waiting, -each.active, each.provider, each.model)):
        before = gone.get((calls.provider, calls.model, calls.domain))
        rate = "" if before is None else f"{max(0, calls.gone_out - before) / seconds:,.1f}"
        name = f"{calls.provider}/{calls.model}" + ("" if calls.domain == "chat" else f" {calls.domain}")
        limit = "" if calls.limit is None else f"{calls.limit:,}"
        longest = _duration(calls.longest_wait) if calls.waiting else ""
        cooldown = _duration(calls.cooldown) if calls.cooldown > 0 else ""
        figures = (limit, _count(calls.active), _count(calls.waiting), longest, rate, cooldown, _count(calls.paused))
        rows.append((_short(name), *figures, _why(calls.waits_for)))
    return TableView("Calls", columns, rows[:most], len(rows[most:]))


def _tenants(now: RunFigures, most: int) -> TableView:
    columns = [Column("calls for", 12, figures=False), Column("out", 5), Column("wait", 6)]
    tenants = sorted(now.tenants, key=lambda each: (-each.waiting, -each.active, each.group))
    rows = [(_short(each.group), _count(each.active), _count(each.waiting)) for each in tenants]
    return TableView("Tenants", columns, rows[:most], len(rows[most:]))


def _tasks(now: RunFigures, most: int) -> TableView:
    columns = [
        Column("tasks of", 12, figures=False),
        Column("run", 6),
        Column("wait", 8),
        Column("longest", 8),
        Column("waits for", 14, figures=False),
    ]
    groups = sorted(now.tasks, key=lambda each: (-each.longest_wait, -each.waiting, -each.active, each.group))
    rows = [
        (
            _short(each.group),
            _count(each.active),
            _count(each.waiting),
            _duration(each.longest_wait) if each.waiting else "",
            _why(each.waits_for),
        )
        for each in groups
    ]
    return TableView("Tasks", columns, rows[:most], len(rows[most:]))


def _why(waits_for: Sequence[WaitingFor]) -> str:
    return ", ".join(
        f"{each.waiting:,} turn" if each.reason == "turn" else f"{each.waiting:,} {each.reason} by {each.by}"
        for each in waits_for
    )


def _count(number: int) -> str:
    return f"{number:,}" if number else ""


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 3] + "..."


def _duration(seconds: float) -> str:
    """
    >>> _duration(0.25), _duration(75), _duration(7_500)
    ('0.2 s', '1:15', '2:05:00')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
