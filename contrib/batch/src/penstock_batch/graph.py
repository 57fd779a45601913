"""Which step needs which: names held against each other, and the order that follows. Pure.

A name in a template or in `needs` is a step, an input column, or a mistake; mistakes are told with the likeliest
name, and a cycle with its way round, before anything runs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import attrs

from penstock_batch.names import meant

__all__ = ["StepNeeds", "graph_problems", "in_order"]


@attrs.frozen
class StepNeeds:
    """One step and every name that it uses, whether columns or steps."""

    name: str
    uses: frozenset[str]


def graph_problems(steps: Sequence[StepNeeds], columns: Collection[str]) -> list[str]:
    """Everything that is wrong with the names of `steps` over an input with these `columns`; empty if nothing is.

    >>> graph_problems([StepNeeds("summary", frozenset({"doc"}))], ["docs"])
    ["steps.summary: 'doc' is neither a column of the input nor a step; did you mean 'docs'?"]
    """
    names = [step.name for step in steps]
    problems = [
        f"steps.{name}: the name is used {names.count(name)} times"
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    problems += [
        f"steps.{name}: the input has a column of this name; a step needs a name of its own"
        for name in dict.fromkeys(names)
        if name in columns
    ]
    known = [*columns, *names]
    for step in steps:
        for name in sorted(step.uses.difference(known)):
            problems.append(
                f"steps.{step.name}: {name!r} is neither a column of the input nor a step; {meant(name, known)}"
            )
    cycle = _cycle(step_needs(steps))
    if cycle:
        problems.append(f"steps: {' needs '.join(cycle)}: such a circle can never start")
    return problems


def step_needs(steps: Iterable[StepNeeds]) -> dict[str, tuple[str, ...]]:
    """Each step's needs that are steps, sorted."""
    found = list(steps)
    names = {step.name for step in found}
    return {step.name: tuple(sorted(step.uses & names)) for step in found}


def in_order(needs: Mapping[str, Collection[str]]) -> list[str]:
    """The steps so that each comes after those that it needs, otherwise as they were given. Raises `ValueError` for a
    cycle.
    """
    order: list[str] = []
    left = dict(needs)
    while left:
        free = next((name for name, needed in left.items() if not left.keys() & set(needed)), None)
        if free is None:
            raise ValueError("the steps need each other in a circle")
        order.append(free)
        del left[free]
    return order


def _cycle(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """One way round, its first step repeated at its end; empty if there is none."""
    done: set[str] = set()
    for start in needs:
        path: list[str] = []
        on_path: set[str] = set()
        # Depth first, with a stack of what is left to try at each depth: a pipeline may be longer than Python's own
        # stack.
        trying = [iter((start,))]
        while trying:
            name = next(trying[-1], None)
            if name is None:
                trying.pop()
                if path:
                    on_path.discard(path[-1])
                    done.add(path.pop())
            elif name in on_path:
                return [*path[path.index(name) :], name]
            elif name not in done:
                path.append(name)
                on_path.add(name)
                trying.append(iter(needs[name]))
    return []
