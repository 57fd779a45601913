"""How much there is of each resource, and how that changes while tasks hold some of it."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from penstock.tasks.records import SUBMISSION, SchedulerResourceKey, SchedulerResourceRequest
from penstock.words.checks import whole_number
from penstock.words.verdicts import NEVER, Denied, Released

__all__ = ["TaskAdmissionConfig", "never_fits", "no_room", "replace_limits"]


@attrs.frozen
class TaskAdmissionConfig:
    """The limits of the task gate: places in `submission`, and any other resource by name."""

    submission_capacity: int = 1024
    resource_limits: Mapping[SchedulerResourceKey, int] = attrs.field(factory=dict)


def never_fits(request: SchedulerResourceRequest, limits: Mapping[str, int]) -> Denied | None:
    """The refusal of what no release could make room for under these limits; `None` if it may fit."""
    for resource, amount in request.shape:
        limit = limits.get(resource)
        if limit is None or amount > limit:
            detail = f"it needs {amount} of {resource!r}, and the limit is {limit}"
            if limit is None:
                detail = f"there is no resource {resource!r}; there is {', '.join(sorted(limits))}"
            return Denied("never_fits", {NEVER}, detail=detail, by="core")
    return None


def no_room(resource: str, amount: int, free: Mapping[str, int]) -> Denied:
    """The refusal for want of room in a resource."""
    until = {Released(resource)}
    if resource == SUBMISSION and free[resource] <= 0:  # every task takes a place in submission, so nobody can go
        return Denied("no_capacity", until, scope="all", detail="submission is full", by="core")
    detail, cohort = f"less than {amount} of {resource} is free", ("no_capacity", resource, amount)
    return Denied("no_capacity", until, "shape", detail, cohort=cohort, amount=amount, by="core")


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
