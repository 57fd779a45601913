from __future__ import annotations

import pytest

from penstock_batch.answers import failure_kind
from penstock_batch.giving_up import GiveUpRules, ModelHealth

RULES = GiveUpRules(failures=3, start=10.0, after=100.0, rate_limited=1000.0)


def test_a_key_that_is_refused_at_once_is_not_tried_again() -> None:
    health = ModelHealth(RULES)
    assert health.failed("refused", "HTTP 401", 0.0) == "HTTP 401"
    assert health.given_up == "HTTP 401"


def test_a_gateway_that_errs_once_does_not_end_a_run_that_works() -> None:
    health = ModelHealth(RULES)
    health.succeeded()
    assert health.failed("refused", "HTTP 401", 0.0) is None
    health.succeeded()
    for moment in (1.0, 2.0):
        assert health.failed("refused", "HTTP 401", moment) is None
    assert health.failed("refused", "HTTP 401", 3.0) == "HTTP 401"


def test_a_blip_at_the_start_is_no_dead_provider() -> None:
    health = ModelHealth(RULES)
    for _ in range(20):
        assert health.failed("down", "HTTP 500", 0.0) is None
    assert health.failed("down", "HTTP 500", 9.9) is None
    assert health.failed("down", "HTTP 500", 10.0) == "HTTP 500"


def test_a_provider_that_worked_gets_longer() -> None:
    health = ModelHealth(RULES)
    health.succeeded()
    for moment in range(100):
        assert health.failed("down", "HTTP 500", float(moment)) is None
    assert health.failed("down", "HTTP 500", 100.0) == "HTTP 500"


def test_few_failures_over_a_long_time_are_not_enough() -> None:
    health = ModelHealth(RULES)
    assert health.failed("down", "HTTP 500", 0.0) is None
    assert health.failed("down", "HTTP 500", 500.0) is None


def test_a_success_begins_everything_again() -> None:
    health = ModelHealth(RULES)
    for moment in (0.0, 1.0):
        health.failed("down", "HTTP 500", moment)
    health.failed("limited", "HTTP 429", 1.0)
    health.succeeded()
    for moment in (999.0, 1000.0, 1001.0):
        assert health.failed("down", "HTTP 500", moment) is None
    assert health.failed("limited", "HTTP 429", 1001.0) is None


def test_calls_that_do_not_fit_end_only_a_model_that_never_answered() -> None:
    fresh, proven = ModelHealth(RULES), ModelHealth(RULES)
    proven.succeeded()
    for _ in range(2):
        assert fresh.failed("unfit", "HTTP 400", 0.0) is None
    assert fresh.failed("unfit", "HTTP 400", 0.0) == "HTTP 400"
    for _ in range(50):
        assert proven.failed("unfit", "HTTP 400", 0.0) is None


def test_rate_limits_end_a_model_only_after_a_very_long_time() -> None:
    health = ModelHealth(RULES)
    for moment in range(0, 1000, 10):
        assert health.failed("limited", "HTTP 429", float(moment)) is None
    assert health.failed("limited", "HTTP 429", 1000.0) == "HTTP 429"


def test_the_first_reason_stays() -> None:
    health = ModelHealth(RULES)
    health.failed("refused", "HTTP 401", 0.0)
    assert health.failed("down", "HTTP 500", 1.0) == "HTTP 401"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b"", "refused"),
        (403, b"<html>", "refused"),
        (404, b"{}", "refused"),
        (429, b'{"error": {"code": "rate_limit_exceeded"}}', "limited"),
        (429, b'{"error": {"code": "insufficient_quota"}}', "refused"),
        (400, b"[]", "unfit"),
        (422, b'{"error": "no"}', "unfit"),
        (408, b"", "down"),
        (500, b"", "down"),
        (503, b"", "down"),
        (529, b"", "limited"),
    ],
)
def test_a_status_says_what_it_means_for_the_calls_to_come(status: int, body: bytes, kind: str) -> None:
    assert failure_kind(status, body, {}) == kind


def test_a_server_that_says_when_to_come_back_is_not_down() -> None:
    assert failure_kind(503, b"", {"retry-after": "3"}) == "limited"
