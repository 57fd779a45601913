"""What is configured of a worker: the table `[worker]`, and how many tasks run at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from penstock import (
    ConfigError,
    PenstockConfig,
    Problem,
    did_you_mean,
    in_schema,
    load_config,
    number_above,
    number_from,
    whole_number_from,
)
from penstock_worker.answers import LONGEST_ANSWER
from penstock_worker.handlers import Handlers

__all__ = [
    "TABLES", "VARIABLES", "WorkerConfig", "WorkerSettings", "without_effect", "worker_settings", "workers_wanted"
]  # fmt: skip

log: Final = logging.getLogger("penstock.worker")

VARIABLES: Final = ("PENSTOCK_WORKERS", "RUNQY_PYTHON_WORKERS")
"""The environment variables that override the number of workers; the first that is set counts."""

MOST_WORKERS: Final = 10_000

WATCHDOG: Final = 0.25
"""Seconds for which a task may keep the loop from everything else before it is reported."""


@in_schema(additionalProperties={"type": "number", "minimum": 0.000001, "maximum": 1_000_000})
def _weights(_: object, field: attrs.Attribute[Any], value: Mapping[str, object]) -> None:
    for key, weight in value.items():
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not key or not number or not 0.000001 <= weight <= 1_000_000:  # type: ignore[operator]
            what = f"must be a weight from 0.000001 to 1,000,000, not {weight!r}"
            raise ConfigError(Problem((field.name, key), what))


@attrs.frozen(kw_only=True)
class WorkerConfig:
    """`[worker]`. Durations are in seconds.

    - `time_limit`: after which a task is answered with an error. Without one there is none.
    - `grace`: how long what runs may go on after SIGTERM; the parent kills 10 s after it.
    - `weights`: of queues, which are the groups of tasks; 1 for a queue that is not there.
    - `backlog`: how many tasks are read and not answered at most; it then stops reading until some are.
    - `longest_answer`: bytes that the parent reads as one line.
    """

    time_limit: float | None = attrs.field(default=None, validator=attrs.validators.optional(number_above(0.0)))
    grace: float = attrs.field(default=8.0, validator=number_from(0.0))
    weights: dict[str, float] = attrs.field(factory=dict, validator=_weights)
    backlog: int = attrs.field(default=10_000, validator=whole_number_from(1))
    longest_answer: int = attrs.field(default=LONGEST_ANSWER, validator=whole_number_from(1000))


TABLES: Final[Mapping[str, Any]] = {"worker": WorkerConfig}
"""The table of a worker beside the core's."""


@attrs.frozen
class WorkerSettings:
    """All that is configured: the run's configuration, `[worker]`, and how many tasks run at a time."""

    config: PenstockConfig
    worker: WorkerConfig
    workers: int

    @property
    def sequential(self) -> bool:
        """Whether tasks run one by one, in the order in which they came."""
        return self.workers == 1


def workers_wanted(given: object, environ: Mapping[str, str]) -> int:
    """How many tasks run at a time: what the environment says, and otherwise what the program does.

    Raises `ConfigError` for what is no whole number from 1 on.
    """
    for name in VARIABLES:
        text = environ.get(name, "").strip()
        if text:
            if not (text.isascii() and text.isdigit() and 1 <= len(text) <= 9 and 1 <= int(text) <= MOST_WORKERS):
                raise ConfigError(f"{name} must be a whole number from 1 to {MOST_WORKERS:,}, not {text!r}")
            return int(text)
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= MOST_WORKERS:
        raise ConfigError(f"workers must be a whole number from 1 to {MOST_WORKERS:,}, not {given!r}")
    return given


def worker_settings(
    config: Path | str | Mapping[str, Any] | None, workers: int, environ: Mapping[str, str], handlers: Handlers
) -> WorkerSettings:
    """The settings of one run of these handlers. Raises `ConfigError` with every problem of the configuration."""
    if not len(handlers):
        raise ConfigError("there is no task: mark the function that does the work with @task")
    loaded = load_config(config, extra_tables=TABLES)
    worker: WorkerConfig = loaded.extras["worker"]
    number = workers_wanted(workers, environ)
    given = loaded.config.scheduler
    scheduler = attrs.evolve(
        given,
        submission_capacity=min(given.submission_capacity, number),
        shutdown_grace=worker.grace,
        explain_socket=True if given.explain_socket is None else given.explain_socket,
        watchdog=WATCHDOG if given.watchdog is None else given.watchdog,
    )
    _check_needs(handlers, scheduler.resources)
    for line in without_effect(loaded.config):
        log.warning("%s", line)
    return WorkerSettings(attrs.evolve(loaded.config, scheduler=scheduler), worker, number)


def without_effect(config: PenstockConfig) -> Iterator[str]:
    """What a configuration says that means nothing to a worker, a line for each."""
    if config.scheduler.runners:
        yield "[scheduler.runners] has no effect on a worker, whose plain tasks all run in threads"
    if config.given is not None and "shutdown_grace" in config.given.get("scheduler", ()):
        yield "scheduler.shutdown_grace has no effect on a worker: write grace under [worker]"


def _is_amount(amount: object, most: int) -> bool:
    return isinstance(amount, int) and not isinstance(amount, bool) and 1 <= amount <= most


def _check_needs(handlers: Handlers, resources: Mapping[str, int]) -> None:
    problems = []
    for type_, handler in handlers:
        of = "a task" if type_ is None else f"the task {type_!r}"
        for name, amount in handler.needs.items():
            if name not in resources:
                problems.append(
                    f"{of} needs {name!r}, which [scheduler.resources] lacks; {did_you_mean(name, resources)}"
                )
            elif not _is_amount(amount, resources[name]):
                problems.append(f"{of} needs {amount!r} of {name!r}, of which there are {resources[name]}")
    if problems:
        raise ConfigError(problems)
