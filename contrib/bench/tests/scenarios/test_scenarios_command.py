"""`penstock bench scenarios`: what is run, what is printed, and the exit codes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from click.testing import Result

from penstock import ConfigError
from penstock.testing import Bound, ProviderLimits, Scenario, ScenarioResult
from penstock_bench.scenarios.command import seeds_from
from penstock_bench.scenarios.outcomes import ScenarioOutcome
from penstock_bench.scenarios.tables import scenarios_markdown

EASY = """
[defaults]
latency = { mean = 1.0, sigma = 0.2 }
cap = 4
calls = 20

[easy]
provider = { slots = 4 }
ideal = 5.0
must = { goodput = 0.5, refused = 0.0 }

[hard]
provider = { slots = 2, retry_after = 1.0 }
ideal = 10.0
must = { goodput = 0.1, refused = 0.0 }
"""


Invoke = Callable[..., Result]


@pytest.fixture
def invoke(bench: Invoke) -> Invoke:
    return partial(bench, "scenarios")


@pytest.fixture
def mine(tmp_path: Path) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(EASY, encoding="utf-8")
    return str(path)


# -- the command line


def test_scenarios_of_a_file_are_run_and_the_worst_seed_is_shown(invoke: Invoke, mine: str) -> None:
    result = invoke("--file", mine, "--seeds", "0-1", "--jobs", "1")

    assert result.exit_code == 0
    assert "seeds 0-1, the worst of them counts; virtual time" in result.stdout
    lines = [line.split("|") for line in result.stdout.splitlines() if "| easy" in line]
    assert [cell.strip() for cell in lines[-1]][1:4] == ["easy", "refused", "0"]
    assert result.stdout.count("MISSED") == 1


def test_a_check_ends_with_1_and_names_scenario_figure_and_seed(invoke: Invoke, mine: str) -> None:
    result = invoke("--file", mine, "--seeds", "0", "--check", "--jobs", "1")

    missed = [line for line in result.stderr.splitlines() if line.startswith("missed")]
    assert result.exit_code == 1
    assert len(missed) == 1
    assert missed[0].startswith("missed: hard: refused is 0.")
    assert "with seed 0, wanted ≤ 0, missed by 0." in missed[0]


def test_a_check_of_what_is_met_ends_with_0(invoke: Invoke, mine: str) -> None:
    assert invoke("--file", mine, "--seeds", "0", "--scenario", "easy", "--check", "--jobs", "1").exit_code == 0


def test_runs_in_several_processes_give_the_same_figures(invoke: Invoke, mine: str) -> None:
    one = invoke("--file", mine, "--seeds", "0-1", "--scenario", "hard", "--jobs", "1")
    two = invoke("--file", mine, "--seeds", "0-1", "--scenario", "hard", "--jobs", "2")

    assert one.stdout == two.stdout
    assert two.exit_code == 0


def test_a_scenario_whose_stack_is_not_installed_is_reported_loudly_and_fails_a_check(
    invoke: Invoke, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        '[s]\nprovider = { slots = 4 }\nstack = ["absent-plugin"]\nmust = { refused = 0.1 }\n', encoding="utf-8"
    )

    result = invoke("--file", str(path), "--check")

    assert result.exit_code == 1
    assert "NOT RUN: s: not run, since its stack names absent-plugin: not installed" in result.stderr
    assert "NOT RUN" in result.stdout
    assert invoke("--file", str(path)).exit_code == 0


def test_everything_is_written_for_programs(invoke: Invoke, mine: str, tmp_path: Path) -> None:
    folder = tmp_path / "results"

    result = invoke(
        "--file",
        mine,
        "--seeds",
        "0-1",
        "--scenario",
        "hard",
        "--scenario",
        "easy",
        "--out",
        str(folder),
        "--jobs",
        "1",
    )

    assert result.exit_code == 0
    written = json.loads(folder.joinpath("scenarios.json").read_text(encoding="utf-8"))
    assert (written["file"], written["seeds"]) == ("mine.toml", [0, 1])
    (easy, hard) = written["scenarios"]
    assert (easy["scenario"], [run["seed"] for run in easy["seeds"]]) == ("easy", [0, 1])
    assert [(must["figure"], must["met"]) for must in hard["must"]] == [("goodput", True), ("refused", False)]
    rows = list(csv.DictReader(folder.joinpath("scenarios.csv").read_text(encoding="utf-8").splitlines()))
    refused = [row for row in rows if (row["scenario"], row["figure"]) == ("hard", "refused")]
    assert [(row["seed"], row["must"], row["met"]) for row in refused] == [("0", "≤ 0", "False"), ("1", "≤ 0", "False")]
    assert folder.joinpath("scenarios.md").read_text(encoding="utf-8").startswith("| scenario")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--scenario", "hand"), "--scenario: there is no scenario 'hand'; did you mean 'hard'?"),
        (("--scenario", "zzz"), "--scenario: there is no scenario 'zzz'; there are easy, hard"),
        (("--seeds", "9-0"), "--seeds: must read like 0-9 or 3,5,300-319, not '9-0'"),
    ],
)
def test_a_wrong_option_is_answered_with_what_would_be_right(
    invoke: Invoke, mine: str, arguments: tuple[str, ...], problem: str
) -> None:
    result = invoke("--file", mine, *arguments)

    assert isinstance(result.exception, ConfigError)
    assert str(result.exception) == problem


def test_a_wrong_file_is_answered_with_its_keys(invoke: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[s]\nprovider = { slot = 4 }\n", encoding="utf-8")

    result = invoke("--file", str(path))

    assert isinstance(result.exception, ConfigError)
    assert str(result.exception) == f"{path}: s.provider.slot: unknown key; did you mean 'slots'?"


def test_seeds_are_ranges_and_single_ones_each_once() -> None:
    assert seeds_from("0-2, 7,1,300-301") == [0, 1, 2, 7, 300, 301]


# -- what is printed


def outcome_of(*figures: dict[str, float]) -> ScenarioOutcome:
    scenario = Scenario(
        name="s",
        providers={"provider": ProviderLimits(slots=1)},
        caps={"provider": 1},
        calls=1,
        must=(Bound("goodput", least=0.9), Bound("in_flight", 15.0, 24.0)),
    )
    return ScenarioOutcome(scenario, [ScenarioResult("s", seed, one) for seed, one in enumerate(figures)])


def test_the_worst_seed_counts_for_each_bound() -> None:
    goodput, in_flight = outcome_of({"goodput": 0.99, "in_flight": 30.0}, {"goodput": 0.91, "in_flight": 20.0}).verdicts

    assert (goodput.seed, goodput.value, goodput.met) == (1, 0.91, True)
    assert (in_flight.seed, in_flight.value, in_flight.met) == (0, 30.0, False)


def test_the_competitor_stands_beside_us_where_it_was_asked() -> None:
    ours = outcome_of({"goodput": 0.99, "in_flight": 20.0})
    theirs = [ScenarioResult("s", seed, {"goodput": goodput}) for seed, goodput in enumerate((0.8, 0.7))]
    both = ScenarioOutcome(ours.scenario, ours.results, competitor=theirs)

    assert "peer" not in scenarios_markdown([ours])
    lines = [[cell.strip() for cell in line.split("|")] for line in scenarios_markdown([both]).splitlines()]
    assert [line for line in lines if line[1:3] == ["s, the peer", "0.7"]]
    assert [line[-2] for line in lines if line[2:3] == ["goodput"] and line[1] == "s"] == ["0.7"]


def test_what_one_seed_could_not_measure_is_not_met() -> None:
    outcome = outcome_of({"goodput": 0.99, "in_flight": 20.0}, {"in_flight": 20.0})

    assert not outcome.verdicts[0].met
    assert outcome.verdicts[0].words == "s: goodput was not measured with seed 1, wanted ≥ 0.9"
    assert "NOT MEASURED" in scenarios_markdown([outcome])
