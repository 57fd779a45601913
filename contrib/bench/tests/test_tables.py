"""The results as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from penstock_bench import Figure, Outcome, Target, as_markdown, judge
from penstock_bench.records import MICROSECONDS
from penstock_bench.tables import as_csv, as_json, markdown_table, short, write_all

OUTCOMES = [
    Outcome(
        row="fast",
        title="a fast thing",
        unit=MICROSECONDS,
        ours=Figure((2.0, 3.0, 2.5)),
        against="the peer",
        other=Figure((200.0, 300.0, 250.0)),
        ratio=Figure((100.0, 100.0, 100.0)),
        note="the peer was slow",
    ),
    Outcome(row="alone", title="a lone thing", unit=MICROSECONDS, ours=Figure((0.5,))),
]
TARGETS = [
    Target(bench="b", row="fast", figure="ratio", at_least=120, source="page", says="at least 120×"),
    Target(bench="b", row="alone", figure="ours", at_most=1, source="page", says="at most 1"),
]
VERDICTS = judge(TARGETS, OUTCOMES, "b")


def test_a_table_is_lined_up() -> None:
    assert markdown_table(("a", "long head"), [("wide cell", "b"), ("c", "d")]).splitlines() == [
        "| a         | long head |",
        "|-----------|-----------|",
        "| wide cell | b         |",
        "| c         | d         |",
    ]


def test_the_table_tells_median_spread_ratio_and_target() -> None:
    lines = as_markdown(OUTCOMES, VERDICTS).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:4]]

    assert cells[0] == [
        "a fast thing", "µs each", "2.50 (2.00–3.00)", "the peer", "250 (200–300)", "100", "≥ 120 ×", "MISSED",
    ]  # fmt: skip
    assert cells[1] == ["a lone thing", "µs each", "0.50", "", "", "", "≤ 1", "met"]
    assert lines[-1] == "- a fast thing: the peer was slow"


@pytest.mark.parametrize(
    ("value", "told"),
    [(0.0, "0.00"), (0.0123, "0.012"), (0.5, "0.50"), (12.345, "12.35"), (99.5, "99.50"), (123456.7, "123,457")],
)
def test_figures_are_short(value: float, told: str) -> None:
    assert short(value) == told


def test_the_csv_has_a_line_per_figure_and_the_target_beside_the_one_that_it_bounds() -> None:
    lines = list(csv.DictReader(io.StringIO(as_csv(OUTCOMES, VERDICTS))))

    assert [(line["row"], line["figure"]) for line in lines] == [
        ("fast", "ours"), ("fast", "other"), ("fast", "ratio"), ("alone", "ours"),
    ]  # fmt: skip
    assert [line["met"] for line in lines] == ["", "", "False", "True"]
    assert (lines[0]["median"], lines[0]["low"], lines[0]["high"], lines[0]["rounds"]) == ("2.5", "2.0", "3.0", "3")


def test_the_json_has_the_facts_and_the_value_of_each_round() -> None:
    told = json.loads(as_json({"bench": "b", "rounds": 3}, OUTCOMES, VERDICTS))

    assert told["bench"] == "b"
    fast, alone = told["rows"]
    assert fast["ours"]["values"] == [2.0, 3.0, 2.5]
    assert fast["target"] == {
        "figure": "ratio", "at_least": 120, "source": "page", "says": "at least 120×", "met": False,
    }  # fmt: skip
    assert alone["other"] is None
    assert alone["target"]["at_most"] == 1


def test_all_three_are_written_into_a_folder_that_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "results"

    paths = write_all(folder, "dispatch", {}, OUTCOMES, VERDICTS)

    assert [path.name for path in paths] == ["dispatch.json", "dispatch.csv", "dispatch.md"]
    assert folder.joinpath("dispatch.md").read_text() == as_markdown(OUTCOMES, VERDICTS) + "\n"
