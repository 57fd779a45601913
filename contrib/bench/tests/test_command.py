"""The command: options, what is printed and written, and the exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from penstock import ConfigError
from penstock_bench import BenchPlugin, Figure, Outcome, Row, Sample, Sizes, Target, command as command_of_bench
from penstock_bench.command import Options, report
from penstock_bench.machine import facts
from penstock_bench.peer_environment import PeerUnavailable
from penstock_bench.records import MICROSECONDS

FACTS = facts(bench="dispatch", rounds=1, shortened=True, peer=None, peer_cap=1.0)


def outcome(row: str, ratio: float | None) -> Outcome:
    return Outcome(
        row=row,
        title=row,
        unit=MICROSECONDS,
        ours=Figure((1.0,)),
        ratio=None if ratio is None else Figure((ratio,)),
    )


def wants(row: str, at_least: float) -> Target:
    return Target(bench="dispatch", row=row, figure="ratio", at_least=at_least, source="page", says="so much")


def invoke(*arguments: str) -> Result:
    cli = click.Group()
    BenchPlugin().penstock_cli(cli)
    return CliRunner().invoke(cli, ["bench", *arguments])


def rows_are(monkeypatch: pytest.MonkeyPatch, *rows: Row) -> None:
    monkeypatch.setattr(command_of_bench, "BENCHES", {"dispatch": lambda _: list(rows)})
    monkeypatch.setattr(command_of_bench, "load_targets", lambda: [wants("r", 2.0)])


def plain_row(name: str = "r") -> Row:
    return Row(name=name, title=name, ours=lambda _: Sample(1, 1.0))


# -- checking


def test_a_missed_target_ends_with_1_and_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = [outcome("slow", 5.0), outcome("fast", 500.0)]

    code = report("dispatch", FACTS, outcomes, [wants("slow", 6), wants("fast", 6)], Options(check=True))

    told = capsys.readouterr().err
    assert code == 1
    assert "missed: slow: ratio is 5, wanted ≥ 6 ×" in told
    assert "fast" not in told


def test_targets_that_are_all_met_end_with_0() -> None:
    assert report("dispatch", FACTS, [outcome("fast", 6.0)], [wants("fast", 6)], Options(check=True)) == 0


def test_a_missed_target_is_shown_and_nothing_more_unless_a_check_was_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert report("dispatch", FACTS, [outcome("slow", 5.0)], [wants("slow", 6)], Options()) == 0
    assert "MISSED" in capsys.readouterr().out


def test_what_could_not_be_compared_is_told_and_is_no_miss(capsys: pytest.CaptureFixture[str]) -> None:
    code = report("dispatch", FACTS, [outcome("lone", None)], [wants("lone", 6)], Options(check=True))

    assert code == 0
    assert "not checked" in capsys.readouterr().err


def test_with_only_some_rows_only_their_targets_count() -> None:
    options = Options(check=True, only=("fast",))

    assert report("dispatch", FACTS, [outcome("fast", 9.0)], [wants("fast", 6), wants("slow", 6)], options) == 0


# -- the command line


@pytest.mark.parametrize("name", ["dispatch", "tasks", "requests"])
def test_there_are_three_benches_with_the_same_options(name: str) -> None:
    told = invoke(name, "--help").output

    for option in ("--rounds", "--quick", "--check", "--out", "--without-peer", "--peer-cache", "--only"):
        assert option in told


def test_the_figures_are_printed_and_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rows_are(monkeypatch, plain_row())

    result = invoke("dispatch", "--rounds", "2", "--quick", "--without-peer", "--out", str(tmp_path))

    assert result.exit_code == 0
    assert "2 rounds, shortened" in result.stdout
    assert "| r " in result.stdout
    written = json.loads(tmp_path.joinpath("dispatch.json").read_text())
    assert (written["rounds"], written["shortened"], written["peer"]) == (2, True, None)
    assert written["rows"][0]["ours"]["values"] == [1e6, 1e6]


def test_a_row_can_be_chosen_by_how_its_name_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    rows_are(monkeypatch, plain_row("r"), plain_row("other"))

    told = invoke("dispatch", "--without-peer", "--rounds", "1", "--only", "oth").stdout

    assert "| other" in told
    assert "| r " not in told


def test_a_row_that_there_is_not_is_a_mistake_that_names_those_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    rows_are(monkeypatch, plain_row("r"))

    raised = invoke("dispatch", "--only", "nothing").exception

    assert isinstance(raised, ConfigError)
    assert "there are r" in str(raised)


def test_a_folder_that_cannot_be_written_to_is_a_mistake(tmp_path: Path) -> None:
    tmp_path.joinpath("file").write_text("")

    with pytest.raises(ConfigError, match="--out"):
        report("dispatch", FACTS, [outcome("r", 1.0)], [], Options(out=tmp_path / "file" / "folder"))


def test_a_peer_that_cannot_be_had_ends_with_3_and_says_what_can_be_done(
    monkeypatch: pytest.MonkeyPatch, tiny: Sizes, tmp_path: Path
) -> None:
    def not_there(*_: object) -> Path:
        raise PeerUnavailable("could not be installed: no network")

    monkeypatch.setattr(command_of_bench, "peer_python", not_there)

    result = invoke("dispatch", "--peer-cache", str(tmp_path))

    assert result.exit_code == 3
    assert "could not be installed: no network; --without-peer measures Penstock alone" in result.stderr
