"""Scenarios and steps out of a seed, for the task gate."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from random import Random

import attrs

from penstock.testing import group_key
from penstock_model.causes import Before, Doomed, Shut
from penstock_model.task_rules import Cause, Leased, Parity, Peers, Queued, Running, Shape, TaskRule
from penstock_model.task_run import Step, TaskScenario

__all__ = ["ALL_HOLDS", "Holds", "scenario_and_steps"]

GROUPS = ("a", "b", "c", "d")
RESOURCES = ("submission", "gpu", "disk")
SIGNALS = ("s", "t")
MOMENTS = ("m", "n")
SHAPES: tuple[dict[str, int], ...] = (
    {}, {}, {"gpu": 1}, {"gpu": 2}, {"disk": 1}, {"gpu": 1, "disk": 1}, {"gpu": 3}, {"gpu": 1, "disk": 2},
    {"submission": 2}, {"submission": 2, "disk": 1},
)  # fmt: skip


@attrs.frozen
class Holds:
    """What a gate is held to. A gate that is known to fail in something is driven without it."""

    backlog: bool = True
    """Rules until `Backlog`."""
    peers: bool = True
    """Rules that look at who could run."""
    strict_fair: bool = True
    cohorts: bool = True
    scopes: tuple[str, ...] = ("task", "shape", "group", "all")
    many_rules: bool = True
    room_by_law: bool = True


ALL_HOLDS = Holds()


def _shape(needs: dict[str, int]) -> Shape:
    return tuple(sorted({"submission": 1, **needs}.items()))


def _key(rng: Random) -> Hashable:
    return rng.choice(RESOURCES) if rng.random() < 0.5 else group_key(rng.choice(GROUPS[:3]))


def _cause(rng: Random, holds: Holds) -> Cause:
    makes: list[Callable[[], Cause]] = [
        lambda: Shut(rng.choice(SIGNALS)),
        lambda: Shut(rng.choice(SIGNALS)),
        lambda: Before(rng.choice(MOMENTS)),
        lambda: Leased(rng.choice(RESOURCES), rng.randint(1, 3)),
        lambda: Running(rng.randint(1, 2)),
        lambda: Running(1, rng.choice(GROUPS[:3])),
    ]
    if holds.backlog:
        makes += [
            lambda: Parity(_key(rng), rng.random() < 0.5),
            lambda: Queued(_key(rng), rng.randint(1, 4), rng.random() < 0.5),
        ]
    if holds.peers:
        makes.append(lambda: Peers(rng.choice(RESOURCES), holds.backlog and rng.random() < 0.5))
    return rng.choice(makes)()


def _rule(rng: Random, name: str, holds: Holds, shapes: list[dict[str, int]], *, untrue: bool) -> TaskRule:
    scope = rng.choice(holds.scopes)
    if rng.random() < 0.12:
        causes: tuple[Cause, ...] = (Doomed(name),)
    else:
        causes = tuple(dict.fromkeys(_cause(rng, holds) for _ in range(rng.choice((1, 1, 2)))))
    if scope == "all":
        causes = tuple(cause for cause in causes if not cause.of_group) or (Shut(rng.choice(SIGNALS)),)
    soft = any(cause.soft for cause in causes)
    final = any(isinstance(cause, Doomed) for cause in causes)
    cohort = f"cohort {name}" if (untrue or (holds.cohorts and not soft and rng.random() < 0.5)) and not final else None
    groups = frozenset(rng.sample(GROUPS, rng.randint(1, 4))) if scope != "all" and rng.random() < 0.6 else None
    few = frozenset(_shape(rng.choice(shapes)) for _ in range(2))
    return TaskRule(
        name,
        causes,
        scope,
        groups,
        few if scope in ("task", "shape") and rng.random() < 0.5 else None,
        rng.choice((0, 1, None)) if scope == "task" else None,
        cohort,
        untrue and not final,
    )


def scenario_and_steps(seed: object, holds: Holds, *, untrue: bool = False) -> tuple[TaskScenario, list[Step]]:
    """What a seed stands for: always the same."""
    rng = Random(f"tasks/{seed}")
    limits = {"submission": rng.randint(1, 5), "gpu": rng.randint(1, 4), "disk": rng.randint(1, 3)}
    shapes = [needs for needs in SHAPES if all(amount <= limits[r] for r, amount in needs.items())]
    shapes = rng.sample(shapes, min(len(shapes), rng.choice((1, 2, 3, 10))))
    queue = rng.choice(("fifo", "fifo", "fair", "fair", "fair", "list"))
    if queue == "list":
        holds = attrs.evolve(holds, peers=False, strict_fair=False)
    rules = tuple(
        _rule(rng, f"rule {n}", holds, shapes, untrue=untrue)
        for n in range(rng.choice((0, 1, 1, 2, 2, 3) if holds.many_rules else (0, 1, 1)))
    )
    groups = {name: (float(rng.randint(1, 9)), rng.choice((None, None, 1, 2))) for name in GROUPS}
    strict = holds.strict_fair and rng.random() < 0.4
    scenario = TaskScenario(limits, groups, rules, queue, strict, room_by_law=holds.room_by_law)
    return scenario, list(_steps(rng, scenario, shapes))


def _steps(rng: Random, scenario: TaskScenario, shapes: list[dict[str, int]]) -> list[Step]:
    steps: list[Step] = []
    names = GROUPS[: rng.randint(1, 4)]
    many = rng.choice((1, 1, 3))
    for _ in range(rng.randint(10, 70)):
        draw = rng.random()
        if draw < 0.28:
            steps.append(("offer", rng.choice(names), rng.choice(shapes), rng.randint(1, many)))
        elif draw < 0.40:
            steps.append(("next",))
        elif draw < 0.58:
            steps.append(("finish", rng.randrange(100)))
        elif draw < 0.64:
            steps.append(("discard", rng.randrange(100)))
        elif draw < 0.72:
            steps.append(("shut", rng.choice(SIGNALS)))
        elif draw < 0.80:
            steps.append(("open", rng.choice(SIGNALS)))
        elif draw < 0.85:
            steps.append(("put off", rng.choice(MOMENTS), rng.choice((0.5, 1.0, 3.0))))
        elif draw < 0.94:
            steps.append(("time", rng.choice((0.25, 0.5, 1.0, 4.0))))
        elif draw < 0.97 and scenario.rules:
            steps.append(("doom", rng.choice(scenario.rules).name))
        elif draw < 0.973:
            steps.append(("close",))
        else:
            steps.append(("again",))
        if rng.random() < 0.6:
            steps.append(("rest",))
    return steps
