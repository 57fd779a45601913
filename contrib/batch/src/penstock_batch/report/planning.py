"""The facts of a plan, from a pipeline and its store: nothing is called.

Where the store holds answers, every row is looked at, as a run would do it; else all rows are new. What is asked is
rendered for the first rows; what a step before would have said is not known then, and a text of the length to be
expected stands in for it. How many rows there are behind a step that makes other rows of rows follows from what is
kept of those before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from typing import Any, Final

import attrs

from penstock_batch.calls.asking import NotAsked, ask
from penstock_batch.money.estimates import most_output, text_bytes
from penstock_batch.pipeline.loading import Pipeline
from penstock_batch.pipeline.steps import Step
from penstock_batch.report.plan import BYTES_PER_TOKEN, KeptAnswers, RowCount, StepFacts
from penstock_batch.running.kept_rows import KeptRow
from penstock_batch.running.kept_stages import KeptStage, kept_stages
from penstock_batch.store.encoding import checksum, decoded
from penstock_batch.store.reading import StoreReader

__all__ = ["facts_of"]

RECENT: Final = 500
"""Answers of a step from which others are expected."""

UNKNOWN_TOKENS: Final = 50
"""Of an answer of which nothing is known, where it stands in a prompt."""


def facts_of(pipeline: Pipeline, reader: StoreReader, most: int) -> list[StepFacts]:
    """What is known of each step before a run; calls are rendered for the first `most` rows of each step that have any
    to make.
    """
    answers = {step.name: _recent(step, reader) for step in pipeline.steps}
    found: list[StepFacts] = []
    count = RowCount(pipeline.facts.rows - pipeline.facts.bad_count)
    whole_input = len(pipeline.stages) > 1 or _any(reader) or any(step.when is not None for step in pipeline.steps)
    in_part = False
    with closing(kept_stages(pipeline, reader)) as stages:
        for stage in stages:
            if stage.change is not None and stage.made is not None:
                made = stage.made
                of = made.made_of
                behind = count.behind(stage.change.kind, bool(stage.change.by), len(made), of)
                count = RowCount(len(made)) if stage.whole else behind
                # What is gathered of a part of the rows is gathered anew of all: what is kept of it says nothing.
                in_part |= stage.change.kind == "gather" and not stage.whole
            found += _stage_facts(stage, answers, most, count, whole_input=whole_input, in_part=in_part)
            if not whole_input:
                return found
    known = {facts.name for facts in found}
    return found + [_facts(step, answers, RowCount(None)) for step in pipeline.steps if step.name not in known]


def _stage_facts(
    stage: KeptStage,
    answers: Mapping[str, KeptAnswers],
    most: int,
    count: RowCount,
    *,
    whole_input: bool,
    in_part: bool,
) -> Iterator[StepFacts]:
    pipeline = stage.pipeline
    lengths = {step.name: _length(step, answers[step.name]) for step in pipeline.steps}
    kept = dict.fromkeys(lengths, 0)
    empty = dict.fromkeys(lengths, 0)
    undecided = {step.name for step in pipeline.steps if step.samples > 1 and answers[step.name].answers}
    asked: dict[str, list[int]] = {name: [] for name in lengths}
    made_up = dict.fromkeys(lengths, False)
    tried = dict.fromkeys(lengths, 0)
    rows = 0
    for row in stage.rows if whole_input else islice(stage.rows, most):
        rows += 1
        for name in row.finished:
            (kept if name in row.kept else empty)[name] += 1
        undecided |= {step.name for step in pipeline.steps if step.when is not None and _is_open(step, row)}
        if all(step.name in row.finished or tried[step.name] >= most for step in pipeline.steps):
            continue
        values = dict(row.values)
        for step in pipeline.steps:
            if step.name in row.finished:
                continue
            tried[step.name] += 1
            if step.model is not None and tried[step.name] <= most:
                asked[step.name] += _size(step, values, row.row.values)
                made_up[step.name] |= any(need not in row.finished for need in pipeline.needs[step.name])
            values[step.name] = "x" * lengths[step.name]
    if whole_input and stage.whole:
        count = RowCount(rows)
    if in_part and count.sure == "exactly":
        count = attrs.evolve(count, sure="at most")
    for step in pipeline.steps:
        sizes = asked[step.name]
        bytes_asked = sum(sizes) / len(sizes) if sizes else None
        of_all = (0, 0) if in_part else (kept[step.name], empty[step.name])
        facts = _facts(step, answers, count, *of_all)
        if facts.sure == "exactly" and step.name in undecided:
            facts = attrs.evolve(facts, sure="at most")
        yield attrs.evolve(facts, bytes_asked=bytes_asked, stand_ins=made_up[step.name])


def _is_open(step: Step, row: KeptRow) -> bool:
    """Whether it is not known yet if a row wants a cell."""
    return step.name not in row.finished and step.name not in row.claims


def _facts(step: Step, answers: Mapping[str, KeptAnswers], count: RowCount, kept: int = 0, empty: int = 0) -> StepFacts:
    return StepFacts(
        name=step.name,
        kind=step.kind,
        model=step.model,
        calls=None if count.rows is None else step.samples * max(0, count.rows - kept - empty),
        sure=count.sure,
        kept=step.samples * kept,
        empty=empty,
        fallback=step.fallback,
        most_output=most_output(step.params),
        batch_size=step.batch_size,
        batch_tokens=step.batch_tokens,
        answers=answers[step.name],
    )


def _any(reader: StoreReader) -> bool:
    return bool(reader.ask("SELECT 1 FROM answers LIMIT 1"))


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
