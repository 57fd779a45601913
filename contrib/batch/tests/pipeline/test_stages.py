"""What each stage of a pipeline sees, and what is said of names that it does not."""

from __future__ import annotations

import pytest

from penstock_batch.pipeline.selection import selection_problems
from penstock_batch.pipeline.stages import stage_problems, stages_of
from penstock_batch.pipeline.steps import Step


def cell(name: str, *uses: str) -> Step:
    return Step(name=name, kind="python", uses=frozenset(uses))


def split(name: str, over: str) -> Step:
    return Step(name=name, kind="split", uses=frozenset({over}), over=over)


def keep(name: str, *uses: str) -> Step:
    return Step(name=name, kind="filter", uses=frozenset(uses))


def gather(name: str, *by: str) -> Step:
    return Step(name=name, kind="gather", uses=frozenset(by), by=by)


JOB = [
    cell("words", "text"),
    split("word", "words"),
    cell("size", "word"),
    keep("long", "size"),
    gather("all", "id"),
    cell("said", "all", "id"),
]


def test_each_stage_begins_with_what_the_one_before_leaves() -> None:
    stages = stages_of(JOB, ["id", "text"])
    assert [stage.columns for stage in stages] == [
        ("id", "text"),
        ("id", "text", "word"),  # each row has its item in the place of the list
        ("id", "text", "word", "size"),
        ("id",),
    ]
    assert [[step.name for step in stage.cells] for stage in stages] == [["words"], ["size"], [], ["all", "said"]]
    assert stages[-1].names == ("id", "all", "said")
    assert stage_problems(stages) == []


def test_cells_of_a_stage_have_the_order_of_their_needs_and_the_gather_is_first() -> None:
    stages = stages_of([gather("all"), cell("b", "a"), cell("a", "all")], ["id"])
    assert [step.name for step in stages[1].in_order] == ["all", "a", "b"]


@pytest.mark.parametrize(
    ("steps", "at", "what"),
    [
        ([gather("all"), cell("b", "text")], "b", "'text' is a column from before the gather 'all'"),
        ([split("word", "words"), cell("b", "words")], "b", "'words' is the list that 'word' has split"),
        ([keep("good", "text"), cell("b", "good")], "b", "'good' is a filter, which makes no column"),
        ([cell("b", "late"), keep("good", "text"), cell("late")], "b", "'late' stands below 'good'"),
        ([cell("b", "good"), keep("good", "text")], "b", "'good' stands below"),
        ([keep("good", "txt")], "good", "did you mean 'text'?"),
        ([gather("all", "txet")], "all", "did you mean 'text'?"),
        ([keep("good"), cell("good")], "good", "used 2 times"),
        ([gather("text")], "text", "there is a column of this name"),
        ([keep("good"), cell("a", "b"), cell("b", "a")], None, "can never start"),
    ],
)
def test_a_name_that_a_stage_cannot_see_is_told_with_why(steps: list[Step], at: str | None, what: str) -> None:
    problems = stage_problems(stages_of(steps, ["text", "words"]))
    assert len(problems) == 1
    assert problems[0].path == (("steps",) if at is None else ("steps", at))
    assert what in str(problems[0])


def test_a_chosen_column_that_is_not_there_is_told_with_the_likeliest() -> None:
    assert selection_problems({"x": "id"}, ["id"]) == []
    assert "did you mean 'id'?" in str(selection_problems({"x": "idd"}, ["id"])[0])
    assert "twice" in str(selection_problems(["id", "id"], ["id"])[0])
    assert "names no column" in str(selection_problems([], ["id"])[0])
