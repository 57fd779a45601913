"""The plugin, and what can be set about it."""

from __future__ import annotations

import os

import attrs

from penstock import TaskRunner, hookimpl, in_schema, number_from, whole_number_from
from penstock_processes.runner import LARGEST_RESULT, ProcessTaskRunner
from penstock_processes.starting import refuse_while_a_worker_starts

__all__ = ["ProcessesConfig", "ProcessesPlugin"]

LOWEST = 19
"""The lowest priority that the system knows."""


def _cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@in_schema(minimum=0, maximum=LOWEST)
def _priority(_: object, field: attrs.Attribute[int], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LOWEST:
        raise ValueError(f"{field.name} must be a whole number from 0 to {LOWEST}, not {value!r}")


@attrs.frozen(kw_only=True)
class ProcessesConfig:
    """`[plugins.processes]`.

    `workers`         how many tasks compute at a time, each in a process; without it, one for each core
    `nice`            how far the workers stand back behind everything else on the machine, from 0 to 19
    `largest_result`  bytes that the result of a task may have when it is pickled
    `grace`           seconds for which the end of a run waits for workers that have nothing to do, before it kills them
    """

    workers: int = attrs.field(factory=_cores, validator=whole_number_from(1))
    nice: int = attrs.field(default=10, validator=_priority)
    largest_result: int = attrs.field(default=LARGEST_RESULT, validator=whole_number_from(1))
    grace: float = attrs.field(default=5.0, validator=number_from(0))


class ProcessesPlugin:
    """A runner of functions that compute, in worker processes."""

    Config = ProcessesConfig

    def __init__(self, config: ProcessesConfig) -> None:
        self._config = config

    @hookimpl
    def penstock_task_runner(self) -> TaskRunner:
        """The runner, one for each run."""
        refuse_while_a_worker_starts()
        config = self._config
        return ProcessTaskRunner(
            config.workers, nice=config.nice, largest_result=config.largest_result, grace=config.grace
        )
