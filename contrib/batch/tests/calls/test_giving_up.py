from __future__ import annotations

import pytest

from penstock import RequestReleaseOutcome, classify
from penstock_batch.calls.answers import failure_kind
from penstock_batch.calls.giving_up import GiveUpRules, ModelHealth
from penstock_dialects import find_dialect
from penstock_dialects.testing import read_answer


def outcome_of(status: int, body: bytes, headers: dict[str, str] | None = None) -> RequestReleaseOutcome:
    return classify(read_answer(find_dialect("openai"), status, headers or {}, body).facts(), None)


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
    for row in range(50):
        assert proven.failed("unfit", f"HTTP 400: row {row}", 0.0) is None


def test_as_many_refusals_of_the_same_words_in_a_row_end_a_model_that_has_answered() -> None:
    health = ModelHealth(RULES)
    for _ in range(5):
        health.succeeded()
        assert health.failed("unfit", "HTTP 400: your plan", 0.0) is None
    assert health.failed("unfit", "HTTP 400: your plan", 0.0) is None
    assert health.failed("unfit", "HTTP 400: your plan", 0.0) == "HTTP 400: your plan"


def test_an_account_that_is_not_served_ends_a_model_at_once_though_it_has_answered() -> None:
    health = ModelHealth(RULES)
    health.succeeded()
    assert health.failed("account", "HTTP 402", 0.0) == "HTTP 402"


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
        (403, b'{"error": {"code": "guarded", "message": "not this one"}}', "refused"),
        (404, b"{}", "refused"),
        (429, b'{"error": {"code": "rate_limit_exceeded"}}', "limited"),
        (429, b'{"error": {"code": "insufficient_quota"}}', "account"),
        (401, b'{"error": {"code": "invalid_api_key"}}', "account"),
        (402, b"", "account"),
        (400, b'{"error": {"message": "Your credit balance is too low", "type": "invalid_request_error"}}', "account"),
        (429, b'{"error": {"message": "Limit 10, Requested 11"}}', "unfit"),
        (400, b'{"error": {"code": "context_length_exceeded"}}', "unfit"),
        (400, b"[]", "unfit"),
        (422, b'{"error": "no"}', "unfit"),
        (408, b"", "down"),
        (500, b"", "down"),
        (503, b"", "down"),
        (529, b"", "limited"),
    ],
)
def test_a_status_says_what_it_means_for_the_calls_to_come(status: int, body: bytes, kind: str) -> None:
    assert failure_kind(outcome_of(status, body)) == kind


def test_a_server_that_says_when_to_come_back_is_not_down() -> None:
    assert failure_kind(outcome_of(503, b"", {"retry-after": "3"})) == "limited"
