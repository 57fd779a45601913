"""The dependencies between steps: names checked against each other, and the order that follows. Pure.

A name in a template or in `needs` is a step, an input column, or a mistake; mistakes are reported with the likeliest
name, and a cycle with its path, before anything runs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import attrs

from penstock import Problem, did_you_mean, find_cycle

__all__ = ["StepNeeds", "graph_problems", "in_order"]


@attrs.frozen
class StepNeeds:
    """A step and every name that it uses, whether columns or steps. `gives` are the columns that it makes, where
    those are not its own name.
    """

    name: str
    uses: frozenset[str]
    gives: tuple[str, ...] = ()


def graph_problems(steps: Sequence[StepNeeds], columns: Collection[str]) -> list[Problem]:
    """The problems with the names of `steps` over an input with these `columns`; empty if there are none.

    >>> print(*graph_problems([StepNeeds("summary", frozenset({"doc"}))], ["docs"]))
    steps.summary: 'doc' is neither a column of the input nor a step; did you mean 'docs'?
    """
    names = [step.name for step in steps]
    problems = [
        Problem(("steps", name), f"the name is used {names.count(name)} times")
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    problems += [
        Problem(("steps", name), "the input has a column of this name; a step needs a name of its own")
        for name in dict.fromkeys(names)
        if name in columns
    ]
    problems += _columns_of_steps_problems(steps, columns)
    known = [*columns, *names, *(name for step in steps for name in step.gives)]
    for step in steps:
        for name in sorted(step.uses.difference(known)):
            hint = did_you_mean(name, known, otherwise="there are")
            what = f"{name!r} is neither a column of the input nor a step; {hint}"
            problems.append(Problem(("steps", step.name), what))
    needs = step_needs(steps)
    cycle = find_cycle(needs, needs.__getitem__)
    if cycle is not None:
        problems.append(Problem(("steps",), f"{' needs '.join(cycle)}: such a cycle can never start"))
    return problems


def step_needs(steps: Iterable[StepNeeds]) -> dict[str, tuple[str, ...]]:
    """The needs of each step that are steps, sorted."""
    found = list(steps)
    by_name = {name: step.name for step in found for name in (step.name, *step.gives)}
    return {step.name: tuple(sorted({by_name[name] for name in step.uses & by_name.keys()})) for step in found}


def _columns_of_steps_problems(steps: Sequence[StepNeeds], columns: Collection[str]) -> Iterator[Problem]:
    others = dict.fromkeys(columns, "the input has a column of this name")
    others |= {step.name: "a step has this name" for step in steps}
    for step in steps:
        for name in step.gives:
            if name in others and name != step.name:
                what = f"gives {name!r}, but {others[name]}; name others with columns"
                yield Problem(("steps", step.name, "columns"), what)
            others.setdefault(name, f"step {step.name!r} gives it too")


def in_order(needs: Mapping[str, Collection[str]]) -> list[str]:
    """The steps in an order in which each comes after those that it needs, otherwise as they were given. Raises
    `ValueError` for a cycle.
    """
    order: list[str] = []
    left = dict(needs)
    while left:
        free = next((name for name, needed in left.items() if not left.keys() & set(needed)), None)
        if free is None:
            raise ValueError("the steps need each other in a cycle")
        order.append(free)
        del left[free]
    return order
