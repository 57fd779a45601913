"""What a client is told: the form of its dialect, why, and when to come again."""

from __future__ import annotations

import json
import re

import pytest

from penstock_gateway import Refusal
from penstock_gateway.admission import refusal_of
from penstock_gateway.gate import NotAdmitted
from penstock_gateway.metrics import Metrics
from penstock_gateway.timing import seconds_left


@pytest.mark.parametrize(
    ("error", "status", "code", "seconds"),
    [
        (NotAdmitted("queue_timeout", "why", None, "group a"), 429, "key_limit", 7),
        (NotAdmitted("no_capacity", "why", 30.2, "group a"), 429, "key_limit", 31),
        (NotAdmitted("queue_timeout", "why"), 503, "no_capacity", 7),
        (NotAdmitted("cooldown", "why", 60.0), 503, "no_capacity", 60),
        (NotAdmitted("queue_timeout", "why", 0.0), 503, "no_capacity", 1),
        (NotAdmitted("deadline", "why"), 504, "deadline", None),
        (NotAdmitted("never_fits", "why"), 400, "never_fits", None),
        (NotAdmitted("shutdown", "why"), 503, "shutting_down", 1),
        (NotAdmitted("hard_policy_denial", "why", 10.0), 503, "provider_unavailable", 10),
    ],
)
def test_a_refusal_of_the_gate_has_a_status_and_says_when_to_come_again(
    error: NotAdmitted, status: int, code: str, seconds: int | None
) -> None:
    refusal = refusal_of(error, waited=5.0, usual_wait=6.5)
    assert (refusal.status, refusal.code, refusal.seconds) == (status, code, seconds)


def test_an_error_has_the_form_of_its_dialect() -> None:
    refusal = Refusal(429, "key_limit", "the limits of the key leave no room", 2.5, waited=1.25)
    own = {"code": "key_limit", "waited_seconds": 1.25, "retry_after_seconds": 3}
    assert json.loads(refusal.body("openai")) == {
        "error": {
            "message": refusal.message,
            "type": "rate_limit_error",
            "param": None,
            "code": "key_limit",
            "penstock": own,
        }
    }
    assert json.loads(refusal.body("anthropic")) == {
        "type": "error",
        "error": {"type": "rate_limit_error", "message": refusal.message, "penstock": own},
    }


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({b"x-request-timeout": "2.5"}, 2.5),
        ({b"x-penstock-deadline": "1010"}, 10.0),
        ({b"x-penstock-deadline": "990"}, 0.0),
        ({b"x-request-timeout": "99", b"x-penstock-deadline": "1010"}, 10.0),
        ({b"x-request-timeout": "1e9"}, 86_400.0),
    ],
)
def test_a_client_may_say_how_long_it_waits(headers: dict[bytes, str], seconds: float | None) -> None:
    assert seconds_left(headers.get, 1000.0) == seconds


@pytest.mark.parametrize("text", ["", "soon", "nan", "inf", "1_0", "1s"])
def test_a_time_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        seconds_left({b"x-request-timeout": text}.get, 0.0)
    assert caught.value.status == 400


def test_the_page_of_metrics_is_one_that_prometheus_reads() -> None:
    metrics = Metrics()
    metrics.calls["a", "acme/small", 200] += 2
    metrics.refused["a", "key_limit"] += 1
    metrics.tokens["a", "acme/small", "in"] += 7
    metrics.cost["a", "acme/small"] += 0.25
    metrics.waits["a"].add(0.2)
    metrics.waits["a"].add(1000.0)
    page = metrics.text({"penstock_waiting": {(("model", 'a"b\\c\nd'),): 3}})
    sample = re.compile(r'[a-z_0-9]+(\{[a-z_]+="([^"\\\n]|\\.)*"(,[a-z_]+="([^"\\\n]|\\.)*")*\})? [0-9.e+-]+')
    lines = page.splitlines()
    assert all(line.startswith("# ") or sample.fullmatch(line) for line in lines)
    assert 'penstock_calls_total{key="a",model="acme/small",status="200"} 2' in lines
    assert 'penstock_cost_total{key="a",model="acme/small"} 0.25' in lines
    assert 'penstock_wait_seconds_bucket{key="a",le="0.25"} 1' in lines
    assert 'penstock_wait_seconds_bucket{key="a",le="+Inf"} 2' in lines
    assert 'penstock_waiting{model="a\\"b\\\\c\\nd"} 3' in lines
