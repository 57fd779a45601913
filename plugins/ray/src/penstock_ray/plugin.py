"""The plugin: a runner for each run."""

from __future__ import annotations

from penstock import TaskRunner, hookimpl
from penstock_ray.config import RayConfig
from penstock_ray.runner import RayTaskRunner

__all__ = ["RayPlugin"]


class RayPlugin:
    """A runner of functions that compute, on a Ray cluster."""

    Config = RayConfig

    def __init__(self, config: RayConfig) -> None:
        self._config = config

    @hookimpl
    def penstock_task_runner(self) -> TaskRunner:
        """The runner, one for each run."""
        return RayTaskRunner(self._config)
