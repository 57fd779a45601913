"""Limits as records and as tables: what is accepted, and how a mistake is reported."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from penstock import ConfigError, structure
from penstock.testing import Latency, ProviderLimits, Ramp


def read(text: str) -> ProviderLimits:
    limits: ProviderLimits = structure(tomllib.loads(text), ProviderLimits)
    return limits


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        structure(tomllib.loads(text), ProviderLimits, source="f.toml", path=("models", "m"))
    return [line.removeprefix("f.toml: ") for line in caught.value.problems]


def test_every_key_of_the_scenarios_is_understood() -> None:
    limits = read(
        """
        slots = 20
        queue = true
        rpm = 600
        burst = 20
        tpm = 600000
        tpm_burst = 20000
        latency = { mean = 1.5, sigma = 0.5 }
        refusal_latency = 0.05
        retry_after = "until-next"
        retry_after_form = "milliseconds"
        headers = true
        outage = [60, 660]
        error_rate = 0.1
        error_status = 503
        hang_share = 0.2
        """
    )
    assert limits == ProviderLimits(
        slots=20,
        queue=True,
        rpm=600,
        burst=20,
        tpm=600_000,
        tpm_burst=20_000,
        latency=Latency(1.5, 0.5),
        refusal_latency=0.05,
        retry_after="until-next",
        retry_after_form="milliseconds",
        headers=True,
        outage=(60, 660),
        error_rate=0.1,
        error_status=503,
        hang_share=0.2,
    )


@pytest.mark.parametrize(
    ("text", "schedule"),
    [
        ("schedule = [[0, 40], [120, 10]]", ((0, 40), (120, 10))),
        ("schedule = { from = 2, to = 32, over = 120 }", Ramp(2, 32, 120)),
        ('schedule = "2 to 32 linearly over 120 s"', Ramp(2, 32, 120)),
    ],
)
def test_a_schedule_is_steps_or_a_ramp(text: str, schedule: object) -> None:
    assert read(text).schedule == schedule


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('slots = "20"', 'models.m.slots: must be a whole number, not "20"'),
        ("slots = true", "models.m.slots: must be a whole number, not true"),
        ("slots = 1\nqueue = 1", "models.m.queue: must be true or false, not 1"),
        ("rpm = inf", "models.m.rpm: must be a number above 0, not inf"),
        ("error_rate = 1.5", "models.m.error_rate: must be a number from 0 to 1, not 1.5"),
        ("error_status = 404", "models.m.error_status: must be a status from 500 to 599, not 404"),
        (
            'retry_after = "soon"',
            'models.m.retry_after: must be a number or "until-next", not "soon"',
        ),
        ("latency = { mean = -1 }", "models.m.latency.mean: must be a number of at least 0, not -1"),
        ("latency = { avg = 1 }", "models.m.latency.avg: unknown key; known are mean, sigma"),
        ("latency = 1.0", "models.m.latency: must be a table, not 1.0"),
        ("outage = [5, 5]", "models.m.outage: must be [from second, to second], the first below the second, not [5.0"),
        ("outage = [5]", "models.m.outage: must be a list of exactly 2 (a number, a number), not one of 1"),
        ("schedule = []", "models.m.schedule: must be steps of [from second, slots], of which there is"),
        (
            "schedule = [[0, 1], [0, 2]]",
            "models.m.schedule: must name its seconds in rising order: 0 does not come",
        ),
        ("schedule = [[5, 1]]", "models.m.schedule: must begin at second 0, not at 5"),
        (
            "schedule = [[0, 1.5]]",
            "models.m.schedule[0][1]: must be a whole number, not 1.5",
        ),
        ("schedule = 3", "models.m.schedule: must be a list (each: a list of exactly 2 (a number, a whole number)) or"),
        ("schedule = [3]", "models.m.schedule[0]: must be a list of exactly 2 (a number, a whole number), not 3"),
        ('schedule = "up"', "models.m.schedule: must read like '2 to 32 linearly over 120 s', not 'up'"),
        ("schedule = {from = 1, to = 2}", "models.m.schedule.over: is missing; it must be a number"),
        (
            "schedule = {from = -1, to = 2, over = 1}",
            "models.m.schedule.from: must be a whole number from 0 on, not -1",
        ),
        (
            'retry_after_form = "days"',
            'models.m.retry_after_form: must be "seconds" or "whole-seconds" or "milli',
        ),
        ("slots = 1\nschedule = [[0, 2]]", "models.m.schedule: cannot stand beside slots"),
        ("burst = 3", "models.m.burst: means nothing without rpm"),
        ("tpm_burst = 3", "models.m.tpm_burst: means nothing without tpm"),
        ("queue = true", "models.m.queue: means nothing without slots or a schedule"),
        ("slot = 3", "models.m.slot: unknown key; did you mean 'slots'?"),
    ],
)
def test_a_mistake_is_reported_with_its_path(text: str, problem: str) -> None:
    (reported,) = problems(text)
    assert reported.startswith(problem)


def test_all_mistakes_are_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        structure({"slots": 0, "rpm": "x", "burst": -1, "zzz": 1, "outage": [5]}, ProviderLimits)
    assert [record.path for record in caught.value.records] == [("zzz",), ("rpm",), ("outage",), ("slots",), ("burst",)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"slots": 0}, "slots must be"),
        ({"slots": "1"}, "slots must be"),
        ({"rpm": -1.0}, "rpm must be"),
        ({"retry_after": -1.0}, "retry_after must be"),
        ({"outage": (5, 5)}, "outage must be"),
        ({"slots": 1, "schedule": ((0, 1),)}, "schedule cannot stand beside slots"),
        ({"latency": 1.0}, "latency must be a Latency"),
        ({"schedule": [(0, 1)]}, "schedule must be steps"),
    ],
)
def test_the_record_itself_holds_no_nonsense(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ProviderLimits(**fields)


@pytest.mark.parametrize(("rpm", "burst"), [(600.0, 10), (30.0, 1)])
def test_without_a_stated_burst_one_seconds_worth_may_come_at_once(rpm: float, burst: int) -> None:
    assert ProviderLimits(rpm=rpm).request_burst == burst
    assert ProviderLimits(tpm=rpm).token_burst == burst
