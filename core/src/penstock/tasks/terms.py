"""What tasks of one kind have in common."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from penstock.tasks.records import SchedulerResourceRequest, TaskGroupSpec

__all__ = ["TaskTerms"]


@attrs.define(eq=False)
class TaskTerms:
    """What tasks of one kind have in common, by the names that it has in their records."""

    group: TaskGroupSpec
    resource_request: SchedulerResourceRequest
    deadline: float | None
    labels: Mapping[str, str] | None
