from __future__ import annotations

import pytest

from penstock_batch.pipeline.graph import StepNeeds, graph_problems, in_order, step_needs


def steps(**uses: str) -> list[StepNeeds]:
    return [StepNeeds(name, frozenset(words.split())) for name, words in uses.items()]


def test_a_name_that_is_neither_column_nor_step_is_reported_with_the_likeliest_one() -> None:
    (problem,) = graph_problems(steps(summary="docstrng"), ["docstring", "name"])
    assert str(problem) == (
        "steps.summary: 'docstrng' is neither a column of the input nor a step; did you mean 'docstring'?"
    )


def test_a_cycle_is_reported_with_its_path() -> None:
    (problem,) = graph_problems(steps(a="x b", b="c", c="a", d="a"), ["x"])
    assert "a needs b needs c needs a" in problem.what


def test_a_step_that_needs_itself_is_a_cycle() -> None:
    (problem,) = graph_problems(steps(a="a"), [])
    assert "a needs a" in problem.what


def test_names_must_differ_from_each_other_and_from_columns() -> None:
    twice = [StepNeeds("a", frozenset()), StepNeeds("a", frozenset()), StepNeeds("doc", frozenset())]
    assert list(map(str, graph_problems(twice, ["doc"]))) == [
        "steps.a: the name is used 2 times",
        "steps.doc: the input has a column of this name; a step needs a name of its own",
    ]


def test_a_graph_without_faults_has_no_problems() -> None:
    assert graph_problems(steps(a="x", b="a x", c="a", d="b c"), ["x"]) == []


def test_a_long_chain_is_no_problem() -> None:
    chain = [StepNeeds("s0", frozenset())]
    chain += [StepNeeds(f"s{i}", frozenset({f"s{i - 1}"})) for i in range(1, 3000)]
    assert graph_problems(chain, []) == []


def test_each_step_comes_after_those_that_it_needs_and_else_as_written() -> None:
    needs = step_needs(steps(d="b", a="x", b="a", c="x"))
    assert in_order(needs) == ["a", "b", "d", "c"]


def test_a_circle_has_no_order() -> None:
    with pytest.raises(ValueError, match="cycle"):
        in_order({"a": ("b",), "b": ("a",)})
