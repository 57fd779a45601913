"""A small world of a gate, explored exhaustively: every sequence of steps to a given depth.

After each step the gate is brought to rest and judged as in a random run. Steps that change nothing are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import attrs

from penstock_model.task_run import Mismatch, Step

__all__ = ["Run", "SmallWorld", "explore"]


class Run(Protocol):
    """A gate and its naive twin, which take the same steps."""

    judging: bool
    naive: Any

    def take(self, step: Step) -> None: ...


@attrs.frozen
class SmallWorld:
    """What a run begins with, the steps that are taken in it, and the one that brings it to rest."""

    name: str
    start: Callable[[], Run]
    steps: tuple[Step, ...]
    rest: Step


def explore(world: SmallWorld, depth: int) -> int:
    """Take every sequence of so many steps; returns how many there were. Raises `Mismatch` with the steps to it."""
    path: list[Step] = []

    def down(run: Run | None) -> int:
        if len(path) == depth:
            return 1
        count = 0
        for step in world.steps:
            if run is None:
                run = _replayed(world, path)
            if not _changes_something(run, step):
                continue
            path.append(step)
            try:
                run.take(step)
                run.take(world.rest)
            except Mismatch as error:
                raise Mismatch(f"{world.name}, after {path}: {error}") from error
            count += down(run)
            path.pop()
            run = None
        return count

    return down(world.start())


def _replayed(world: SmallWorld, path: Sequence[Step]) -> Run:
    """The run again, up to the end of a path that was judged before."""
    run = world.start()
    run.judging = False
    for step in path:
        run.take(step)
        run.take(world.rest)
    run.judging = True
    return run


def _changes_something(run: Run, step: Step) -> bool:
    naive = run.naive
    match step:
        case ("finish" | "release", n, *_):
            return len(naive.out) > (0 if n == 0 else 1)
        case ("discard" | "cancel", n):
            return len(naive.line) > (0 if n == 0 else 1)
        case ("shut", name):
            return name not in naive.shut
        case ("open", name):
            return name in naive.shut
        case ("time", _):
            return any(moment > naive.now for moment in naive.moments.values())
        case ("put off", name, seconds):
            return bool(naive.moments.get(name, 0.0) < naive.now + seconds)
        case ("doom", name):
            return name not in naive.doomed
    return True
