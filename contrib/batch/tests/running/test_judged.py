"""Whole runs whose answers are judged: what is asked again, what is not, and what becomes of the rest."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from penstock_batch.command import check_command, run_command
from penstock_batch.store.reading import StoreReader
from penstock_batch.store.samples import samples

if TYPE_CHECKING:
    from contrib.batch.tests.conftest import Folder
    from contrib.batch.tests.running.conftest import Scripted

pytestmark = pytest.mark.loopback

PIPELINE = """
[input]
path = "rows.jsonl"
[output]
path = "out/answers.jsonl"
[[steps]]
name = "s"
kind = "chat"
model = "p/m"
prompt = "{{ text }}"
MORE
[providers.p]
base_url = "BASE_URL"
[providers.p.models.m]
max_parallel_requests = 4
[requests]
retry_backoff = 0.01
"""
NUMBER = "schema = { type = 'object', properties = { n = { type = 'integer' } }, required = ['n'] }"


def run(folder: Folder, more: str = "", rows: int | None = None) -> int:
    """The exit code of a run of a step with `more` in its table."""
    if rows is not None:
        folder.lines(*(json.dumps({"id": i, "text": f"row {i}"}) for i in range(rows)))
    folder.write(("MORE", more), toml=PIPELINE)
    return run_command(folder.toml, limit=None, overwrite=False, plugins=(), progress="none")


def values(folder: Folder, column: str = "s") -> list[Any]:
    return [answer[column] for answer in folder.answers()]


def asked(script: Scripted) -> int:
    """How many calls came since the last time."""
    count = len(script.bodies)
    script.bodies.clear()
    return count


def accept(folder: Folder, source: str, name: str = "judge") -> str:
    """A line of a step's table that names a function of this source."""
    module = f"{name}_{folder.path.name.replace('-', '_')}"
    (folder.path / f"{module}.py").write_text(source, encoding="utf-8")
    return f'accept = "{module}:f"'


# -- what is asked again --


def test_a_bad_answer_goes_back_and_is_put_right(folder: Folder, scripted: Scripted) -> None:
    scripted.answer = lambda messages: "I am sorry" if len(messages) == 1 else '```json\n{"n": 7}\n```'
    assert run(folder, NUMBER, rows=1) == 0
    assert values(folder) == [{"n": 7}]
    first, second = scripted.bodies
    assert [message["role"] for message in second["messages"]] == ["user", "assistant", "user"]
    assert second["messages"][1]["content"] == "I am sorry"
    assert "no JSON" in second["messages"][2]["content"]
    assert first["response_format"] == second["response_format"]
    assert first["response_format"]["json_schema"]["schema"]["required"] == ["n"]


def test_without_repair_the_same_call_goes_out_again(folder: Folder, scripted: Scripted) -> None:
    answers = iter(["no", "no", '{"n": 1}'])
    scripted.answer = lambda messages: next(answers)
    assert run(folder, f"{NUMBER}\nrepair = false\nschema_sent = false", rows=1) == 0
    assert scripted.bodies[0] == scripted.bodies[1] == scripted.bodies[2]
    assert "response_format" not in scripted.bodies[0]


def test_what_is_not_accepted_in_the_end_fails_with_the_last_words(folder: Folder, scripted: Scripted) -> None:
    words = iter(["one", "two", "three", "four"])
    scripted.answer = lambda messages: next(words)
    assert run(folder, f"{NUMBER}\nattempts = 2", rows=1) == 1
    (failed,) = folder.failed_lines()
    assert (failed["id"], failed["text"]) == (0, "row 0")
    assert failed["_failed"]["answer"] == "two"
    assert failed["_failed"]["step"] == "s"
    assert "no JSON" in failed["_failed"]["error"]
    assert asked(scripted) == 2
    assert run(folder, f"{NUMBER}\nattempts = 2") == 1
    assert asked(scripted) == 2, "a failed cell is asked again by the next run, as often as before"


