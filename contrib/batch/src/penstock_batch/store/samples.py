"""What a run looked like, once a second: kept beside its answers, so that a report can be made of it afterwards.

A run that was killed has samples too. One is some hundred bytes of JSON in a table of the store; one that cannot be
read is passed over, since a report is made of what there is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from penstock import AsyncCapacityPlan, ConfigError, structure

__all__ = [
    "TABLES",
    "Ask",
    "Change",
    "ModelSample",
    "RunRecord",
    "Sample",
    "StepSample",
    "begin_run",
    "put_sample",
    "runs",
    "samples",
    "tell_run",
]

Ask = Callable[..., list[Any]]
"""Asks the store: a question in SQL and its values, to the rows that answer it."""

TABLES = """
CREATE TABLE runs (run INTEGER PRIMARY KEY, started REAL NOT NULL, ended REAL, told TEXT NOT NULL);
CREATE TABLE samples (run INTEGER NOT NULL, at REAL NOT NULL, sample TEXT NOT NULL, PRIMARY KEY (run, at))
  WITHOUT ROWID;
"""


@attrs.frozen(kw_only=True)
class ModelSample:
    """A model at one moment. In flight, waiting and the limits are those of that moment; the others are counts since
    the run began, `cost` in the money of the prices.
    """

    cap: int = 0
    limit: int | None = None
    in_flight: int = 0
    waiting: int = 0
    cooldown: float = 0.0
    calls: int = 0
    limited: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None


@attrs.frozen(kw_only=True)
class StepSample:
    """A step at one moment: cells that could start and wait; and counts since the run began."""

    waiting: int = 0
    kept: int = 0
    empty: int = 0
    done: int = 0
    failed: int = 0
    cost: float | None = None


@attrs.frozen(kw_only=True)
class Sample:
    """A run at one moment, `at` seconds after it began. `processor` is the share of a processor that it took since the
    sample before; `limited_by` what held it back then.
    """

    at: float
    rows: int = 0
    rows_done: int = 0
    rows_failed: int = 0
    processor: float = 0.0
    limited_by: str = ""
    models: Mapping[str, ModelSample] = attrs.field(factory=dict)
    steps: Mapping[str, StepSample] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class RunRecord:
    """A run that the store has seen. `ended` is `None` while it goes on, and where it was killed; `limits` are seconds
    by what held it back, `failures` rows by why they failed. `capacity` is
    what limited it, if that is known. Moments are in seconds since 1970.
    """

    run: int
    started: float
    ended: float | None = None
    limits: Mapping[str, float] = attrs.field(factory=dict)
    failures: Mapping[str, int] = attrs.field(factory=dict)
    capacity: AsyncCapacityPlan | None = None


Change = tuple[str, tuple[Any, ...]]
"""A statement of SQL and its values, to be carried out with the next commit."""


def begin_run(run: int, started: float) -> Change:
    """What notes that a run begins."""
    return "INSERT OR REPLACE INTO runs VALUES (?, ?, NULL, '{}')", (run, started)


def put_sample(run: int, sample: Sample) -> Change:
    """What keeps a sample."""
    text = json.dumps(attrs.asdict(sample), separators=(",", ":"), ensure_ascii=True)
    return "INSERT OR REPLACE INTO samples VALUES (?, ?, ?)", (run, sample.at, text)


def tell_run(record: RunRecord) -> Change:
    """What notes how far a run is, or that it has ended."""
    capacity = None if record.capacity is None else record.capacity.as_dict()
    known = {"limits": dict(record.limits), "failures": dict(record.failures), "capacity": capacity}
    told = json.dumps(known, separators=(",", ":"), ensure_ascii=True)
    return "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?)", (record.run, record.started, record.ended, told)


def runs(ask: Ask) -> list[RunRecord]:
    """The runs that were sampled, the oldest first."""
    return [
        RunRecord(run=run, started=started, ended=ended, **_told(told))
        for run, started, ended, told in ask("SELECT run, started, ended, told FROM runs ORDER BY run")
    ]


def samples(ask: Ask, run: int) -> Iterator[Sample]:
    """The samples of a run, in their order."""
    for (text,) in ask("SELECT sample FROM samples WHERE run = ? ORDER BY at", (run,)):
        try:
            yield _sample(json.loads(text))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            continue


def _told(told: object) -> dict[str, Any]:
    try:
        data = json.loads(str(told))
        limits = {str(what): float(seconds) for what, seconds in data["limits"].items()}
        failures = {str(why): int(count) for why, count in data["failures"].items()}
        return {"limits": limits, "failures": failures, "capacity": _capacity(data.get("capacity"))}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _capacity(told: object) -> AsyncCapacityPlan | None:
    """What limited a run; `None` where that was not told, or by another version in words that are not ours."""
    try:
        plan: AsyncCapacityPlan = structure(told, AsyncCapacityPlan)
        return plan
    except ConfigError:
        return None


def _sample(data: dict[str, Any]) -> Sample:
    models = {name: ModelSample(**each) for name, each in data.pop("models").items()}
    steps = {name: StepSample(**each) for name, each in data.pop("steps").items()}
    return Sample(**data, models=models, steps=steps)
