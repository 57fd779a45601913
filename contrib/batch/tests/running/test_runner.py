"""Whole runs over a loopback provider: rows in, rows out, and nothing paid for twice."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from penstock import ConfigError
from penstock_batch.command import check_command, run_command

if TYPE_CHECKING:
    from contrib.batch.tests.conftest import Folder, Provider

pytestmark = pytest.mark.loopback

ONE_STEP = """
[input]
path = "rows.jsonl"
[output]
path = "out/answers.jsonl"
[[steps]]
name = "NAME"
kind = "chat"
model = "p/writer"
prompt = "{{ text }}"
[providers.p]
base_url = "BASE_URL"
[providers.p.models.writer]
max_parallel_requests = 8
"""


def run(folder: Folder, *, limit: int | None = None, overwrite: bool = False) -> int:
    return run_command(folder.toml, limit=limit, overwrite=overwrite, plugins=(), progress="none")


def refused(folder: Folder) -> list[tuple[str | int, ...]]:
    """The paths of what is told of a run that is not begun."""
    with pytest.raises(ConfigError) as caught:
        run(folder)
    return [problem.path for problem in caught.value.records]


def test_every_row_comes_out_in_order_with_every_step(served: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    served.write()
    assert run(served) == 0
    answers = served.answers()
    assert [answer["id"] for answer in answers] == list(range(30))
    assert list(answers[7]) == ["id", "text", "summary", "vector", "length"]
    assert answers[7]["summary"] == "Row 7 is about gate number 7."
    assert answers[7]["length"] == len(answers[7]["summary"])
    assert not served.output.with_name("answers.jsonl.failed.jsonl").exists()
    reported = capsys.readouterr().out
    assert "30 rows: 30 done, 0 failed" in reported
    assert "what the run waited for" in reported


def test_running_again_calls_nothing_and_puts_the_output_back(served: Folder, provider: Provider) -> None:
    served.write()
    run(served)
    before, answers = provider.report(), served.output.read_bytes()
    served.output.unlink()
    assert run(served) == 0
    assert provider.report() == before
    assert served.output.read_bytes() == answers


def test_a_run_of_the_first_rows_is_continued_by_the_next(served: Folder, provider: Provider) -> None:
    served.write()
    before = provider.completed("writer")
    assert run(served, limit=4) == 0
    assert len(served.answers()) == 4
    assert provider.completed("writer") == before + 4
    assert run(served) == 0
    assert len(served.answers()) == 30
    assert provider.completed("writer") == before + 30
    assert run(served, limit=2) == 0
    assert len(served.answers()) == 30


def test_overwrite_asks_everything_anew_and_keeps_the_last_store_until_then(
    served: Folder, provider: Provider, capsys: pytest.CaptureFixture[str]
) -> None:
    served.write()
    run(served)
    before = provider.completed("writer")
    assert run(served, overwrite=True) == 0
    assert provider.completed("writer") == before + 30
    assert "is kept as answers.jsonl.store.before until a run over all rows has ended" in capsys.readouterr().out
    assert {path.name for path in served.output.parent.iterdir()} == {"answers.jsonl", "answers.jsonl.store"}


def test_rows_that_are_added_taken_out_and_shuffled_cost_what_is_new(served: Folder, provider: Provider) -> None:
    served.write()
    run(served)
    before = provider.completed("writer")
    rows = (served.path / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    Random(7).shuffle(rows)
    served.lines(*rows[:10], '{"id": 77, "text": "New. Yes."}', *rows[10:25])
    assert run(served) == 0
    assert provider.completed("writer") == before + 1
    answers = served.answers()
    assert [answer["id"] for answer in answers] == [
        json.loads(row)["id"] for row in [*rows[:10], '{"id": 77}', *rows[10:25]]
    ]
    assert all(str(answer["id"]) in answer["summary"] for answer in answers if answer["id"] != 77)


def test_a_changed_prompt_asks_its_step_again_and_what_needs_it(served: Folder, provider: Provider) -> None:
    served.write()
    run(served)
    writer, embedder = provider.completed("writer"), provider.completed("embedder")
    served.write(("in one sentence", "in a sentence"))
    assert run(served) == 0
    assert provider.completed("writer") == writer + 30
    assert provider.completed("embedder") == embedder  # what it says is the same


def test_a_step_by_another_name_asks_nothing(served: Folder, provider: Provider) -> None:
    for name in ("summary", "gist"):
        served.write(toml=ONE_STEP.replace("NAME", name))
        run(served)
        if name == "summary":
            before = provider.report()
    assert provider.report() == before
    assert served.answers()[3]["gist"] == "Row 3 is about gate number 3."


def test_equal_calls_of_different_rows_have_answers_of_their_own_unless_they_are_shared(
    served: Folder, provider: Provider
) -> None:
    served.lines(*['{"id": 1, "text": "The same. Yes."}'] * 6)
    served.write(toml=ONE_STEP.replace("NAME", "summary"))
    before = provider.completed("writer")
    run(served)
    assert provider.completed("writer") == before + 6
    served.lines(*['{"id": 1, "text": "The same. Yes."}'] * 8)
    run(served)
    assert provider.completed("writer") == before + 8
    served.lines(*(f'{{"id": {number}, "text": "Another one. Yes."}}' for number in range(9)))
    served.write(toml=ONE_STEP.replace("NAME", "summary").replace("[providers", "share = true\n[providers", 1))
    run(served)
    assert provider.completed("writer") == before + 9
    assert [answer["summary"] for answer in served.answers()] == ["Another one."] * 9


def test_a_file_that_is_not_ours_is_not_replaced(served: Folder) -> None:
    served.write()
    served.output.parent.mkdir()
    served.output.write_text("precious", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        run(served)
    assert [problem.source for problem in caught.value.records] == [str(served.output)]
    assert served.output.read_text(encoding="utf-8") == "precious"
    assert run(served, overwrite=True) == 0
    assert len(served.answers()) == 30


def test_rows_that_cannot_be_read_fail_alone_with_their_line(served: Folder) -> None:
    served.lines('{"id": 0, "text": "One."}', "oops", "[2]", '{"id": 3}', '{"id": 4, "text": "Two."}')
    served.write()
    assert run(served) == 1
    assert [answer["id"] for answer in served.answers()] == [0, 4]
    unreadable, no_object, lacking = served.failed()
    assert unreadable["line"] == 2
    assert unreadable["error"].startswith("line 2: is not JSON")
    assert unreadable["text"] == "oops"
    assert no_object["error"] == "line 3: must be a JSON object, not an array"
    assert (lacking["line"], lacking["step"], lacking["row"]) == (4, "summary", {"id": 3})
    assert "'text' is undefined" in lacking["error"]


def test_csv_is_read_too(served: Folder) -> None:
    (served.path / "rows.csv").write_text("id,text\n1,One.\n2\n3,Three.\n", encoding="utf-8")
    served.write(('path = "rows.jsonl"', 'path = "rows.csv"'))
    assert run(served) == 1
    assert [answer["id"] for answer in served.answers()] == ["1", "3"]
    assert served.failed()[0]["error"] == "line 3: has 1 field where the header names 2"


def test_a_failed_row_is_tried_again_by_the_next_run_and_its_calls_are_not(served: Folder, provider: Provider) -> None:
    served.write(("PYTHON_STEPS:length", "PYTHON_STEPS:picky"))
    before = provider.completed("writer")
    assert run(served) == 1
    (failed,) = served.failed()
    assert (failed["line"], failed["step"], failed["error"]) == (4, "length", "ValueError: not this one")
    assert run(served) == 1
    steps = next(served.path.glob("steps_of_*.py"))
    assert provider.completed("writer") == before + 30
    assert len(served.answers()) == 29
    assert steps.exists()


@pytest.mark.parametrize(
    ("function", "reason"),
    [("a_set", "returned what JSON cannot hold: "), ("leaves", "SystemExit: 3")],
)
def test_what_a_python_step_does_wrong_is_its_rows_failure(served: Folder, function: str, reason: str) -> None:
    served.rows(3)
    served.write(("PYTHON_STEPS:length", f"PYTHON_STEPS:{function}"))
    assert run(served) == 1
    assert [failed["error"].startswith(reason) for failed in served.failed()] == [True] * 3


@pytest.mark.parametrize("how", ['"PYTHON_STEPS:length_async"', '"PYTHON_STEPS:length"\nthread = false'])
def test_a_python_step_may_be_async_or_stay_in_the_loop(served: Folder, how: str) -> None:
    served.rows(3)
    served.write(('"PYTHON_STEPS:length"', how))
    assert run(served) == 0
    assert all(answer["length"] == len(answer["summary"]) for answer in served.answers())


def test_a_window_smaller_than_the_input_loses_no_row(served: Folder) -> None:
    served.rows(60)
    served.write(("[requests]", "[batch]\nrow_group_size = 7\nrows_in_flight = 10\nrows_waiting = 0\n[requests]"))
    assert run(served) == 0
    assert [answer["id"] for answer in served.answers()] == list(range(60))


def test_an_empty_input_is_done_at_once(served: Folder) -> None:
    served.lines()
    served.write()
    assert run(served) == 0
    assert served.answers() == []


def test_a_mock_runs_inside_the_run(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.write(
        ('base_url = "BASE_URL"', 'kind = "mock"'),
        more="[providers.p.options.models.writer]\nslots = 2\nlatency = { mean = 0.01 }\nretry_after = 0.02\n",
    )
    assert run(folder) == 0
    assert len(folder.answers()) == 5
    assert "that the provider's limits allow" in capsys.readouterr().out


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
def test_a_mock_is_reached_where_the_environment_has_a_proxy(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    folder.write(('base_url = "BASE_URL"', 'kind = "mock"'))
    assert run(folder) == 0
    assert len(folder.answers()) == 5


def test_check_calls_and_writes_nothing(served: Folder, provider: Provider, capsys: pytest.CaptureFixture[str]) -> None:
    served.write()
    before = provider.report()
    assert check_command(served.toml, plugins=()) == 0
    assert provider.report() == before
    assert not served.output.parent.exists()
    reported = capsys.readouterr().out
    assert "30 rows with id, text" in reported
    assert "summary: chat at p/writer (at most 16 at a time), needs text" in reported


def test_check_names_the_lines_that_cannot_be_read(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.lines('{"id": 1, "text": "x"}', "oops")
    folder.write()
    assert check_command(folder.toml, plugins=()) == 1
    assert "line 2: is not JSON" in capsys.readouterr().err


def test_check_refuses_an_unknown_plugin(folder: Folder) -> None:
    folder.write(("[plugins.aimd]\ninitial_limit = 4\n", '[plugins]\nrequest_limiters = ["aimed"]\n'))
    with pytest.raises(ConfigError) as caught:
        check_command(folder.toml, plugins=())
    assert [problem.path for problem in caught.value.records] == [("plugins", "request_limiters")]


def test_a_plugin_file_takes_part_in_a_run(served: Folder) -> None:
    seen = served.path / "seen.jsonl"
    rules = served.path / "listener.py"
    rules.write_text(
        "import penstock\n"
        f"out = open({str(seen)!r}, 'w')\n"
        "@penstock.hookimpl\n"
        "def penstock_scheduler_event(event):\n"
        "    print(penstock.event_to_json(event), file=out)\n"
        "@penstock.hookimpl\n"
        "def penstock_run_finished(report):\n"
        "    out.close()\n",
        encoding="utf-8",
    )
    served.rows(3)
    served.write(("[requests]", "[batch]\nrow_group_size = 2\n[requests]"))
    assert run_command(served.toml, limit=None, overwrite=False, plugins=(rules,), progress="none") == 0
    events = [json.loads(line) for line in seen.read_text(encoding="utf-8").splitlines()]
    kinds = [event["event_kind"] for event in events]
    assert kinds.count("row_group_admitted") == kinds.count("row_group_checkpointed") == 2
    assert {event["correlation"]["row_group"] for event in events if event["event_kind"] == "selected"} == {"0", "1"}


def test_the_number_of_a_row_stands_last_in_its_tasks_so_that_finished_ones_fold_into_ranges(served: Folder) -> None:
    asked = served.path / "asked.txt"
    rules = served.path / "rule.py"
    rules.write_text(
        "import penstock\n"
        "@penstock.hookimpl\n"
        "def penstock_task_eligible(task):\n"
        f"    with open({str(asked)!r}, 'a', encoding='utf-8') as file:\n"
        "        print(task.task_id, file=file)\n",
        encoding="utf-8",
    )
    served.rows(3)
    served.write()
    assert run_command(served.toml, limit=None, overwrite=False, plugins=(rules,), progress="none") == 0
    steps = ("summary", "vector", "length")
    assert set(asked.read_text(encoding="utf-8").split()) == {f"{step}/{row}" for step in steps for row in range(3)}


def test_the_record_of_a_run_is_whole(served: Folder) -> None:
    served.write(more='[plugins]\nsinks = ["jsonl"]\n[plugins.jsonl]\npath = "events.jsonl"\n')
    assert run(served) == 0
    events = [json.loads(line) for line in (served.path / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    for stream, kind in (("scheduler", "task_lease"), ("request", "request_lease")):
        reported = [event for event in events if event["stream"] == stream]
        sequences = [event["sequence"] for event in reported]
        assert sequences == sorted(set(sequences))
        kinds = [event["event_kind"] for event in reported]
        assert kinds.count(f"{kind}_acquired") == kinds.count(f"{kind}_released") >= 60
    before = (served.path / "events.jsonl").read_bytes()
    run(served)
    assert (served.path / "events.jsonl").read_bytes() == before  # a run that had nothing to do leaves it alone


def test_rows_that_wait_for_one_provider_do_not_keep_another_from_new_rows(folder: Folder) -> None:
    """The run is ended when the writer has answered for all rows: if it does not, the outage ends before the run."""
    stopper = folder.path / "stopper.py"
    stopper.write_text(
        "import signal\n"
        "import penstock\n"
        "sink = penstock.SinkSpec(mode='inline')\n"
        "answers = []\n"
        "@penstock.hookimpl\n"
        "def penstock_request_event(event):\n"
        "    if event.event_kind == 'request_lease_released' and event.reason_or_outcome == 'success':\n"
        "        answers.append(event)\n"
        "        if len(answers) == 60:\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "            signal.raise_signal(signal.SIGTERM)\n",
        encoding="utf-8",
    )
    folder.rows(60)
    folder.write(
        ('base_url = "BASE_URL"', 'kind = "mock"'),
        ("[requests]", "[batch]\nrow_group_size = 5\nrows_in_flight = 10\nrows_waiting = 100\n[requests]"),
        more="[providers.p.options.models.writer]\nlatency = { mean = 0.001 }\n"
        "[providers.p.options.models.embedder]\noutage = [0.0, 30.0]\nretry_after = 30.0\nlatency = { mean = 0.001 }\n",
    )
    assert run_command(folder.toml, limit=None, overwrite=False, plugins=(stopper,), progress="none") == 130
    assert folder.cells() == ["summary"] * 60


def test_the_store_lies_beside_the_output_and_holds_every_cell(served: Folder) -> None:
    served.rows(4)
    served.write()
    run(served)
    assert sorted(served.cells()) == sorted(step for _ in range(4) for step in ("summary", "vector", "length"))
    assert {path.name for path in Path(served.output).parent.iterdir()} == {"answers.jsonl", "answers.jsonl.store"}


@pytest.mark.parametrize("thread", ["true", "false"])
def test_a_step_that_takes_the_processor_is_what_the_run_waited_for(
    folder: Folder, thread: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.rows(40)
    step = f'kind = "python"\nfunction = "busy_{thread}:work"\nneeds = ["id"]\nthread = {thread}\nworkers = 2'
    toml = ONE_STEP.replace('kind = "chat"\nmodel = "p/writer"\nprompt = "{{ text }}"', step)
    folder.write(("NAME", "made"), toml=toml)
    (folder.path / f"busy_{thread}.py").write_text(
        "def work(id):\n    return sum(i * i for i in range(300_000)) % 7\n", encoding="utf-8"
    )
    assert run(folder) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("what the run waited for: "))
    assert line.removeprefix("what the run waited for: ").split("% ", 1)[1].startswith("your Python step made")
