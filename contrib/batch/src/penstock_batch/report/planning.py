"""The facts of a plan, from a pipeline and its store: nothing is called.

Where the store holds answers, every row is looked at, as a run would do it; else all rows are new. What is asked is
rendered for the first rows; what a step before would have said is not known then, and a text of the length to be
expected stands in for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from penstock_batch.calls.asking import NotAsked, ask
from penstock_batch.calls.claims import Claims
from penstock_batch.money.estimates import most_output, text_bytes
from penstock_batch.pipeline.loading import Pipeline
from penstock_batch.pipeline.steps import Step
from penstock_batch.report.plan import BYTES_PER_TOKEN, KeptAnswers, StepFacts
from penstock_batch.rows.reader import InputProblem, Row
from penstock_batch.running.kept_rows import KeptRow, KeptRows
from penstock_batch.store.encoding import checksum, decoded
from penstock_batch.store.reading import StoreReader

__all__ = ["facts_of"]

RECENT: Final = 500
"""Answers of a step from which others are expected."""

TOGETHER: Final = 256
"""Rows that are looked at together."""

UNKNOWN_TOKENS: Final = 50
"""Of an answer of which nothing is known, where it stands in a prompt."""


def facts_of(pipeline: Pipeline, reader: StoreReader, most: int) -> list[StepFacts]:
    """What is known of each step before a run; calls are rendered for the first `most` rows that have any to make."""
    answers = {step.name: _recent(step, reader) for step in pipeline.steps}
    lengths = {step.name: _length(step, answers[step.name]) for step in pipeline.steps}
    kept = dict.fromkeys(answers, 0)
    asked: dict[str, list[int]] = {name: [] for name in answers}
    made_up = dict.fromkeys(answers, False)
    rows = rendered = 0
    for row in _looked_at(pipeline, reader, most):
        rows += 1
        for name in row.finished:
            kept[name] += 1
        if len(row.finished) == len(pipeline.steps) or rendered >= most:
            continue
        rendered += 1
        values = dict(row.values)
        for step in pipeline.steps:
            if step.name in row.finished:
                continue
            if step.model is not None:
                asked[step.name] += _size(step, values, row.row.values)
                made_up[step.name] |= any(need not in row.finished for need in pipeline.needs[step.name])
            values[step.name] = "x" * lengths[step.name]
    total = rows if _any(reader) else pipeline.facts.rows - pipeline.facts.bad_count
    return [
        StepFacts(
            name=step.name,
            kind=step.kind,
            model=step.model,
            calls=total - kept[step.name],
            kept=kept[step.name],
            bytes_asked=sum(sizes) / len(sizes) if (sizes := asked[step.name]) else None,
            stand_ins=made_up[step.name],
            most_output=most_output(step.params),
            batch_size=step.batch_size,
            batch_tokens=step.batch_tokens,
            answers=answers[step.name],
        )
        for step in pipeline.steps
    ]


def _any(reader: StoreReader) -> bool:
    return bool(reader.ask("SELECT 1 FROM answers LIMIT 1"))


def _looked_at(pipeline: Pipeline, reader: StoreReader, most: int) -> Iterator[KeptRow]:
    """The rows with what is kept of them: all of them, or the first `most` where nothing is."""
    kept = KeptRows(pipeline.steps, pipeline.needs, Claims(reader, pipeline.facts.digests))
    rows = islice(_good_rows(pipeline), None if _any(reader) else most)
    while part := list(islice(rows, TOGETHER)):
        yield from kept.of(part, leave_slow=False)


def _good_rows(pipeline: Pipeline) -> Iterator[Row]:
    try:
        yield from (row for row in pipeline.rows() if isinstance(row, Row))
    except InputProblem:
        return


def _recent(step: Step, reader: StoreReader) -> KeptAnswers:
    found = KeptAnswers()
    if step.model is None:
        return found
    question = "SELECT key, body, vector, crc FROM answers WHERE step = ? ORDER BY id DESC LIMIT ?"
    for key, body, vector, crc in reader.ask(question, (step.name, RECENT)):
        try:
            if checksum(key, body, vector) == crc:
                answer = decoded(body, vector)
                found.add(answer.usage, answer.elapsed)
        except (ValueError, TypeError, KeyError, RecursionError):
            continue
    return found


def _length(step: Step, answers: KeptAnswers) -> int:
    """The characters of an answer to be expected."""
    tokens = answers.output_tokens / answers.told if answers.told else most_output(step.params) or UNKNOWN_TOKENS
    return max(1, round(tokens * BYTES_PER_TOKEN))


def _size(step: Step, values: Mapping[str, Any], columns: Mapping[str, Any]) -> Sequence[int]:
    """The bytes that a step asks for a row; none where that cannot be said before."""
    try:
        return [text_bytes(ask(step, values, columns).body)]
    except NotAsked:
        return []
