"""A sample of a run's rows, with what was asked and what was answered.

What was asked is not kept: it is rendered anew, and shown where it is known to be what was asked, that is where an
answer lies under its key, or where neither input nor TOML have changed since the last run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import attrs

from penstock_batch.calls.asking import NotAsked
from penstock_batch.calls.claims import Claims
from penstock_batch.calls.judging import Accepted, judge
from penstock_batch.pipeline.loading import Pipeline
from penstock_batch.pipeline.steps import Step
from penstock_batch.pipeline.templates import ROW, RenderError
from penstock_batch.report.page import AnswerView, CellView, RowView
from penstock_batch.rows.failed_rows import FAILED
from penstock_batch.rows.reader import BadRow, InputProblem, Row
from penstock_batch.running.deriving import StageRows
from penstock_batch.running.kept_stages import kept_stages
from penstock_batch.running.lineage import Origin
from penstock_batch.running.sampling import ASKED_BY, asked_by
from penstock_batch.store.answer import Answer
from penstock_batch.store.reading import StoreReader
from penstock_batch.words.amounts import counted, money

__all__ = ["row_views"]

MOST_TEXT: Final = 20_000
"""Characters of one text on the page."""

CHANGED: Final = "left out: the input or the TOML has changed since it was asked"


_Place = tuple[int | None, tuple[int, ...]]
"""Where a row comes from: a line of the input, and the items that it was split off as."""


@attrs.frozen
class _Failed:
    """A row of the failed file."""

    step: str | None
    error: str


def row_views(pipeline: Pipeline, reader: StoreReader, most: int) -> list[RowView]:
    """At most so many rows, as many of each stage: in the order in which they come, failed ones, at most half where
    there are others, and others evenly from all.
    """
    failed = _failed_rows(pipeline.failed)
    noted = reader.ask("SELECT value FROM facts WHERE name = ?", (ASKED_BY,))
    unchanged = bool(noted) and noted[0][0] == asked_by(pipeline)
    stages = len(pipeline.stages)
    found: list[RowView] = []
    with closing(kept_stages(pipeline, reader)) as kept:
        for number, each in enumerate(kept, start=1):
            change = pipeline.stages[number - 1].change
            here = {*each.pipeline.needs, None, None if change is None else change.name}
            of_stage = {place: failure for place, failure in failed.items() if failure.step in here}
            found += _of_stage(each.stage, reader, of_stage, unchanged, most * number // stages - len(found))
            if number == stages:
                break
    secrets = pipeline.secrets
    return [RowView(**_without_keys(attrs.asdict(view, recurse=False), secrets.text)) for view in found]


def _of_stage(
    stage: StageRows, reader: StoreReader, failed: Mapping[_Place, _Failed], unchanged: bool, most: int
) -> Iterator[RowView]:
    pipeline = stage.pipeline
    claims = Claims(reader, pipeline.facts.digests)
    picked = _picked(stage, failed, most)
    for row in _rows(pipeline):
        identity = claims.identity(row.digest)
        if row.index not in picked:
            continue
        place, name = _place(row, stage)
        if isinstance(row, BadRow):
            yield RowView(name, "failed", row.problem, _cut(row.text), [])
        else:
            yield _view(row, name, identity, pipeline, claims, failed.get(place), unchanged)


def _place(row: Row | BadRow, stage: StageRows) -> tuple[_Place, str]:
    """Where a row comes from, as the failed file says it, and for people."""
    origin = Origin(row.line) if stage.origin is None else stage.origin(row.index)
    return (origin.line, origin.items), str(origin)


def _without_keys(fields: Mapping[str, Any], clean: Any) -> dict[str, Any]:
    return {name: _clean(value, clean) for name, value in fields.items()}


def _clean(value: Any, clean: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list | tuple):
        return [_clean(each, clean) for each in value]
    if attrs.has(type(value)):
        return type(value)(**_without_keys(attrs.asdict(value, recurse=False), clean))
    return value


def _rows(pipeline: Pipeline) -> Iterator[Row | BadRow]:
    try:
        yield from pipeline.rows()
    except InputProblem:  # it went away since it was surveyed: what was read so far is shown
        return


def _picked(stage: StageRows, failures: Mapping[_Place, _Failed], most: int) -> set[int]:
    pipeline = stage.pipeline
    rows = pipeline.facts.rows
    failed = [row.index for row in _rows(pipeline) if isinstance(row, BadRow) or _place(row, stage)[0] in failures]
    half = max(most // 2, most - (rows - len(failed)))
    picked = set(failed[:half])
    stride = max(1, rows // max(1, most - len(picked)))
    for index in range(0, rows, stride):
        if len(picked) >= most:
            break
        picked.add(index)
    return picked


def _view(
    row: Row, name: str, identity: int, pipeline: Pipeline, claims: Claims, failed: _Failed | None, unchanged: bool
) -> RowView:
    values = dict(row.values)
    cells = []
    missing: set[str] = set()
    for step in pipeline.steps:
        waits = [need for need in pipeline.needs[step.name] if need in missing]
        if waits:
            missing.add(step.name)
            cells.append(CellView(step.name, None, f"not asked yet: {', '.join(waits)} comes first"))
            continue
        if not _wanted(step, values, row.values):
            values |= {step.name: None, **step.members(None)}
            cells.append(CellView(step.name, None, "empty: its `when` says no"))
            continue
        cell, value = _cell(step, identity, values, row.values, claims, unchanged)
        if failed is not None and failed.step == step.name:
            cell = attrs.evolve(cell, failed=failed.error)
        if value is None:
            missing.add(step.name)
        else:
            values |= {step.name: value.value, **step.members(value.value)}
        cells.append(cell)
    left = missing or (failed is not None and failed.step not in pipeline.needs)  # it could not be split, say
    state = "done" if not left else "open" if failed is None else "failed"
    reason = None if failed is None or state == "done" else failed.error
    return RowView(name, state, reason, _cut(_text(row.values)), cells)


def _wanted(step: Step, values: Mapping[str, Any], columns: Mapping[str, Any]) -> bool:
    try:
        return step.wanted({**values, ROW: columns})
    except RenderError:  # that is told where the cell is asked
        return True


def _cell(
    step: Step,
    identity: int,
    values: Mapping[str, Any],
    columns: Mapping[str, Any],
    claims: Claims,
    unchanged: bool,
) -> tuple[CellView, Accepted | None]:
    try:
        claim = claims.claim(step, identity, values, columns)
    except NotAsked as error:
        return CellView(step.name, None, f"cannot be asked: {error}"), None
    judged = judge(step, claim.answers, values)
    shown = bool(claim.answers) or unchanged
    asked = _cut(_text(claim.asked.body)) if shown else None
    answers = [AnswerView(_cut(_answer(answer)), _facts(answer)) for answer in claim.answers]
    view = CellView(step.name, asked, "" if shown else CHANGED, answers)
    return view, judged if isinstance(judged, Accepted) else None


def _answer(answer: Answer) -> str:
    value = answer.value
    if isinstance(value, list) and len(value) > 8 and all(type(each) in (int, float) for each in value):
        return f"{counted(len(value), 'number')}: {', '.join(f'{each:.4g}' for each in value[:8])}, …"
    return value if isinstance(value, str) else _text(value)


def _facts(answer: Answer) -> str:
    usage = answer.usage
    tokens = None
    if usage.input_tokens is not None or usage.output_tokens is not None:
        tokens = f"{counted(usage.input_tokens or 0, 'token')} in, {usage.output_tokens or 0:,} out"
    parts: Iterable[str | None] = (
        answer.by,
        answer.ended,
        tokens,
        None if answer.cost is None else f"cost {money(answer.cost)}",
        f"{answer.elapsed:.2f} s" if answer.elapsed else None,
    )
    return f"answered: {', '.join(part for part in parts if part)}" if any(parts) else "answered"


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}… ({len(text):,} characters)"


def _failed_rows(path: Path) -> dict[_Place, _Failed]:
    """The rows of the failed file by where they come from; none where it is not there or not readable."""
    found: dict[_Place, _Failed] = {}
    try:
        with path.open(encoding="utf-8") as file:
            for text in file:
                record = json.loads(text)
                record = record.get(FAILED, record)
                for each in (record, *record.get("others", ())):
                    place = each.get("line"), tuple(each.get("items") or ())
                    if isinstance(place[0], int):
                        found[place] = _Failed(each.get("step"), str(each.get("error")))
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        pass
    return found
