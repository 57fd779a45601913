"""Functions that compute, as tasks of a run, on a Ray cluster or on a local Ray."""

from __future__ import annotations

from penstock_ray.config import RayConfig
from penstock_ray.losses import NodeLost, OutOfMemory, ResultLost
from penstock_ray.plugin import RayPlugin
from penstock_ray.runner import RayTaskRunner

__all__ = ["NodeLost", "OutOfMemory", "RayConfig", "RayPlugin", "RayTaskRunner", "ResultLost"]
