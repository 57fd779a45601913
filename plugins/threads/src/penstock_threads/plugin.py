"""The plugin, and what can be set about it."""

from __future__ import annotations

import attrs

from penstock import TaskRunner, hookimpl, number_from, whole_number_from
from penstock_threads.runner import ThreadTaskRunner

__all__ = ["ThreadsConfig", "ThreadsPlugin"]


@attrs.frozen(kw_only=True)
class ThreadsConfig:
    """`[plugins.threads]`.

    `workers`      how many tasks run in threads at a time
    `leave_after`  seconds for which the end of a run waits for a thread that was told to end, before it leaves it
    """

    workers: int = attrs.field(default=16, validator=whole_number_from(1))
    leave_after: float = attrs.field(default=2.0, validator=number_from(0))


class ThreadsPlugin:
    """A runner of plain functions in threads."""

    Config = ThreadsConfig

    def __init__(self, config: ThreadsConfig) -> None:
        self._config = config

    @hookimpl
    def penstock_task_runner(self) -> TaskRunner:
        """The runner, one for each run."""
        return ThreadTaskRunner(self._config.workers, self._config.leave_after)
