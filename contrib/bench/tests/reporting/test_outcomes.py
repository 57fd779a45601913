"""The results as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from penstock import ConfigError
from penstock_bench import Figure, Outcome, Target, as_markdown, judge
from penstock_bench.measuring.records import MICROSECONDS
from penstock_bench.reporting.outcomes import as_csv, as_json, short
from penstock_bench.reporting.tables import markdown_table, publish

OUTCOMES = [
    Outcome(
        row="fast",
        title="a fast thing",
        unit=MICROSECONDS,
        ours=Figure((2.0, 3.0, 2.5)),
        against="the other",
        other=Figure((200.0, 300.0, 250.0)),
        ratio=Figure((100.0, 100.0, 100.0)),
        note="the other was slow",
    ),
    Outcome(row="alone", title="a lone thing", unit=MICROSECONDS, ours=Figure((0.5,))),
]
TARGETS = [
    Target(bench="b", row="fast", figure="ratio", at_least=120, source="page", says="at least 120×"),
    Target(bench="b", row="alone", figure="ours", at_most=1, source="page", says="at most 1"),
]
VERDICTS = judge(TARGETS, OUTCOMES, "b")


def test_a_table_has_columns_of_one_width() -> None:
    assert markdown_table(("a", "long head"), [("wide cell", "b"), ("c", "d")]).splitlines() == [
        "| a         | long head |",
        "|-----------|-----------|",
        "| wide cell | b         |",
        "| c         | d         |",
    ]


def test_the_table_has_median_spread_ratio_and_target() -> None:
    lines = as_markdown(OUTCOMES, VERDICTS).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:4]]

    assert cells[0] == [
        "a fast thing", "µs each", "2.50 (2.00–3.00)", "the other", "250 (200–300)", "100", "≥ 120 ×", "MISSED",
    ]  # fmt: skip
    assert cells[1] == ["a lone thing", "µs each", "0.50", "", "", "", "≤ 1", "met"]
    assert lines[-1] == "- a fast thing: the other was slow"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0.00"), (0.0123, "0.012"), (0.5, "0.50"), (12.345, "12.35"), (99.5, "99.50"), (123456.7, "123,457")],
)
def test_figures_are_short(value: float, shown: str) -> None:
    assert short(value) == shown


def test_the_csv_has_a_line_per_figure_and_the_target_beside_the_one_that_it_bounds() -> None:
    lines = list(csv.DictReader(io.StringIO(as_csv(OUTCOMES, VERDICTS))))

    assert [(line["row"], line["figure"]) for line in lines] == [
        ("fast", "ours"), ("fast", "other"), ("fast", "ratio"), ("alone", "ours"),
    ]  # fmt: skip
    assert [line["met"] for line in lines] == ["", "", "False", "True"]
    assert (lines[0]["median"], lines[0]["low"], lines[0]["high"], lines[0]["rounds"]) == ("2.5", "2.0", "3.0", "3")


def test_the_json_has_the_facts_and_the_value_of_each_round() -> None:
    written = json.loads(as_json({"bench": "b", "rounds": 3}, OUTCOMES, VERDICTS))

    assert written["bench"] == "b"
    fast, alone = written["rows"]
    assert fast["ours"]["values"] == [2.0, 3.0, 2.5]
    assert fast["target"] == {
        "figure": "ratio", "at_least": 120, "source": "page", "says": "at least 120×", "met": False,
    }  # fmt: skip
    assert alone["other"] is None
    assert alone["target"]["at_most"] == 1


def test_the_table_is_printed_and_all_three_are_written_into_a_folder_that_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new" / "results"

    publish("dispatch", "so many rounds", "| a |", json="{}", csv="a,b", out=folder)

    assert capsys.readouterr().out == "so many rounds\n\n| a |\n"

    written = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    assert written == {"dispatch.json": "{}", "dispatch.csv": "a,b", "dispatch.md": "| a |\n"}


def test_a_folder_that_cannot_be_written_to_is_a_mistake_of_the_option(tmp_path: Path) -> None:
    tmp_path.joinpath("file").write_text("", encoding="utf-8")

    with pytest.raises(ConfigError, match="--out: "):
        publish("dispatch", "", "", json="", csv="", out=tmp_path / "file" / "folder")
