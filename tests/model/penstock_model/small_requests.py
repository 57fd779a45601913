"""The small worlds of the request gate: two groups, two domains of one model, places for two.

There is one for every rule that can be made of one cause, one scope and one cohort or none, and for pairs of these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import permutations, product
from typing import Final

import attrs

from penstock_model.causes import Before, Doomed, Shut
from penstock_model.naive_requests import MODELS, RESOURCES
from penstock_model.request_rules import Cause, InFlight, RequestRule, Waiting
from penstock_model.request_run import RequestRun, RequestScenario
from penstock_model.small_world import SmallWorld
from penstock_model.task_run import Step

__all__ = ["one_rule_each", "two_rules_each"]

GROUPS: Final = {"a": 1.0, "b": 2.0}
CHAT, EMBEDDING = RESOURCES[:2]
MODEL: Final = MODELS[0]
CAUSES: Final[tuple[Cause, ...]] = (
    Shut("s"),
    Before("m"),
    InFlight(CHAT, 1),
    InFlight(MODEL, 2),
    InFlight(CHAT.provider, 1),
    Waiting(CHAT, 1),
    Waiting(EMBEDDING, 2),
    Waiting(EMBEDDING, 1, few=True),
    Doomed("d"),
)


def one_rule_each(waiters: Sequence[str] = ("fifo", "fair")) -> Iterator[SmallWorld]:
    """The worlds with no rule and with one, as far as the gate is held to them."""
    for order in waiters:
        yield _world(order, ())
        for rule in _rules("rule"):
            yield _world(order, (rule,))


def two_rules_each(waiters: Sequence[str] = ("fifo", "fair")) -> Iterator[SmallWorld]:
    """The worlds with two rules of different causes, one of all and one of the group `a`, in either order.

    Each has a cohort of its own: who is refused by one of them may not be by the other, so one for both were untrue.
    """
    for order in waiters:
        for one, other in permutations(_rules("rule"), 2):
            if one.causes != other.causes and (one.groups is None) != (other.groups is None):
                cohort = other.cohort and "another"
                yield _world(order, (one, attrs.evolve(other, name="other", cohort=cohort)))


def _rules(name: str) -> Iterator[RequestRule]:
    for cause, scope in product(CAUSES, ("task", "shape", "group", "all")):
        cohorts = (None,) if isinstance(cause, Doomed) else (None, "c")
        for cohort in cohorts:
            yield RequestRule(name, (cause,), scope, cohort=cohort)
            if scope != "all":
                yield RequestRule(name, (cause,), scope, frozenset("a"), cohort=cohort)


def _world(waiters: str, rules: tuple[RequestRule, ...]) -> SmallWorld:
    causes = {type(cause) for rule in rules for cause in rule.causes}
    steps: list[Step] = [("ask", domain, group, 1, None, None) for group in GROUPS for domain in (0, 1)]
    steps.append(("ask", 1, "b", 2, None, None))
    steps += [("release", 0, "success", 0), ("release", -1, "success", 0), ("cancel", 0), ("cancel", -1)]
    if not rules:
        steps += [("ask", 0, "a", 1, 1.0, None), ("time", 1.0), ("register", 0, 1, 1), ("register", 0, 2, 1)]
        steps += [("tighten", 3, 0, 1.0), ("reconfigure",)]
    if Shut in causes:
        steps += [("shut", "s"), ("open", "s")]
    if Before in causes:
        steps += [("put off", "m", 1.0), ("time", 1.0)]
    if Doomed in causes:
        steps.append(("doom", "d"))
    scenario = RequestScenario({MODEL: 2}, GROUPS, rules, waiters, room_by_law=True)
    return SmallWorld(str(scenario), partial(RequestRun, scenario), tuple(steps), ("advance",))
