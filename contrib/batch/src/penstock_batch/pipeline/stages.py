"""The stages of a pipeline: between two steps that change rows, which rows there are is settled. Pure.

`split` makes many rows of one, `filter` lets some go, `gather` makes one of many. Each cuts the list of steps where it
stands: what stands above is done for every row before what stands below begins, so a step sees what the rows of its
stage begin with, and the steps of its own stage. A gather's own cell is the first of the stage that it begins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from penstock import Problem, did_you_mean
from penstock_batch.pipeline.graph import StepNeeds, graph_problems, in_order, step_needs
from penstock_batch.pipeline.steps import Step

__all__ = ["ROW_CHANGING", "Stage", "stage_problems", "stages_of"]

ROW_CHANGING: Final = frozenset({"split", "filter", "gather"})
"""The kinds of steps that end a stage."""


@attrs.frozen
class Stage:
    """One stage: the `columns` that its rows begin with, its cells as they are listed, and the step that makes other
    rows of them.
    """

    columns: tuple[str, ...]
    cells: tuple[Step, ...]
    change: Step | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of its rows when all their cells are done."""
        return tuple(dict.fromkeys((*self.columns, *(name for step in self.cells for name in step.output_names))))

    @property
    def seen(self) -> frozenset[str]:
        """The names by which its steps may ask for columns and for each other."""
        return frozenset((*self.names, *(step.name for step in self.cells)))

    @property
    def needs(self) -> Mapping[str, tuple[str, ...]]:
        """The needs of each cell among the others."""
        return step_needs(self._uses())

    @property
    def in_order(self) -> tuple[Step, ...]:
        """Its cells so that each comes after those that it needs."""
        by_name = {step.name: step for step in self.cells}
        return tuple(by_name[name] for name in in_order(self.needs))

    def problems_alone(self) -> list[Problem]:
        """What is wrong with the only stage of a pipeline, names that are not there too."""
        return graph_problems([_needs(step) for step in self.cells], self.columns)

    def problems(self) -> list[Problem]:
        """What is wrong within the stage: names twice, and cycles."""
        return graph_problems(self._uses(), self.columns)

    def _uses(self) -> list[StepNeeds]:
        known = self.seen
        return [_needs(step, frozenset() if step.kind == "gather" else known) for step in self.cells]


def _needs(step: Step, known: frozenset[str] | None = None) -> StepNeeds:
    return StepNeeds(step.name, step.uses if known is None else step.uses & known, step.criteria.columns)


def stages_of(steps: Sequence[Step], columns: Sequence[str]) -> tuple[Stage, ...]:
    """The stages of `steps`, which stand as in the pipeline, over an input with these columns."""
    stages: list[Stage] = []
    begins = tuple(columns)
    cells: list[Step] = []
    for step in steps:
        if step.kind not in ROW_CHANGING:
            cells.append(step)
            continue
        stage = Stage(begins, tuple(cells), step)
        stages.append(stage)
        cells = []
        begins = stage.names
        if step.kind == "split":
            begins = (*(name for name in begins if name != step.over), step.name)
        elif step.kind == "gather":
            begins, cells = step.by, [step]
    return (*stages, Stage(begins, tuple(cells)))


def stage_problems(stages: Sequence[Stage]) -> list[Problem]:
    """The problems with the names of steps in several stages; empty if there are none."""
    changes = [stage.change for stage in stages if stage.change is not None]
    cells = [step for stage in stages for step in stage.cells if step.kind != "gather"]
    names = [step.name for step in (*cells, *changes)]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    problems = [Problem(("steps", name), f"the name is used {names.count(name)} times") for name in twice]
    for number, stage in enumerate(stages):
        asking = [step for step in stage.cells if step.kind != "gather"]
        if stage.change is not None:
            asking.append(stage.change)
            if stage.change.name in stage.names and stage.change.name not in twice:
                what = "there is a column of this name; a step needs a name of its own"
                problems.append(Problem(("steps", stage.change.name), what))
        for step in asking:
            seen = frozenset(stage.names) if step is stage.change else stage.seen
            for name in sorted(step.uses - seen):
                problems.append(Problem(("steps", step.name), _unknown(name, number, stages)))
        if not twice:
            problems += stage.problems()
    return problems


def _unknown(name: str, number: int, stages: Sequence[Stage]) -> str:
    """Why a step of the stage with this number cannot see `name`."""
    here = stages[number]
    for stage in reversed(stages[:number]):
        change = stage.change
        assert change is not None
        if name == change.name and change.kind == "filter":
            return f"{name!r} is a filter, which makes no column"
        if any(step.name == name for step in stage.cells) and name not in stage.names:
            return f"{name!r} is the whole answer of a step above; behind a {change.kind} there are only its columns"
        if name in stage.names and change.kind == "gather":
            left = ", ".join((*change.by, change.name))
            what = f"{name!r} is a column from before the gather {change.name!r}, behind which there are only {left}"
            return f"{what}; add it to its `by`, or put it into what it returns"
        if name in stage.names and change.kind == "split":
            return f"{name!r} is the list that {change.name!r} has split; each row has its item, {change.name!r}"
    if here.change is not None and name == here.change.name:
        return f"{name!r} stands below; a step sees what stands above the next split, filter or gather"
    for stage in stages[number + 1 :]:
        below = [*(step.name for step in stage.cells), *([] if stage.change is None else [stage.change.name])]
        if name in below:
            assert here.change is not None
            return f"{name!r} stands below {here.change.name!r}, and is done later; move it above"
    known = list(here.names)
    hint = did_you_mean(name, known, otherwise="there are")
    return f"{name!r} is neither a column nor a step of this stage; {hint}"
