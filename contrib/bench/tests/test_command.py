"""The command of the benches of rows: options, what is printed and written, and the exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from penstock import ConfigError
from penstock_bench import Outcome, Row, Sample, Target
from penstock_bench.command import Options, measure_rows, report
from penstock_bench.measuring.machine import facts

FACTS = facts(bench="dispatch", rounds=1, shortened=True, competitor=None, competitor_cap=1.0)

Make = Callable[..., Outcome]


def wants(row: str, at_least: float) -> Target:
    return Target(bench="dispatch", row=row, figure="ratio", at_least=at_least, source="page", says="so much")


def plain_row(name: str = "r") -> Row:
    return Row(name=name, title=name, ours=lambda _: Sample(1, 1.0))


def measured(options: Options, *rows: Row) -> int:
    return measure_rows("dispatch", rows, [], options, 1.0)


# -- checking


def test_a_missed_target_ends_with_1_and_is_named(outcome: Make, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = [outcome("slow", ratio=(5.0,)), outcome("fast", ratio=(500.0,))]

    code = report("dispatch", FACTS, outcomes, [wants("slow", 6), wants("fast", 6)], Options(check=True))

    said = capsys.readouterr().err
    assert code == 1
    assert "missed: slow: ratio is 5, wanted ≥ 6 ×" in said
    assert "fast" not in said


def test_targets_that_are_all_met_end_with_0(outcome: Make) -> None:
    assert report("dispatch", FACTS, [outcome("fast", ratio=(6.0,))], [wants("fast", 6)], Options(check=True)) == 0


def test_a_missed_target_is_shown_and_nothing_more_unless_a_check_was_asked_for(
    outcome: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report("dispatch", FACTS, [outcome("slow", ratio=(5.0,))], [wants("slow", 6)], Options()) == 0
    assert "MISSED" in capsys.readouterr().out


def test_what_could_not_be_compared_is_said_and_is_no_miss(outcome: Make, capsys: pytest.CaptureFixture[str]) -> None:
    code = report("dispatch", FACTS, [outcome("lone")], [wants("lone", 6)], Options(check=True))

    assert code == 0
    assert "not checked" in capsys.readouterr().err


def test_with_only_some_rows_only_their_targets_count(outcome: Make) -> None:
    options = Options(check=True, only=("fast",))
    targets = [wants("fast", 6), wants("slow", 6)]

    assert report("dispatch", FACTS, [outcome("fast", ratio=(9.0,))], targets, options) == 0


# -- the command line


@pytest.mark.parametrize("name", ["dispatch", "tasks", "requests"])
def test_there_are_three_benches_with_the_same_options(name: str, bench: Callable[..., Result]) -> None:
    usage = bench(name, "--help").output

    for option in ("--rounds", "--quick", "--check", "--out", "--without-peer", "--peer-cache", "--only"):
        assert option in usage


def test_the_options_of_the_command_line_choose_what_is_measured_and_written(
    bench: Callable[..., Result], tmp_path: Path
) -> None:
    result = bench(
        "dispatch", "--rounds", "2", "--quick", "--without-peer", "--only", "all-fits-1", "--out", str(tmp_path)
    )

    assert result.exit_code == 0
    assert "2 rounds, shortened" in result.stdout
    written = json.loads(tmp_path.joinpath("dispatch.json").read_text(encoding="utf-8"))
    assert (written["rounds"], written["shortened"], written["peer"]) == (2, True, None)
    (row,) = written["rows"]
    assert row["row"] == "all-fits-1"
    assert len(row["ours"]["values"]) == 2


# -- what is measured


def test_the_figures_are_printed_and_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert measured(Options(rounds=2, out=tmp_path), plain_row()) == 0

    assert "| r " in capsys.readouterr().out
    written = json.loads(tmp_path.joinpath("dispatch.json").read_text(encoding="utf-8"))
    assert written["rows"][0]["ours"]["values"] == [1e6, 1e6]


def test_a_row_can_be_chosen_by_how_its_name_begins(capsys: pytest.CaptureFixture[str]) -> None:
    measured(Options(rounds=1, only=("oth",)), plain_row("r"), plain_row("other"))

    table = capsys.readouterr().out
    assert "| other" in table
    assert "| r " not in table


def test_a_row_that_there_is_not_is_a_mistake_that_names_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match="--only: no row begins with nothing; there are r"):
        measured(Options(only=("nothing",)), plain_row("r"))


def test_a_competitor_that_cannot_be_had_ends_with_3_and_says_what_can_be_done(
    bench: Callable[..., Result], tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    cache.write_text("no folder", encoding="utf-8")

    result = bench("dispatch", "--peer-cache", str(cache / "in a file"))

    assert result.exit_code == 3
    assert "could not be installed" in result.stderr
    assert result.stderr.endswith("; --without-peer measures Penstock alone\n")
