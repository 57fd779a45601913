"""Rows that are made of rows: beside a naive model, and in whole runs over the embedded provider."""

from __future__ import annotations

import json
import shutil
from itertools import groupby
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from trio.testing import MockClock

import penstock_batch
from penstock import ConfigError
from penstock_batch.command import check_command, run_command
from penstock_batch.pipeline.loading import load_pipeline
from penstock_batch.report.plan import plan_lines, plan_of
from penstock_batch.report.planning import facts_of
from penstock_batch.report.rows import row_views
from penstock_batch.rows.working_files import Workplace
from penstock_batch.running.assembly import assemble
from penstock_batch.running.lineage import Lineage, Origin
from penstock_batch.running.staged import StagedRows
from penstock_batch.running.whole_run import run_rows
from penstock_batch.store.reading import StoreReader
from penstock_batch.store.store import Store

if TYPE_CHECKING:
    from contrib.batch.tests.conftest import Folder

pytestmark = pytest.mark.loopback

EXAMPLE = Path(__file__).parents[2] / "examples" / "reviews"

HEAD = """
[input]
path = "rows.jsonl"
[output]
path = "out/answers.jsonl"
"""
PARTS = '[[steps]]\nname = "part"\nkind = "split"\nover = "parts"\n'
EVEN = '[[steps]]\nname = "even"\nkind = "filter"\nwhen = "{{ part % 2 == 0 }}"\n'
ALL = '[[steps]]\nname = "all"\nkind = "gather"\nfunction = "PYTHON_STEPS:together"\n'
TOGETHER = "\ndef together(rows):\n    return [row for row in rows]\n"


def staged_pipeline(folder: Folder, *steps: str, head: str = HEAD) -> Path:
    return folder.write(toml=head + "".join(steps))


def run(folder: Folder, limit: int | None = None) -> int:
    return run_command(folder.toml, limit=limit, overwrite=False, plugins=(), progress="none")


def write_rows(folder: Folder, *rows: dict[str, Any]) -> None:
    folder.lines(*map(json.dumps, rows))


# -- beside a naive model --


