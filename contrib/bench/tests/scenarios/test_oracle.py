"""The oracle: what its calls take where that can be reckoned by hand, and where it is of no use."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from penstock.testing import Latency, ProviderLimits, Scenario, load_scenarios
from penstock_bench.scenarios.oracle import is_for_oracle, oracle_result

ONE_SECOND = Latency(mean=1.0, sigma=0.0)
SLOTS = ProviderLimits(slots=2, retry_after=1.0, latency=ONE_SECOND, refusal_latency=0.05)
RATE = ProviderLimits(rpm=60, burst=2, latency=ONE_SECOND)


def scenario(limits: ProviderLimits, calls: int = 6, **more: Any) -> Scenario:
    return Scenario(name="s", providers={"p": limits}, caps={"p": 64}, calls=calls, ideal=1.0, **more)


def seconds(scenario: Scenario) -> float:
    return 1 / oracle_result(scenario, 0).figures["goodput"]


def test_it_is_refused_once_and_obeys() -> None:
    figures = oracle_result(scenario(SLOTS), 0).figures
    # two go at once, and a third, which hears at 0.05 of the second that it is to wait; then two and two
    assert 1 / figures["goodput"] == pytest.approx(0.05 + 1.0 + 1.0 + 1.0)
    assert figures["refusals"] == 1


def test_who_may_probe_early_or_is_named_no_time_waits_for_nothing_but_a_place() -> None:
    assert seconds(scenario(SLOTS, plugins={"cooldown": {"early_probe": "always"}})) == pytest.approx(3.0)
    unnamed = ProviderLimits(slots=2, latency=ONE_SECOND, refusal_latency=0.05)
    assert seconds(scenario(unnamed)) == pytest.approx(3.0)


def test_a_bucket_is_emptied_and_then_followed_without_a_refusal() -> None:
    figures = oracle_result(scenario(RATE), 0).figures
    assert 1 / figures["goodput"] == pytest.approx(4.0 + 1.0), "two at once, then one a second; the last is answered"
    assert figures["refusals"] == 0


def test_it_has_no_more_places_than_its_cap() -> None:
    held = Scenario(name="s", providers={"p": SLOTS}, caps={"p": 1}, calls=6, ideal=1.0)
    assert seconds(held) == pytest.approx(6.0)
    assert oracle_result(held, 0).figures["refusals"] == 0


def test_places_that_open_later_are_used_at_that_moment() -> None:
    limits = ProviderLimits(schedule=((0.0, 1), (2.5, 4)), latency=ONE_SECOND, refusal_latency=0.05)
    assert seconds(scenario(limits, calls=6)) == pytest.approx(3.5)


def test_it_takes_the_quiet_start_with_the_others(tmp_path: Path) -> None:
    path = tmp_path / "quiet.toml"
    path.write_text(
        "[s]\nprovider = { slots = 4, retry_after = 1.0, refusal_latency = 0.05 }\n"
        "latency = { mean = 1.0, sigma = 0 }\n"
        "quiet = { calls = 3, every = 2.0 }\ncap = 64\ncalls = 8\nideal = 1.0\nmust = { goodput = 0.1 }\n",
        encoding="utf-8",
    )
    assert seconds(load_scenarios(path)["s"]) == pytest.approx(0.05 + 1.0 + 1.0)


@pytest.mark.parametrize(
    "what",
    [
        {"outage": (1.0, 2.0)},
        {"hang_share": 0.1},
        {"error_rate": 0.1},
        {"queue": True},
    ],
    ids=lambda what: next(iter(what)),
)
def test_where_more_than_limits_stands_in_the_way_it_says_nothing(what: dict[str, Any]) -> None:
    assert is_for_oracle(scenario(SLOTS))
    assert not is_for_oracle(scenario(ProviderLimits(slots=2, **what)))


def test_tenants_several_providers_and_calls_that_can_never_pass_are_not_for_it() -> None:
    known = load_scenarios()
    for name in ("three-tenants", "one-dead-of-two", "one-too-large"):
        assert not is_for_oracle(known[name])


def test_it_stands_beside_us_where_it_was_asked_and_can_say_something(
    bench: Callable[..., Result], tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        "[defaults]\nlatency = { mean = 1.0, sigma = 0.0 }\ncap = 4\ncalls = 8\n"
        "[known]\nprovider = { slots = 2 }\nideal = 4.0\nmust = { goodput = 0.1 }\n"
        "[dead]\nprovider = { slots = 2, outage = [1, 2] }\nideal = 4.0\nmust = { goodput = 0.1 }\n",
        encoding="utf-8",
    )
    arguments = ("scenarios", "--file", str(path), "--seeds", "0", "--jobs", "1")

    alone = bench(*arguments)
    beside = bench(*arguments, "--with-oracle", "--out", str(tmp_path / "out"))

    assert "oracle" not in alone.stdout
    lines = [[cell.strip() for cell in line.split("|")] for line in beside.stdout.splitlines()]
    shown = {line[1]: line[-2] for line in lines if len(line) > 9 and line[2] == "goodput"}
    assert shown == {"known": "1", "dead": ""}
    written = json.loads((tmp_path / "out" / "scenarios.json").read_text(encoding="utf-8"))
    assert [len(one["oracle"]) for one in written["scenarios"]] == [1, 0]
    rows = list(csv.DictReader((tmp_path / "out" / "scenarios.csv").read_text(encoding="utf-8").splitlines()))
    assert {row["scenario"] for row in rows if row["who"] == "oracle"} == {"known"}
