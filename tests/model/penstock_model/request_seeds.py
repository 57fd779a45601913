"""Scenarios and steps out of a seed, for the request gate."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import attrs

from penstock import RefusalScope, RequestResourceKey
from penstock_model.causes import Before, Doomed, Shut
from penstock_model.naive_requests import GROUPS, LIMITED, MODELS, RESOURCES, SCOPES
from penstock_model.request_rules import Cause, InFlight, RequestRule, Waiting
from penstock_model.request_run import RequestScenario
from penstock_model.task_run import Step

__all__ = ["ALL_REQUEST_HOLDS", "RequestHolds", "requests_and_steps"]

SIGNALS = ("s", "t")
MOMENTS = ("m", "n")
PATIENCE = (None, None, None, None, 0.0, 0.5, 3.0)
KINDS = ("success", "success", "rate_limited", "provider_failure", "local_cancelled")


@attrs.frozen
class RequestHolds:
    """What a gate is held to. A gate that is known to fail in something is driven without it."""

    large: bool = True
    """Calls of several requests."""
    backlog: bool = True
    """Rules until `Backlog`."""
    cohorts: bool = True
    """Rules that give a cohort."""
    scopes: tuple[str, ...] = ("task", "shape", "group", "all")
    room_by_law: bool = True


ALL_REQUEST_HOLDS = RequestHolds()


def _cause(rng: Random, holds: RequestHolds) -> Cause:
    makes: list[Callable[[], Cause]] = [
        lambda: Shut(rng.choice(SIGNALS)),
        lambda: Shut(rng.choice(SIGNALS)),
        lambda: Before(rng.choice(MOMENTS)),
        lambda: InFlight(rng.choice(SCOPES), rng.randint(1, 3)),
    ]
    if holds.backlog:
        makes.append(lambda: Waiting(rng.choice(RESOURCES), rng.randint(1, 3), rng.random() < 0.5))
    return rng.choice(makes)()


def _rule(rng: Random, name: str, holds: RequestHolds, known: int, *, untrue: bool) -> RequestRule:
    scope = rng.choice(holds.scopes)
    final = rng.random() < 0.1
    causes = (
        (Doomed(name),) if final else tuple(dict.fromkeys(_cause(rng, holds) for _ in range(rng.choice((1, 1, 2)))))
    )
    resources: frozenset[RequestResourceKey] | None = frozenset(rng.sample(RESOURCES[:known], rng.randint(1, known)))
    if scope == "all" or rng.random() < 0.5:
        resources = None
    if scope == "group" and resources is not None:
        models = {resource.provider_model for resource in resources}
        resources = frozenset(resource for resource in RESOURCES if resource.provider_model in models)
    return RequestRule(
        name,
        causes,
        scope,
        frozenset(rng.sample(GROUPS, rng.randint(1, 3))) if scope != "all" and rng.random() < 0.6 else None,
        resources,
        rng.choice((None, None, True, False)) if scope == "task" else None,
        f"cohort {name}" if untrue or (holds.cohorts and not final and rng.random() < 0.5) else None,
        untrue and not final,
    )


def requests_and_steps(
    seed: object, holds: RequestHolds, *, untrue: bool = False
) -> tuple[RequestScenario, list[Step]]:
    """What a seed stands for: always the same."""
    rng = Random(f"requests/{seed}")
    known = rng.choice((1, 2, 2, 4))
    limiter_scope: RefusalScope = "task" if holds.cohorts and rng.random() < 0.3 else "all"
    scenario = RequestScenario(
        {model: rng.randint(1, 4) for model in MODELS},
        {name: float(rng.randint(1, 9)) for name in GROUPS},
        tuple(_rule(rng, f"rule {n}", holds, known, untrue=untrue) for n in range(rng.choice((0, 1, 1, 2, 3)))),
        rng.choice(("fifo", "fair", "fair", "deadline", "list")),
        limiter_scope=limiter_scope,
        cohorts=rng.random() < 0.7,
        room_by_law=holds.room_by_law,
        group_limits={name: rng.randint(1, 3) for name in GROUPS if rng.random() < 0.2},
    )
    return scenario, list(_steps(rng, scenario, holds, known))


def _steps(rng: Random, scenario: RequestScenario, holds: RequestHolds, known: int) -> list[Step]:
    steps: list[Step] = []
    limited = rng.random() < 0.5
    impatient = rng.random() < 0.5
    largest = rng.choice((1, 2, 3)) if holds.large else 1

    def requests() -> int:
        return 1 if rng.random() < 0.6 else rng.randint(1, largest)

    for _ in range(rng.randint(10, 70)):
        draw = rng.random()
        if draw < 0.34:
            timeout, deadline = (rng.choice(PATIENCE), rng.choice(PATIENCE)) if impatient else (None, None)
            steps.append(("ask", rng.randrange(known), rng.choice(GROUPS), requests(), timeout, deadline))
        elif draw < 0.38:
            steps.append(("attempt", rng.randrange(known), rng.choice(GROUPS), requests()))
        elif draw < 0.58:
            steps.append(("release", rng.randrange(100), rng.choice(KINDS), rng.choice((0, 0, 0, 1))))
        elif draw < 0.63:
            steps.append(("cancel", rng.randrange(100)))
        elif draw < 0.73:
            steps.append(("time", rng.choice((0.25, 0.5, 1.0, 5.0))))
        elif draw < 0.77:
            steps.append(("register", rng.randrange(3), rng.randint(1, 4), rng.randint(1, 4)))
        elif draw < 0.82 and limited:
            steps.append(("tighten", rng.randrange(len(LIMITED)), rng.randint(0, 3), rng.choice((0.0, 0.0, 0.5, 2.0))))
        elif draw < 0.85 and limited:
            steps.append(("loosen", rng.randrange(len(LIMITED)), rng.randint(1, 4)))
        elif draw < 0.89:
            steps.append(("shut", rng.choice(SIGNALS)))
        elif draw < 0.93:
            steps.append(("open", rng.choice(SIGNALS)))
        elif draw < 0.96:
            steps.append(("put off", rng.choice(MOMENTS), rng.choice((0.5, 1.0, 3.0))))
        elif draw < 0.975:
            steps.append(("reconfigure",))
        elif draw < 0.985 and scenario.rules:
            steps.append(("doom", rng.choice(scenario.rules).name))
        elif draw < 0.988:
            steps.append(("close",))
        else:
            steps.append(("again",))
        if rng.random() < 0.6:
            steps.append(("advance",))
    return steps
