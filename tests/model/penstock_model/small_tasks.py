"""The small worlds of the task gate: two groups, two shapes, two resources, places for two.

There is one for every rule that can be made of one cause, one scope and one cohort or none, and for pairs of these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import permutations, product
from typing import Final

import attrs

from penstock.testing import group_key
from penstock_model.causes import Before, Doomed, Shut
from penstock_model.small_world import SmallWorld
from penstock_model.task_rules import Cause, Leased, Parity, Peers, Queued, Running, TaskRule
from penstock_model.task_run import Step, TaskRun, TaskScenario

__all__ = ["SIZES", "one_rule_each", "two_rules_each"]

GROUPS: Final[dict[str, tuple[float, int | None]]] = {"a": (1.0, 1), "b": (2.0, None)}
LIMITS: Final = {"submission": 2, "gpu": 2}
Sizes = tuple[tuple[dict[str, int], ...], ...]
SIZES: Final[Sizes] = (({}, {"gpu": 1}), ({"gpu": 1}, {"gpu": 2}))

CAUSES: Final[tuple[Cause, ...]] = (
    Shut("s"),
    Before("m"),
    Leased("gpu", 1),
    Leased("submission", 2),
    Running(1),
    Running(1, "a"),
    Parity("gpu"),
    Parity(group_key("a")),
    Queued("submission", 2),
    Queued(group_key("b"), 2, few=True),
    Peers("submission"),
    Peers("gpu", backlog=True),
    Doomed("d"),
)


def one_rule_each(queues: Sequence[str] = ("fifo", "fair"), sizes: Sizes = SIZES) -> Iterator[SmallWorld]:
    """The worlds with no rule and with one, as far as the gate is held to them."""
    for shapes, queue in product(sizes, queues):
        for strict_fair in (False, True):
            yield _world(shapes, queue, (), strict_fair=strict_fair)
        for rule in _rules("rule"):
            yield _world(shapes, queue, (rule,))


def two_rules_each(queues: Sequence[str] = ("fifo", "fair")) -> Iterator[SmallWorld]:
    """The worlds with two rules of different causes, one of all and one of the group `a`, in either order.

    Each has a cohort of its own: who is refused by one of them may not be by the other, so one for both were untrue.
    """
    for shapes, queue in product(SIZES, queues):
        rules = [rule for rule in _rules("rule") if rule.groups is None or rule.scope != "task"]
        for one, other in permutations(rules, 2):
            if one.causes != other.causes and (one.groups is None) != (other.groups is None):
                cohort = other.cohort and "another"
                yield _world(shapes, queue, (one, attrs.evolve(other, name="other", cohort=cohort)))


def _rules(name: str) -> Iterator[TaskRule]:
    for cause, scope in product(CAUSES, ("task", "shape", "group", "all")):
        if scope == "all" and cause.of_group:
            continue
        cohorts = (None, "c") if not cause.soft and not isinstance(cause, Doomed) else (None,)
        for cohort in cohorts:
            yield TaskRule(name, (cause,), scope, cohort=cohort)
            if scope != "all":
                yield TaskRule(name, (cause,), scope, frozenset("a"), cohort=cohort)


def _world(
    shapes: tuple[dict[str, int], ...], queue: str, rules: tuple[TaskRule, ...], *, strict_fair: bool = False
) -> SmallWorld:
    causes = {type(cause) for rule in rules for cause in rule.causes}
    steps: list[Step] = [("offer", group, needs, 1) for group in GROUPS for needs in shapes]
    steps += [("finish", 0), ("finish", -1), ("discard", 0), ("discard", -1)]
    if Shut in causes:
        steps += [("shut", "s"), ("open", "s")]
    if Before in causes:
        steps += [("put off", "m", 1.0), ("time", 1.0)]
    if Doomed in causes:
        steps += [("doom", "d")]
    scenario = TaskScenario(LIMITS, GROUPS, rules, queue, strict_fair, room_by_law=True)
    return SmallWorld(str(scenario), partial(TaskRun, scenario), tuple(steps), ("rest",))