def test_five_in_a_hundred_bad_answers_are_right_in_the_end(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    """The embedded provider spoils 5 % of its answers in JSON, of repairs too."""
    models = "models = { m = { latency = { mean = 0.002 } } }"
    mock = f'kind = "mock"\noptions = {{ bad_json_share = 0.05, seed = 1, {models} }}'
    members = "{ team = { enum = ['a', 'b'] }, n = { type = 'integer' } }"
    schema = f"{{ type = 'object', properties = {members}, required = ['team', 'n'] }}"
    folder.rows(300)
    folder.write(('base_url = "BASE_URL"', mock), ("MORE", f"schema = {schema}\noutput = 'json'"), toml=PIPELINE)
    assert run_command(folder.toml, limit=None, overwrite=False, plugins=(), progress="none") == 0
    assert len(folder.answers()) == 300
    assert all(row["team"] in ("a", "b") and isinstance(row["n"], int) for row in folder.answers())
    reported = capsys.readouterr().out
    calls = int(reported.partition(" calls,")[0].rpartition("\n")[2].replace(",", ""))
    assert 305 <= calls <= 340
    assert f"{calls - 300} answers in the place of others that were not accepted" in reported


# -- what is not --


def test_to_ask_more_asks_only_what_falls_short_and_to_ask_less_nothing(folder: Folder, scripted: Scripted) -> None:
    scripted.answer = lambda messages: messages[0]["content"] if len(messages) == 1 else "short"
    assert run(folder, rows=12) == 0
    assert asked(scripted) == 12
    shorter = accept(folder, "def f(value): return len(value) < 6 or 'it is too long'")
    assert run(folder, shorter) == 0
    assert asked(scripted) == 2
    assert values(folder) == [*(f"row {i}" for i in range(10)), "short", "short"]
    assert run(folder) == 0
    assert asked(scripted) == 0
    assert values(folder)[-1] == "short", "of those that are accepted the last counts"
    assert run(folder, shorter) == 0
    assert asked(scripted) == 0


def test_a_schema_that_is_added_keeps_the_answers_that_fit(folder: Folder, scripted: Scripted) -> None:
    scripted.answer = lambda messages: '{"n": 1}' if "1" in messages[0]["content"] else '{"m": 1}'
    assert run(folder, rows=3) == 0
    assert asked(scripted) == 3
    assert run(folder, f"{NUMBER}\nattempts = 1") == 1
    assert asked(scripted) == 2
    assert values(folder) == [{"n": 1}]
    assert run(folder, f"{NUMBER}\nattempts = 1\nkey_includes_schema = true") == 1
    assert asked(scripted) == 3


def test_an_answer_that_was_cut_off_is_a_success_only_where_that_is_said(folder: Folder, scripted: Scripted) -> None:
    scripted.answer = lambda messages: ("half a", "length")
    assert run(folder, "attempts = 1", rows=2) == 1
    assert {line["_failed"]["answer"] for line in folder.failed_lines()} == {"half a"}
    asked(scripted)
    assert run(folder, 'attempts = 1\naccept_ended = ["stop", "length"]') == 0
    assert (values(folder), asked(scripted)) == (["half a", "half a"], 0)


@pytest.mark.parametrize(("ended", "calls"), [("content_filter", 1), ("stop", 3)])
def test_an_answer_that_says_nothing_fails(folder: Folder, scripted: Scripted, ended: str, calls: int) -> None:
    scripted.answer = lambda messages: ("", ended)
    assert run(folder, rows=1) == 1
    assert asked(scripted) == calls
    assert folder.answers() == []


def test_a_function_that_goes_wrong_costs_one_answer_a_row(folder: Folder, scripted: Scripted) -> None:
    assert run(folder, accept(folder, "def f(value): return value.nothing"), rows=2) == 1
    assert asked(scripted) == 2
    assert all("accept failed: AttributeError" in line["_failed"]["error"] for line in folder.failed_lines())


def test_a_demand_that_nothing_fulfils_is_given_up(folder: Folder, scripted: Scripted) -> None:
    folder.rows(60)
    small = "[batch]\ngive_up_failures = 3\nrows_in_flight = 1\n[providers.p]"
    folder.write(("[providers.p]", small), ("MORE", f"{NUMBER}\nattempts = 2"), toml=PIPELINE)
    assert run_command(folder.toml, limit=None, overwrite=False, plugins=(), progress="none") == 1
    assert asked(scripted) == 6
    assert sum("not asked, of the first 3" in line["_failed"]["error"] for line in folder.failed_lines()) == 57


def test_another_function_or_schema_judges_a_run_that_was_whole(folder: Folder, scripted: Scripted) -> None:
    """The TOML is the same: what judges lies in files beside it."""
    judge = accept(folder, "def f(value): return True")
    (folder.path / "s.json").write_text("{}", encoding="utf-8")
    more = f"{judge}\nschema = 's.json'\noutput = 'text'\nattempts = 1"
    assert run(folder, more, rows=2) == 0
    (folder.path / "s.json").write_text('{"maxLength": 1}', encoding="utf-8")
    assert run(folder, more) == 1
    assert "does not fit the schema" in folder.failed_lines()[0]["_failed"]["error"]


def test_a_check_tells_what_is_kept_of_cells_that_are_judged(
    folder: Folder, scripted: Scripted, capsys: pytest.CaptureFixture[str]
) -> None:
    """One is empty, one kept, and one kept that is not accepted and will be asked again: none is gone."""
    odd = accept(folder, "def f(value): return value != 'row 2'")
    more = f'when = "{{{{ id }}}}"\nattempts = 1\n{odd}'
    assert run(folder, more, rows=3) == 1
    capsys.readouterr()
    assert check_command(folder.toml, plugins=()) == 0
    assert "1 kept, 1 new, 1 empty\n" in capsys.readouterr().out


# -- columns, empty cells, samples --


def test_the_members_of_an_answer_become_columns(folder: Folder, scripted: Scripted) -> None:
    scripted.answer = lambda messages: 'So: {"n": 1, "tags": ["a"], "more": 2}' if len(messages) == 1 else "no"
    schema = "schema = { type = 'object', properties = { n = {}, tags = {}, none = {} } }\noutput = 'json'"
    assert run(folder, schema, rows=1) == 0
    assert folder.answers() == [{"id": 0, "text": "row 0", "n": 1, "tags": ["a"], "none": None}]


def test_other_steps_see_a_column_and_the_whole(folder: Folder, scripted: Scripted) -> None:
    scripted.answer = lambda messages: (
        '{"n": 1}' if messages[0]["content"].startswith("row") else messages[0]["content"]
    )
    step = '[[steps]]\nname = "t"\nkind = "chat"\nmodel = "p/m"\nprompt = "{{ n }} {{ s.n + 1 }}"'
    assert run(folder, f"{NUMBER}\noutput = 'json'\n{step}", rows=2) == 0
    assert values(folder, "t") == ["1 2", "1 2"]
    assert run(folder, f"{NUMBER}\noutput = 'json'\n{step}") == 0
    assert values(folder, "t") == ["1 2", "1 2"]


def test_a_cell_that_is_not_wanted_is_empty_and_calls_nothing(folder: Folder, scripted: Scripted) -> None:
    step = '[[steps]]\nname = "t"\nkind = "python"\nfunction = "builtins:repr"\nneeds = ["s"]'
    function = "def f(s): return repr(s)"
    (folder.path / "shows.py").write_text(function, encoding="utf-8")
    step = step.replace("builtins:repr", "shows:f")
    assert run(folder, f'when = "{{{{ id % 2 }}}}"\n{step}', rows=4) == 0
    assert asked(scripted) == 2
    assert values(folder) == [None, "row 1", None, "row 3"]
    assert values(folder, "t") == ["None", "'row 1'", "None", "'row 3'"]
    assert run(folder, step) == 0
    assert asked(scripted) == 2
    assert run(folder, f'when = "{{{{ id % 2 }}}}"\n{step}') == 0
    assert (asked(scripted), values(folder)[0]) == (0, None)


@pytest.mark.parametrize("when", ["{{ id % 3 == 0 }}", "{{ first == '0' }}"], ids=["of-a-column", "of-a-step"])
def test_empty_cells_are_told_apart_from_those_done_before(
    folder: Folder, scripted: Scripted, capsys: pytest.CaptureFixture[str], when: str
) -> None:
    named = f"firsts{len(when)}"  # a module is loaded once in a process
    (folder.path / f"{named}.py").write_text("def f(id): return str(id % 3)", encoding="utf-8")
    step = f'[[steps]]\nname = "first"\nkind = "python"\nfunction = "{named}:f"\nneeds = ["id"]'
    assert run(folder, f'when = "{when}"\n{step}', rows=5) == 0
    told = capsys.readouterr().out
    assert "done before" not in told
    assert re.search(r"s: 2 done \(.*/s\), 3 empty\n", told)
    more = '[[steps]]\nname = "t"\nkind = "chat"\nmodel = "p/m"\nprompt = "So: {{ s }}"'
    assert run(folder, f'when = "{when}"\n{step}\n{more}') == 0
    told = capsys.readouterr().out
    assert "7 cells were done before" in told
    assert "s: 0 done, 3 empty\n" in told
    with StoreReader(folder.store) as reader:
        *_, last = samples(reader.ask, 2)
    assert (last.steps["s"].kept, last.steps["s"].empty) == (2, 3)


def test_a_condition_that_cannot_be_filled_in_fails_its_row(folder: Folder, scripted: Scripted) -> None:
    folder.lines('{"id": 0, "text": "row 0", "note": "x"}', '{"id": 1, "text": "row 1"}')
    assert run(folder, 'when = "{{ note }}"') == 1
    assert values(folder) == ["row 0"]
    assert "note" in folder.failed_lines()[0]["_failed"]["error"]


def test_rows_that_do_not_want_a_dead_model_are_done(folder: Folder) -> None:
    """Nothing listens at the provider's address: the one row that wants a call fails, and no other."""
    folder.rows(9)
    small = "[batch]\ngive_up_failures = 2\ngive_up_start = 0.0\nrow_group_size = 1\nrows_in_flight = 1\n[providers.p]"
    (folder.path / "wants.py").write_text("def f(id): return id == 0", encoding="utf-8")
    step = '[[steps]]\nname = "w"\nkind = "python"\nfunction = "wants:f"\nneeds = ["id"]'
    folder.write(("[providers.p]", small), ("MORE", f'when = "{{{{ w }}}}"\n{step}'), toml=PIPELINE)
    assert run_command(folder.toml, limit=None, overwrite=False, plugins=(), progress="none") == 1
    assert [line["id"] for line in folder.failed_lines()] == [0]
    assert values(folder) == [None] * 8


def test_columns_stand_in_a_csv_too(folder: Folder, scripted: Scripted) -> None:
    scripted.answer = lambda messages: '{"n": 1, "tags": ["a"]}'
    folder.rows(2)
    more = ("MORE", "output = 'json'\ncolumns = ['tags', 'n']\nwhen = '{{ id }}'")
    folder.write(("answers.jsonl", "answers.csv"), more, toml=PIPELINE)
    assert run_command(folder.toml, limit=None, overwrite=False, plugins=(), progress="none") == 0
    head, empty, full = folder.output.with_name("answers.csv").read_text(encoding="utf-8").splitlines()
    assert head == "id,text,tags,n"
    assert empty.endswith(",,")
    assert full.endswith(',"[""a""]",1')


def test_samples_are_cells_of_their_own(folder: Folder, scripted: Scripted) -> None:
    count = iter(range(100))
    scripted.answer = lambda messages: f"{messages[0]['content']}, {next(count)}"
    assert run(folder, "samples = 3", rows=2) == 0
    assert asked(scripted) == 6
    three = values(folder)
    assert [len(set(each)) for each in three] == [3, 3]
    assert run(folder, "samples = 5") == 0
    assert asked(scripted) == 4
    assert [each[:3] for each in values(folder)] == three
    assert run(folder, "samples = 2") == 0
    assert asked(scripted) == 0
    assert values(folder) == [each[:2] for each in three]
    assert run(folder) == 0
    assert asked(scripted) == 0
    assert values(folder) == [each[0] for each in three]


def test_samples_of_equal_rows_are_different_cells(folder: Folder, scripted: Scripted) -> None:
    folder.lines(*['{"text": "same"}'] * 3)
    count = iter(range(100))
    scripted.answer = lambda messages: f"{next(count)}"
    assert run(folder, "samples = 2") == 0
    assert len({each for value in values(folder) for each in value}) == 6


def test_samples_are_redone_by_themselves(folder: Folder, scripted: Scripted) -> None:
    count = iter(range(100))
    scripted.answer = lambda messages: f"{next(count)}"
    assert run(folder, "samples = 3", rows=1) == 0
    three = sorted(values(folder)[0])
    asked(scripted)
    redone: dict[str, Any] = {"redo": "s", "where": "text == '1'"}
    assert run_command(folder.toml, limit=None, overwrite=False, plugins=(), progress="none", **redone) == 0
    assert asked(scripted) == 1
    assert sorted(values(folder)[0]) == [three[0], three[2], "3"]


def test_one_sample_that_is_not_accepted_fails_the_row_and_the_others_are_kept(
    folder: Folder, scripted: Scripted
) -> None:
    answers = iter(["good", "bad", "good", "good"])
    scripted.answer = lambda messages: next(answers)
    judge = accept(folder, "def f(value): return value == 'good'")
    assert run(folder, f"samples = 3\nattempts = 1\n{judge}", rows=1) == 1
    assert asked(scripted) == 3
    assert run(folder, f"samples = 3\nattempts = 1\n{judge}") == 0
    assert asked(scripted) == 1


def test_rows_that_share_an_answer_share_its_repair(folder: Folder, scripted: Scripted) -> None:
    folder.lines(*['{"text": "same"}'] * 4)
    scripted.answer = lambda messages: "no" if len(messages) == 1 else '{"n": 1}'
    assert run(folder, f"{NUMBER}\nshare = true") == 0
    assert (asked(scripted), values(folder)) == (2, [{"n": 1}] * 4)
    assert run(folder, f"{NUMBER}\nshare = true\nsamples = 2") == 0
    assert asked(scripted) == 2


def test_a_result_of_a_function_is_judged_and_parted(folder: Folder, scripted: Scripted) -> None:
    (folder.path / "makes.py").write_text("def f(id): return {'half': id / 2}", encoding="utf-8")
    python = 'name = "s"\nkind = "python"\nfunction = "makes:f"\nneeds = ["id"]\ncolumns = ["half"]\n'
    schema = "schema = { properties = { half = { type = 'integer' } } }"
    folder.rows(4)
    chat = 'name = "s"\nkind = "chat"\nmodel = "p/m"\nprompt = "{{ text }}"\n'
    folder.write((chat, python), ("MORE", schema), toml=PIPELINE)
    assert run_command(folder.toml, limit=None, overwrite=False, plugins=(), progress="none") == 1
    assert folder.answers()[1] == {"id": 2, "text": folder.answers()[1]["text"], "half": 1.0}
    assert [line["_failed"]["answer"] for line in folder.failed_lines()] == [{"half": 0.5}, {"half": 1.5}]


# -- failed rows are an input --


def test_the_failed_file_is_an_input_as_it_stands(folder: Folder, scripted: Scripted) -> None:
    scripted.answer = lambda messages: "no"
    never = accept(folder, "def f(value): return value == 'yes'")
    folder.lines('{"id": 1, "text": "a"}', "oops", '{"id": 2, "text": "b"}')
    assert run(folder, never) == 1
    for _ in range(2):
        failed = folder.output.with_name("answers.jsonl.failed.jsonl").read_text(encoding="utf-8")
        again = Path(folder.path / "rows.jsonl")
        again.write_text(failed, encoding="utf-8")
        assert run(folder, never) == 1
        lines = folder.failed_lines()
        assert [sorted(line) for line in lines] == [["_failed", "id", "text"], ["_failed"], ["_failed", "id", "text"]]
        assert lines[1]["_failed"]["text"] == "oops"
    scripted.answer = lambda messages: "yes"
    assert run(folder, never) == 1
    assert folder.answers() == [{"id": 1, "text": "a", "s": "yes"}, {"id": 2, "text": "b", "s": "yes"}]
