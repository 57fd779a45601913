"""`[plugins.sequential]`, the policy made from it, and what it promises."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import attrs

from penstock import Problem, Promise, RunPlan, Settings, TaskAdmissionPolicy, hookimpl, in_schema
from penstock_sequential.policy import SequentialPolicy

__all__ = ["SequentialConfig", "SequentialPlugin"]

SUBMISSION = "submission"
NURSERY = "nursery"


@in_schema(minItems=1, uniqueItems=True, items={"type": "string", "minLength": 1, "not": {"const": SUBMISSION}})
def _named_once(_: object, __: attrs.Attribute[list[str]], value: list[str]) -> None:
    if not value or "" in value or len(set(value)) < len(value):
        raise ValueError('must name at least one resource, each once, as in ["gpu"]')
    if SUBMISSION in value:
        raise ValueError(
            f"cannot name {SUBMISSION}, which every task takes; set scheduler.submission_capacity = 1 for that"
        )


@attrs.frozen(kw_only=True)
class SequentialConfig:
    """`[plugins.sequential]`.

    `resources`  the resources of `[scheduler.resources]` that one task at a time may hold, each with the limit 1
    `runners`    what may carry out tasks beside the core's own `nursery`: each of these starts a task once, and returns
                 when its work has ended and not before
    """

    resources: list[str] = attrs.field(validator=_named_once)
    runners: list[str] = attrs.field(factory=list)


class SequentialPlugin:
    """Task policy: one task at a time holds a named resource, in order of arrival; not to be loosened by accident."""

    Config = SequentialConfig

    def __init__(self, config: SequentialConfig) -> None:
        self._config = config

    @hookimpl
    def penstock_task_policy(self) -> TaskAdmissionPolicy:
        return SequentialPolicy(self._config.resources)

    @hookimpl
    def penstock_promises(self, settings: Settings) -> list[Promise]:
        """One for each resource."""
        text = "at most one task at a time holds {!r}, in the order of arrival"
        name = settings.plugin
        return [
            Promise(text.format(resource), partial(self._broken_by, name, resource))
            for resource in self._config.resources
        ]

    def _broken_by(self, name: str, resource: str, plan: RunPlan) -> Iterator[Problem]:
        """What of a plan could have two tasks hold the resource, or keep another order."""
        if name not in plan.asked["task_policies"]:
            what = f"must name {name!r}: where it is only required or loaded, it is not asked about tasks"
            yield Problem(("plugins", "task_policies"), what)
        path = ("scheduler", "resources", resource)
        limit = plan.config.scheduler.resources.get(resource)
        if limit is None:
            yield Problem(path, "is missing; write 1")
        elif limit != 1:
            yield Problem(path, f"must be 1, not {limit}")
        if plan.held.get(resource, 0) > 1:
            what = f"is held {plan.held[resource]} times now; wait until at most one task holds it"
            yield Problem(path, what)
        for runner in plan.runners:
            if runner not in (NURSERY, *self._config.runners):
                key = next(key for key, names in plan.asked.items() if runner in names)
                what = (
                    f"{runner!r} is not known to start each task once, and to return when its work has ended; "
                    f'if it does both, write runners = [..., "{runner}"] under [plugins.{name}]'
                )
                yield Problem(("plugins", key), what)
