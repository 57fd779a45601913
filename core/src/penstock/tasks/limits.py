"""How much there is of each resource, and how that changes while tasks hold some of it."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from penstock.tasks.records import SchedulableTask, SchedulerResourceKey
from penstock.words.checks import whole_number
from penstock.words.verdicts import NEVER, Denied

__all__ = ["TaskAdmissionConfig", "never_fits", "replace_limits"]


@attrs.frozen
class TaskAdmissionConfig:
    """The limits of the task gate: places in `submission`, and any other resource by name."""

    submission_capacity: int = 1024
    resource_limits: Mapping[SchedulerResourceKey, int] = attrs.field(factory=dict)


def never_fits(task: SchedulableTask, limits: Mapping[str, int]) -> Denied | None:
    """The refusal of a task that no release could make room for under these limits; `None` if it may fit."""
    for resource, amount in task.resource_request.shape:
        limit = limits.get(resource)
        if limit is None or amount > limit:
            detail = f"it needs {amount} of {resource!r}, and the limit is {limit}"
            if limit is None:
                detail = f"there is no resource {resource!r}; there is {', '.join(sorted(limits))}"
            return Denied("never_fits", {NEVER}, detail=detail, by="core")
    return None


def replace_limits(limits: dict[str, int], available: dict[str, int], new: Mapping[str, int]) -> None:
    """Put `new` in the place of `limits`, with what is `available` by them: less than nothing while more is out.

    Raises `ConfigError` for what is no amount, and `ValueError` if a resource would be gone of which some is out; then
    all is as it was.
    """
    for resource, limit in new.items():
        whole_number(limit, f"the limit of resource {resource!r}")
    out = {resource: limit - available[resource] for resource, limit in limits.items()}
    for resource, amount in out.items():
        if amount and resource not in new:
            raise ValueError(f"there must be a limit of {resource!r} while {amount} of it is out")
    limits.clear()
    limits.update(new)
    available.clear()
    available.update({resource: limit - out.get(resource, 0) for resource, limit in new.items()})