@pytest.mark.parametrize("seed", range(12))
async def test_rows_are_those_of_a_naive_model_in_its_order(folder: Folder, seed: int) -> None:
    """Rows fail at random, in each stage; the model is lists and loops."""
    random = Random(seed)
    rows = [{"id": i, "parts": [random.randrange(9) for _ in range(random.randrange(4))]} for i in range(12)]
    for row in random.sample(rows, 2):
        row["parts"] = random.choice(["none", 3, None])
    write_rows(folder, *rows)
    pipeline = load_pipeline(staged_pipeline(folder, PARTS, EVEN))
    with StagedRows(pipeline, None, Workplace(folder.output.parent)) as staged:
        expected: list[tuple[Origin, dict[str, Any]]] = [(Origin(i + 1), row) for i, row in enumerate(rows)]
        failed: dict[int | None, list[tuple[int, ...]]] = {}
        while True:
            alive = []
            order = list(range(len(expected)))
            random.shuffle(order)  # rows end in any order
            dead = set(random.sample(order, len(order) // 5))
            for index in order:
                if index in dead:
                    staged.last.results.failed(index, "x", "at random")
                else:
                    staged.last.results.done(index, expected[index][1])
            alive = [each for index, each in enumerate(expected) if index not in dead]
            here = [expected[index] for index in sorted(dead)]
            change = staged.last.pipeline.stages[len(staged.reached) - 1].change
            if change is None:
                note(failed, here)
                break
            if change.kind == "split":
                bad = [each for each in alive if not isinstance(each[1]["parts"], list)]
                here = sorted([*here, *bad], key=lambda each: each[0].line or 0)
                good = [each for each in alive if isinstance(each[1]["parts"], list)]
                expected = [
                    (Origin(origin.line, (number,)), {"id": row["id"], "part": item})
                    for origin, row in good
                    for number, item in enumerate(row["parts"], 1)
                ]
            else:
                expected = [each for each in alive if each[1]["part"] % 2 == 0]
            note(failed, here)
            await staged.advance()
            assert staged.last.pipeline.facts.rows == len(expected)
        result = assemble(pipeline, staged)
    assert folder.answers() == [row for _, row in alive]
    said = folder.failed()
    assert [line["line"] for line in said] == sorted(failed, key=lambda line: line or 0)
    assert [line["row"] for line in said] == [rows[line["line"] - 1] for line in said]  # an input, as it stands
    told = [[tuple(each.get("items", ())) for each in (line, *line.get("others", ()))] for line in said]
    assert told == [sorted(failed[line["line"]]) for line in said]
    assert (result.done, result.failed, result.open) == (len(alive), sum(map(len, failed.values())), 0)


def note(failed: dict[int | None, list[tuple[int, ...]]], rows: list[tuple[Origin, dict[str, Any]]]) -> None:
    for origin, _ in rows:
        failed.setdefault(origin.line, []).append(origin.items)


def test_a_row_of_nested_splits_is_told_by_the_items_on_its_way() -> None:
    first = Lineage()
    first.add(7, 1)
    first.add(7, 2)
    second = Lineage(first.origin)
    second.add(1, 3)
    second.add(1, 0)
    second.cut(2)
    assert [second.origin(index) for index in range(2)] == [Origin(7, (2, 3)), Origin(7, (2,))]
    third = Lineage(second.origin)
    third.add(None)
    assert third.origin(0) == Origin(None)


# -- whole runs --


@pytest.fixture
def reviews(tmp_path: Path, folder: Folder) -> Folder:
    """The example, in a folder of its own, with its functions under a name of their own."""
    name = f"reviews_of_{tmp_path.name.replace('-', '_')}"
    shutil.copy(EXAMPLE / "steps.py", tmp_path / f"{name}.py")
    shutil.copy(EXAMPLE / "documents.jsonl", tmp_path)
    text = (EXAMPLE / "pipeline.toml").read_text(encoding="utf-8")
    text = text.replace('"steps:', f'"{name}:').replace("out/answer.jsonl", "out/answers.jsonl")
    folder.toml.write_text(text, encoding="utf-8")
    return folder


def test_documents_become_passages_and_what_matters_of_them_one_answer(
    reviews: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(reviews) == 0
    (answer,) = reviews.answers()
    assert list(answer) == ["documents", "answer"]
    assert [each["title"] for each in answer["documents"]] == ["Sluices", "Penstocks", "Locks"]
    said = capsys.readouterr().out
    assert "kept: 6 of 10 rows filtered" in said
    assert "gists: 4 rows gathered into 3" in said
    assert {path.name for path in reviews.output.parent.iterdir()} == {"answers.jsonl", "answers.jsonl.store"}
    assert run(reviews) == 0
    assert "nothing has changed" in capsys.readouterr().out


def test_what_is_behind_a_changed_document_is_asked_again_and_nothing_else(reviews: Folder) -> None:
    run(reviews)
    before = reviews.cells()
    documents = reviews.path / "documents.jsonl"
    text = documents.read_text(encoding="utf-8")
    documents.write_text(text.replace("leads water", "carries water"), encoding="utf-8")
    assert run(reviews) == 0
    new = reviews.cells()[len(before) :]
    # One passage, the gather of its document and its summary, and what is over all.
    assert sorted(new) == sorted(["gist", "matters", "gists", "summary", "summaries", "answer"])


def test_rows_taken_out_and_turned_round_cost_only_what_is_over_all(reviews: Folder) -> None:
    run(reviews)
    before = reviews.cells()
    documents = reviews.path / "documents.jsonl"
    lines = documents.read_text(encoding="utf-8").splitlines(keepends=True)
    documents.write_text("".join(lines[2::-1]), encoding="utf-8")
    assert run(reviews) == 0
    assert [each["title"] for each in reviews.answers()[0]["documents"]] == ["Locks", "Penstocks", "Sluices"]
    assert reviews.cells()[len(before) :] == ["summaries", "answer"]


def test_a_gather_goes_over_what_is_done_and_says_without_how_many(
    folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(folder, {"parts": [2, 3]}, {"parts": "no list"}, {"parts": []})
    staged_pipeline(folder, PARTS, ALL)
    add_function(folder)
    assert run(folder) == 1
    assert folder.answers() == [{"all": [{"part": 2}, {"part": 3}]}]
    said = capsys.readouterr().out
    assert "part: 2 rows of 2, 1 of them without an item" in said
    assert "all: 2 rows gathered into 1, without 1 that failed" in said
    (failed,) = folder.failed()
    assert (failed["line"], failed["step"]) == (2, "part")


def test_a_gather_that_is_to_stop_is_not_begun_where_rows_have_failed(
    folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(folder, {"parts": [2, 3]}, {"parts": "no list"})
    staged_pipeline(folder, PARTS, ALL, 'failed = "stop"\n')
    add_function(folder)
    assert run(folder) == 1
    assert not folder.output.exists()
    said = capsys.readouterr()
    assert "all: not gathered, since 1 row failed before" in said.err
    assert "answers: none yet, since all waits for all rows before it\n" in said.out
    write_rows(folder, {"parts": [2, 3]}, {"parts": [4]})
    assert run(folder) == 0
    whole = [{"all": [{"part": 2}, {"part": 3}, {"part": 4}]}]
    assert folder.answers() == whole
    write_rows(folder, {"parts": [2, 3]}, {"parts": None})
    assert run(folder) == 1
    assert folder.answers() == whole, "what was made of all rows is not replaced by nothing"
    assert f"; what lies at {folder.output} is of an earlier run\n" in capsys.readouterr().out


def test_all_rows_are_one_also_where_there_is_none(folder: Folder) -> None:
    write_rows(folder, {"parts": [1]})
    staged_pipeline(folder, PARTS, EVEN, ALL)
    add_function(folder)
    assert run(folder) == 0
    assert folder.answers() == [{"all": []}]


def test_groups_stand_in_the_order_of_their_first_rows(folder: Folder) -> None:
    rows: list[dict[str, Any]] = [{"id": i, "of": [i % 3]} for i in (2, 1, 5, 0, 4)]
    write_rows(folder, *rows)
    staged_pipeline(folder, ALL, 'by = ["of"]\n')
    add_function(folder)
    assert run(folder) == 0
    in_order = sorted(rows, key=lambda row: [2, 1, 0].index(row["of"][0]))
    groups = groupby(in_order, lambda row: row["of"])
    assert folder.answers() == [{"of": of, "all": list(members)} for of, members in groups]


def test_a_function_that_breaks_off_makes_no_row_of_what_it_made_before(folder: Folder) -> None:
    write_rows(folder, {"n": 2}, {"n": 9}, {"n": 1})
    step = '[[steps]]\nname = "each"\nkind = "split"\nfunction = "PYTHON_STEPS:each"\nneeds = ["n"]\n'
    staged_pipeline(folder, step)
    add_function(folder, "\ndef each(n):\n    for i in range(n):\n        yield i\n        assert i < 5\n")
    assert run(folder) == 1
    assert folder.answers() == [{"n": 2, "each": 0}, {"n": 2, "each": 1}, {"n": 1, "each": 0}]
    (failed,) = folder.failed()
    assert (failed["line"], failed["step"], failed["row"]) == (2, "each", {"n": 9})


def test_a_limit_is_of_rows_of_the_input(folder: Folder) -> None:
    write_rows(folder, {"parts": [1, 2, 3]}, {"parts": [4]}, {"parts": [5]})
    staged_pipeline(folder, PARTS)
    assert run(folder, limit=2) == 0
    assert [row["part"] for row in folder.answers()] == [1, 2, 3, 4]


def test_an_item_that_fails_is_told_by_its_line_and_number(folder: Folder) -> None:
    write_rows(folder, {"parts": [1]}, {"parts": [1, 0, 2]})
    step = '[[steps]]\nname = "half"\nkind = "python"\nfunction = "PYTHON_STEPS:half"\nneeds = ["part"]\n'
    staged_pipeline(folder, PARTS, step)
    add_function(folder, "\ndef half(part):\n    return 1 / part\n")
    assert run(folder) == 1
    assert [row["half"] for row in folder.answers()] == [1.0, 1.0, 0.5]
    (failed,) = folder.failed()
    assert (failed["line"], failed["items"], failed["row"]) == (2, [2], {"parts": [1, 0, 2]})


def test_columns_are_chosen_and_renamed(folder: Folder) -> None:
    write_rows(folder, {"id": 1, "parts": [7]}, {"parts": [8]})
    staged_pipeline(folder, PARTS, head=HEAD + 'columns = { number = "part", of = "id" }\n')
    assert run(folder) == 0
    assert folder.answers() == [{"number": 7, "of": 1}, {"number": 8}]
    staged_pipeline(folder, PARTS, head=HEAD + 'columns = ["parts"]\n')
    with pytest.raises(ConfigError) as raised:
        run(folder)
    assert "output.columns: 'parts' is no column" in str(raised.value)


def test_check_knows_of_stages(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(folder, {"parts": [1]})
    staged_pipeline(folder, PARTS, EVEN)
    assert check_command(folder.toml, plugins=()) == 0
    assert "  even: filter, needs part" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("step", "path"),
    [
        ('kind = "split"\n', "over"),
        ('kind = "split"\nover = "parts"\nfunction = "PYTHON_STEPS:length"\n', "over"),
        ('kind = "filter"\n', "when"),
        ('kind = "filter"\nfunction = "PYTHON_STEPS:length_async"\nneeds = ["summary", "vector"]\n', "function"),
        ('kind = "gather"\n', "function"),
        ('kind = "gather"\nfunction = "PYTHON_STEPS:length"\n', "function"),
        ('kind = "gather"\nfunction = "PYTHON_STEPS:together"\nby = ["parts", "parts"]\n', "by"),
    ],
)
def test_a_step_that_changes_rows_says_what_it_lacks(folder: Folder, step: str, path: str) -> None:
    write_rows(folder, {"parts": [1], "summary": "", "vector": []})
    staged_pipeline(folder, '[[steps]]\nname = "new"\n', step)
    add_function(folder)
    with pytest.raises(ConfigError) as raised:
        load_pipeline(folder.toml)
    (problem,) = raised.value.problems
    assert f": steps.new.{path}: " in str(problem)


def add_function(folder: Folder, text: str = TOGETHER) -> None:
    (module,) = folder.path.glob("steps_of_*.py")
    module.write_text(module.read_text(encoding="utf-8") + text, encoding="utf-8")


# -- what is handed in wrong --


SPLIT = '[[steps]]\nname = "each"\nkind = "split"\nfunction = "PYTHON_STEPS:given"\nneeds = ["n"]\n'
FILTER = '[[steps]]\nname = "each"\nkind = "filter"\nfunction = "PYTHON_STEPS:given"\nneeds = ["n"]\n'
GATHER = '[[steps]]\nname = "each"\nkind = "gather"\nfunction = "PYTHON_STEPS:given"\nby = ["n"]\n'


@pytest.mark.parametrize(
    ("step", "body", "reason"),
    [
        (SPLIT, 'return "text"', "must return a list or an iterator, not a text"),
        (SPLIT, 'return {"a": 1}', "must return a list or an iterator, not an object"),
        (SPLIT, "return {1, 2}", "must return a list or an iterator, not a set"),
        (SPLIT, "return None", "must return a list or an iterator, not nothing"),
        (SPLIT, "return 3", "must return a list or an iterator, not a number"),
        (SPLIT, "return [1, {2}]", "item 2 is what JSON cannot hold: TypeError: "),
        (SPLIT, "return [float('nan')]", "item 1 is what JSON cannot hold: ValueError: "),
        (SPLIT, "while True: yield 1", "its function gives more than 9 items for one row"),
        (SPLIT, "raise ExceptionGroup('several', [ValueError('a'), KeyError('b')])", "ExceptionGroup: ValueError: a;"),
        (SPLIT, "raise KeyboardInterrupt", "KeyboardInterrupt"),
        (FILTER, 'return "no"', "must return True or False, not a text"),
        (FILTER, "return None", "must return True or False, not nothing"),
        (FILTER, "raise SystemExit(3)", "SystemExit: 3"),
        (GATHER, "return (row for row in n)", "returned what JSON cannot hold"),
        (GATHER, "raise KeyboardInterrupt", "KeyboardInterrupt"),
        (GATHER, "raise BaseExceptionGroup('several', [SystemExit(1)])", "BaseExceptionGroup: SystemExit: 1"),
    ],
)
def test_what_a_function_does_wrong_costs_the_row_that_it_was_called_for(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, step: str, body: str, reason: str
) -> None:
    monkeypatch.setattr("penstock_batch.running.changing.MOST_ITEMS", 9)
    write_rows(folder, {"n": 1}, {"n": 2})
    staged_pipeline(folder, step)
    rest = {SPLIT: "return [n]", FILTER: "return True", GATHER: "return len(n)"}[step]
    if "yield" in body:
        rest = "yield n"
    argument = "n, first=None" if step != GATHER else "rows"
    first = "n" if step != GATHER else "next(iter(rows))['n']"
    code = f"\ndef given({argument}):\n    if {first} == 2:\n        {body}\n    {rest}\n"
    add_function(folder, code.replace("len(n)", "len(rows)").replace("in n)", "in rows)"))
    assert run(folder) == 1
    assert [row["n"] for row in folder.answers()] == [1]
    (failed,) = folder.failed()
    assert reason in failed["error"]
    assert failed["step"] == "each"
    assert failed["row"] == (None if step == GATHER else {"n": 2})


@pytest.mark.parametrize(
    ("body", "value"),
    [("return 7", 7), ("return [list(rows), list(rows)]", [[{"n": 1}] * 2] * 2), ("return [len(rows)]", [2])],
)
def test_a_gather_may_leave_its_rows_or_go_through_them_twice(folder: Folder, body: str, value: Any) -> None:
    write_rows(folder, {"n": 1}, {"n": 1})
    staged_pipeline(folder, ALL.replace("together", "given"))
    add_function(folder, f"\ndef given(rows):\n    {body}\n")
    assert run(folder) == 0
    assert folder.answers() == [{"all": value}]


def test_a_row_without_the_column_it_is_gathered_by_has_failed_and_any_value_is_a_group(folder: Folder) -> None:
    write_rows(folder, {"of": [1]}, {"n": 5}, {"of": {"a": 1}}, {"of": [1]}, {"of": None})
    staged_pipeline(folder, ALL, 'by = ["of"]\n')
    add_function(folder)
    assert run(folder) == 1
    assert [(row["of"], len(row["all"])) for row in folder.answers()] == [([1], 2), ({"a": 1}, 1), (None, 1)]
    (failed,) = folder.failed()
    assert (failed["line"], failed["step"], failed["row"]) == (2, "all", {"n": 5})
    assert "no column 'of', by which" in failed["error"]


def test_no_rows_and_rows_that_are_all_filtered_are_no_failure(folder: Folder) -> None:
    write_rows(folder)
    staged_pipeline(folder, PARTS, EVEN)
    assert run(folder) == 0
    assert folder.answers() == []
    write_rows(folder, {"parts": [1, 3]})
    assert run(folder) == 0
    assert folder.answers() == []


# -- the same with all the rest --


HALF = '[[steps]]\nname = "half"\nkind = "python"\nfunction = "PYTHON_STEPS:half"\nneeds = ["part"]\n'
SUM = '[[steps]]\nname = "sum"\nkind = "gather"\nby = ["id"]\nfunction = "PYTHON_STEPS:sums"\n'
ROOT = '[[steps]]\nname = "root"\nkind = "python"\nfunction = "PYTHON_STEPS:root"\nneeds = ["sum"]\n'
CODE = """
def half(part):
    return 1 / part
def sums(rows):
    return sum(row["half"] for row in rows)
def root(sum):
    return sum ** 0.5
"""


@pytest.fixture
def halves(folder: Folder) -> Folder:
    """Rows that are split, halved and gathered, of which an item fails."""
    write_rows(folder, {"id": 1, "parts": [1, 2]}, {"id": 2, "parts": [4, 0]})
    staged_pipeline(folder, PARTS, HALF, SUM, ROOT)
    add_function(folder, CODE)
    return folder


def test_failed_rows_of_a_later_stage_are_an_input_as_they_stand(halves: Folder) -> None:
    assert run(halves) == 1
    assert halves.answers() == [{"id": 1, "sum": 1.5, "root": 1.5**0.5}, {"id": 2, "sum": 0.25, "root": 0.5}]
    (line,) = halves.failed_lines()
    assert line["_failed"]["items"] == [2]
    mended = json.dumps(line).replace("[4, 0]", "[4, 4]")
    halves.lines(mended)
    assert run(halves) == 0
    assert halves.answers() == [{"id": 2, "sum": 0.5, "root": 0.5**0.5}]


def test_check_says_of_every_stage_what_is_kept_and_what_is_not_known(
    halves: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    check_command(halves.toml, plugins=())
    said = capsys.readouterr().out
    assert "part: split, needs parts: 4 rows of 2\n" in said
    assert "half: python, needs part: 0 kept, 4 new\n" in said
    assert "sum: gather, needs id: 0 rows gathered into 0, 0 kept, 0 new, as far as rows are known" in said
    run(halves)
    capsys.readouterr()
    check_command(halves.toml, plugins=())
    said = capsys.readouterr().out
    assert "half: python, needs part: 3 kept, 1 new\n" in said
    assert "root: python, needs sum: 2 kept, 0 new, as far as rows are known" in said
    write_rows(halves, {"id": 1, "parts": [1, 2]}, {"id": 2, "parts": [4]})
    check_command(halves.toml, plugins=())
    said = capsys.readouterr().out
    assert "half: python, needs part: 3 kept, 0 new\n" in said
    assert "sum: gather, needs id: 3 rows gathered into 2, 2 kept, 0 new\n" in said


def test_cells_of_every_stage_are_redone_on_purpose(halves: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(halves, {"id": 1, "parts": [1, 2]}, {"id": 2, "parts": [4]})
    run(halves)
    before = halves.cells()
    for step, where, cells, said in (
        ("half", "part > 1", 2, "2 cells of half are"),
        ("sum", None, 2, "2 cells of sum are"),
        ("root", "id == 2", 1, "1 cell of root is"),
    ):
        code = run_command(
            halves.toml, limit=None, overwrite=False, plugins=(), progress="none", redo=step, where=where
        )
        assert code == 0
        assert f"{said} asked again" in capsys.readouterr().out
        assert halves.cells()[len(before) :] == [step] * cells
        before = halves.cells()
    with pytest.raises(ConfigError, match="'part' is a split, which is made anew in each run"):
        run_command(halves.toml, limit=None, overwrite=False, plugins=(), progress="none", redo="part")


def test_the_rows_of_every_stage_are_gone_through_in_a_program(halves: Folder) -> None:
    rows = penstock_batch.run(halves.toml)
    found = list(rows)
    assert [(row.line, row.items, dict(row.values)) for row in found if row.ok] == [
        (None, (), {"id": 1, "sum": 1.5, "root": 1.5**0.5}),
        (None, (), {"id": 2, "sum": 0.25, "root": 0.5}),
    ]
    (failed,) = (row for row in found if not row.ok)
    assert (failed.line, failed.items, failed.values["part"]) == (2, (2,), 0)
    assert (rows.summary.done, rows.summary.failed, rows.summary.open) == (2, 1, 0)
    assert "part: 4 rows of 2" in str(rows.summary)
    assert [row["id"] for row in halves.answers()] == [1, 2]


def test_chosen_columns_are_those_of_results_in_a_program_too(halves: Folder, tmp_path: Path) -> None:
    staged_pipeline(halves, PARTS, head=HEAD + 'columns = { of = "id" }\n')
    rows = penstock_batch.run(halves.toml, [{"id": 7, "parts": [1, 2]}], output=tmp_path / "other.csv")
    assert [dict(row.values) for row in rows] == [{"of": 7}] * 2
    assert (tmp_path / "other.csv").read_text(encoding="utf-8").split() == ["of", "7", "7"]


def test_several_samples_of_one_call_become_rows(folder: Folder) -> None:
    write_rows(folder, {"id": 1}, {"id": 2})
    steps = '[[steps]]\nname = "said"\nkind = "chat"\nmodel = "p/m"\nprompt = "say {{ id }}"\nsamples = 3\n'
    one = '[[steps]]\nname = "one"\nkind = "split"\nover = "said"\n'
    provider = '[providers.p]\nkind = "mock"\n[providers.p.models.m]\nmax_parallel_requests = 4\n'
    staged_pipeline(folder, steps, one, provider)
    assert run(folder) == 0
    assert folder.answers() == [{"id": i, "one": f"say {i}"} for i in (1, 1, 1, 2, 2, 2)]


def test_columns_stand_in_the_order_of_the_steps_whatever_they_need_of_each_other(folder: Folder) -> None:
    write_rows(folder, {"part": 2, "id": 1})
    late = '[[steps]]\nname = "late"\nkind = "python"\nfunction = "PYTHON_STEPS:late"\nneeds = ["half"]\n'
    staged_pipeline(folder, late, HALF)
    add_function(folder, CODE + "def late(half):\n    return half\n")
    assert run(folder) == 0
    assert [list(row) for row in folder.answers()] == [["part", "id", "late", "half"]]
    staged_pipeline(folder, late, HALF, EVEN)
    add_function(folder, CODE + "def late(half):\n    return half\n")
    assert run(folder) == 0
    assert [list(row) for row in folder.answers()] == [["part", "id", "late", "half"]]


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ("[]", "names no column"),
        ('["part", "part"]', "names 'part' twice"),
        ('["part", "_failed"]', "gives a column the name '_failed', under which a failed row says why"),
        ('{ "" = "part" }', "gives a column the name '', which is empty"),
        ('["prat"]', "did you mean 'part'?"),
    ],
)
def test_columns_that_cannot_be_chosen_are_told(folder: Folder, columns: str, what: str) -> None:
    write_rows(folder, {"parts": [1]})
    staged_pipeline(folder, PARTS, head=f"{HEAD}columns = {columns}\n")
    with pytest.raises(ConfigError) as raised:
        load_pipeline(folder.toml)
    assert what in str(raised.value)


def test_the_report_shows_rows_of_every_stage_and_what_failed_where(halves: Folder) -> None:
    run(halves)
    pipeline = load_pipeline(halves.toml)
    with StoreReader(pipeline.store) as reader:
        views = row_views(pipeline, reader, 100)
        plans = plan_lines([plan_of(facts) for facts in facts_of(pipeline, reader, 10)])
    assert [(view.place, view.state) for view in views] == [
        ("line 1", "done"),
        ("line 2", "done"),
        ("line 1, item 1", "done"),
        ("line 1, item 2", "done"),
        ("line 2, item 1", "done"),
        ("line 2, item 2", "failed"),
        ("a gathered row", "done"),
        ("a gathered row", "done"),
    ]
    assert plans[0] == "  half: 1 to be computed, 3 kept"
    assert plans[1:3] == ["  sum: at most 4 to be computed", "  root: at most 4 to be computed"]


async def test_the_time_of_a_run_holds_that_of_splitting(folder: Folder, autojump_clock: MockClock) -> None:
    """The split takes a minute before anything is called, or though nothing is."""
    later = (
        "\ndef later(parts):\n    import trio\n"
        "    trio.from_thread.run_sync(lambda: trio.lowlevel.current_clock().jump(60.0))\n    return parts\n"
    )
    step = '[[steps]]\nname = "part"\nkind = "split"\nfunction = "PYTHON_STEPS:later"\nneeds = ["parts"]\n'
    write_rows(folder, {"id": 1, "parts": [1, 2]})
    staged_pipeline(folder, step)
    add_function(folder, later)
    pipeline = load_pipeline(folder.toml)
    pipeline.store.parent.mkdir(exist_ok=True)
    with Store(pipeline.store) as store, StagedRows(pipeline, None, Workplace(folder.output.parent)) as staged:
        ran = await run_rows(pipeline, store, staged, plugins=(), progress="none", on_begun=lambda _: None)
    assert ran.seconds >= 60.0
