"""What a step says of its answers: read when the pipeline is, and what is wrong with it told before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from penstock import ConfigError
from penstock_batch.pipeline.loading import load_pipeline
from penstock_batch.pipeline.steps import Step

if TYPE_CHECKING:
    from contrib.batch.tests.conftest import Folder

SCHEMA = "{ type = 'object', properties = { team = {}, urgency = {} } }"


def loaded(folder: Folder, more: str, step: str = 'prompt = "Sum', **replaced: str) -> Step:
    """The step `summary`, or that before whose line `more` is put."""
    folder.write((step, f"{more}\n{step}"), *replaced.items())
    pipeline = load_pipeline(folder.toml)
    return next(each for each in pipeline.steps if each.name == "summary")


def problems(folder: Folder, more: str, step: str = 'prompt = "Sum') -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, more, step)
    prefix = f"{folder.toml}: "
    return [problem.removeprefix(prefix) for problem in caught.value.problems]


def test_a_step_that_says_nothing_accepts_whole_texts(folder: Folder) -> None:
    criteria = loaded(folder, "").criteria
    assert (criteria.as_json, criteria.attempts, criteria.repair, criteria.columns) == (False, 3, True, ())
    assert criteria.ended == {"stop"}


def test_a_step_with_tools_accepts_calls_of_them(folder: Folder) -> None:
    assert loaded(folder, "params = { tools = [] }").criteria.ended == {"stop", "tool_calls"}


def test_a_step_with_a_schema_has_json_for_its_value(folder: Folder) -> None:
    step = loaded(folder, f"schema = {SCHEMA}")
    assert (step.criteria.as_json, step.output_names) == (True, ("summary",))


def test_a_schema_may_judge_the_text(folder: Folder) -> None:
    assert loaded(folder, f'schema = {SCHEMA}\noutput = "text"').criteria.as_json is False


@pytest.mark.parametrize(
    ("more", "columns"),
    [
        ('output = "json"', ("summary",)),
        (f'output = "json"\nschema = {SCHEMA}', ("team", "urgency")),
        (f'output = "json"\nschema = {SCHEMA}\ncolumns = ["team"]', ("team",)),
        (f'output = "json"\nschema = {SCHEMA}\ncolumns = []', ("summary",)),
        (f'output = "json"\nschema = {SCHEMA}\nsamples = 2', ("summary",)),
        ('output = "json"\ncolumns = ["a", "b"]', ("a", "b")),
    ],
)
def test_json_becomes_columns(folder: Folder, more: str, columns: tuple[str, ...]) -> None:
    assert loaded(folder, more).output_names == columns


def test_a_value_is_parted_into_its_columns(folder: Folder) -> None:
    step = loaded(folder, 'output = "json"\ncolumns = ["a", "b"]')
    assert step.members({"a": 1, "c": 2}) == {"a": 1, "b": None}
    assert step.members(None) == {"a": None, "b": None}


def test_other_steps_need_a_column_by_its_name(folder: Folder) -> None:
    folder.write(
        ('prompt = "Sum', 'output = "json"\ncolumns = ["team"]\nprompt = "Sum'),
        ("{{ summary }}", "{{ team }} {{ row.text }}"),
        ('needs = ["summary", "vector"]', 'needs = ["team"]'),
        ("PYTHON_STEPS:length", "builtins:dict"),
    )
    assert load_pipeline(folder.toml).needs == {"summary": (), "vector": ("summary",), "length": ("summary",)}


def test_a_schema_is_read_from_a_file(folder: Folder) -> None:
    (folder.path / "ticket.json").write_text('{"type": "object", "properties": {"a": {}}}', encoding="utf-8")
    assert loaded(folder, 'schema = "ticket.json"\noutput = "json"').output_names == ("a",)


def test_a_function_that_accepts_needs_what_it_takes(folder: Folder) -> None:
    folder.write(
        ("[requests]", "[requests]"),
        ('input = "{{ summary }}"', 'input = "{{ text }}"\naccept = "accepts_this:f"'),
        ('needs = ["summary", "vector"]', 'needs = ["summary", "vector"]'),
    )
    source = "def f(value, summary, row, text=None, none=None): ..."
    (folder.path / "accepts_this.py").write_text(source, encoding="utf-8")
    pipeline = load_pipeline(folder.toml)
    assert pipeline.needs["vector"] == ("summary",)
    (vector,) = (step for step in pipeline.steps if step.name == "vector")
    assert vector.uses == {"summary", "text"}


def test_a_cell_is_wanted_where_its_template_says_something(folder: Folder) -> None:
    step = loaded(folder, 'when = "{{ id > 3 }}"')
    assert "id" in step.uses
    assert [step.wanted({"id": 4}), step.wanted({"id": 3})] == [True, False]
    assert loaded(folder, "").wanted({})


@pytest.mark.parametrize("value", ["", "  ", 0, 0.0, None, False, [], {}, "false", "None"])
def test_nothing_false_and_none_are_no(folder: Folder, value: object) -> None:
    assert not loaded(folder, 'when = "{{ text }}"').wanted({"text": value})


@pytest.mark.parametrize("value", ["no", "x", 1, True, [0], "00"])
def test_all_else_is_yes(folder: Folder, value: object) -> None:
    assert loaded(folder, 'when = "{{ text }}"').wanted({"text": value})


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ('when = "id > 3"', "steps.summary.when: is the same for every row"),
        ('when = "{{ id"', "steps.summary.when: line 1"),
        ('when = "{{ idd }}"', "steps.summary: 'idd' is neither a column"),
        ('schema = "none.json"', "steps.summary.schema: "),
        ('schema = { type = "objekt" }', "steps.summary.schema: type: 'objekt'"),
        ("schema = { const = 2020-01-01 }", "steps.summary.schema: is no JSON"),
        ("schema = 3", "steps[0].schema: must be"),
        ('accept = "none_such:f"', "steps.summary.accept: there is no module 'none_such'"),
        ('accept_ended = ["stopp"]', "steps[0].accept_ended[0]: must be"),
        ("accept_ended = []", "steps.summary.accept_ended: must name"),
        ("attempts = 0", "steps[0].attempts: must be at least 1"),
        ("samples = 0", "steps[0].samples: must be at least 1"),
        ("samples = 1000", "steps[0].samples: must be at most 100"),
        ("schema_sent = false", "steps.summary.schema_sent: means nothing without a schema"),
        ("key_includes_schema = true", "steps.summary.key_includes_schema: means nothing without a schema"),
        ('columns = ["a"]', 'steps.summary.columns: are members of JSON; say output = "json" too'),
        ('output = "json"\ncolumns = ["a", "a"]', "steps.summary.columns: names 'a' twice"),
        ('output = "json"\ncolumns = [""]', "steps.summary.columns: names one that is empty"),
        ('output = "json"\ncolumns = ["a"]\nsamples = 2', "steps.summary.columns: mean nothing beside samples"),
        ('output = "json"\ncolumns = ["text"]', "steps.summary.columns: gives 'text', but the input has a column"),
        ('output = "json"\ncolumns = ["vector"]', "steps.summary.columns: gives 'vector', but a step has this name"),
        ('output = "json"\ncolumns = ["row"]', "steps.row: is the name of the whole row"),
        ('output = "json"\ncolumns = ["_failed"]', "steps._failed: is the name under which a failed row"),
        (
            'output = "json"\nschema = { type = "object", properties = { id = {} } }',
            "steps.summary.columns: gives 'id'",
        ),
        ('output = "jsn"', "steps[0].output: must be"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(folder: Folder, more: str, complaint: str) -> None:
    reported = problems(folder, more)
    assert any(problem.startswith(complaint) for problem in reported), reported


@pytest.mark.parametrize(
    "more", ["schema = {}", "samples = 2", "repair = false", 'output = "json"', 'columns = ["a"]', "schema_sent = true"]
)
def test_a_vector_is_judged_by_functions_only(folder: Folder, more: str) -> None:
    name = more.partition(" ")[0]
    reported = problems(folder, more, 'input = "')
    assert any(problem.startswith(f"steps.vector.{name}: means nothing") for problem in reported), reported


def test_two_steps_cannot_give_the_same_column(folder: Folder) -> None:
    given = 'output = "json"\ncolumns = ["a"]\n'
    step = f'[[steps]]\nname = "more"\nkind = "chat"\nmodel = "p/writer"\nprompt = "{{{{ text }}}}"\n{given}'
    folder.write(("[providers.p]\n", f"{step}\n[providers.p]\n"), ('prompt = "Sum', f'{given}prompt = "Sum'))
    with pytest.raises(ConfigError, match="step 'summary' gives it too"):
        load_pipeline(folder.toml)
