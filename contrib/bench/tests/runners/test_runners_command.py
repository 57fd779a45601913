"""The command of the benches of runners: which rows, what is printed, and the exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock import ConfigError
from penstock_bench.runners import command
from penstock_bench.runners.rows import ROWS, Found, RunnerRow
from penstock_bench.runners.work import compute, noted, turns_in


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Two rows, of which one is not what was promised; and the seconds that each was given."""
    given: list[float] = []

    def row(name: str, *, met: bool) -> RunnerRow:
        def measure(seconds: float) -> Found:
            given.append(seconds)
            return Found("so much", "more", met)

        return RunnerRow(name, f"the row {name}", measure)

    monkeypatch.setattr(command, "ROWS", (row("good", met=True), row("bad", met=False)))
    return given


def test_a_promise_that_is_not_kept_is_named_and_ends_a_check_with_1(
    rows: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.runners_command(command.RunnerOptions(seconds=3)) == 0
    assert command.runners_command(command.RunnerOptions(seconds=3, check=True)) == 1
    assert command.runners_command(command.RunnerOptions(seconds=3, check=True, only=("good",))) == 0
    said = capsys.readouterr()
    assert "missed: bad: so much, wanted more" in said.err
    assert "| the row bad  | so much | more   | MISSED |" in said.out
    assert rows == [3] * 5


def test_a_row_that_is_none_is_told(rows: list[float]) -> None:
    with pytest.raises(ConfigError, match="no row begins with x; there are good, bad"):
        command.runners_command(command.RunnerOptions(only=("x",)))


def test_there_is_a_row_for_each_promise() -> None:
    assert [row.name for row in ROWS] == ["cores", "latency", "killed", "interrupted"]


def test_a_task_is_noted_when_it_begins(tmp_path: Path) -> None:
    path = tmp_path / "begun"
    assert [noted(str(path), number, 1) for number in (3, 5)] == [3, 5]
    assert path.read_text(encoding="ascii") == "3\n5\n"
    assert turns_in(0.001) >= 1
    assert compute(0) == 0
