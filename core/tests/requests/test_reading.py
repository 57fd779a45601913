"""What the core itself reads in an answer: refusals for good, what a limit was about, errors inside a good status."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from penstock import (
    OUTCOME_KINDS,
    ConfigError,
    Hints,
    RequestReleaseOutcome,
    ResponseFacts,
    Verdict,
    classify,
    error_fields,
)


def outcome_of(status: int, error: Any = None, **facts: Any) -> RequestReleaseOutcome:
    body = None if error is None else json.dumps({"error": error})
    return classify(ResponseFacts(status=status, body=body, **facts), None)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, {"type": "insufficient_quota", "code": "credit_balance_exhausted"}),
        (429, {"type": "insufficient_quota"}),
        (401, {"type": "invalid_request_error", "code": "invalid_api_key"}),
        (404, {"type": "invalid_request_error", "code": "model_not_found"}),
        (402, None),
        (403, None),
    ],
)
def test_a_refusal_of_the_account_is_for_good(status: int, error: Any) -> None:
    outcome = outcome_of(status, error)
    assert (outcome.kind, outcome.of, outcome.retryable) == ("provider_failure", "account", False)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, {"code": "context_length_exceeded"}),
        (413, {"code": "rate_limit_exceeded", "type": "tokens"}),
        (429, {"code": "rate_limit_exceeded", "message": "Request too large: Limit 30,000, Requested 41000."}),
        (422, None),
        (400, {"code": "content_filter"}),
    ],
)
def test_a_refusal_of_this_call_is_for_good(status: int, error: Any) -> None:
    outcome = outcome_of(status, error)
    assert (outcome.kind, outcome.of, outcome.retryable) == ("provider_failure", "call", False)
    assert not outcome.limits_calls_in_flight


@pytest.mark.parametrize(
    ("status", "error", "about", "in_flight"),
    [
        (429, {"code": "rate_limit_exceeded", "type": "tokens"}, "tokens", False),
        (429, {"code": "rate_limit_exceeded", "type": "requests"}, "requests", False),
        (429, {"type": "rate_limit_error"}, "unknown", True),
        (429, "no object", "unknown", True),
        (529, {"type": "overloaded_error"}, "overload", True),
        (500, {"code": "server_is_overloaded"}, "overload", True),
    ],
)
def test_a_rate_limit_says_what_it_was_about(status: int, error: Any, about: str, in_flight: bool) -> None:
    outcome = outcome_of(status, error)
    assert (outcome.kind, outcome.limited_by, outcome.retryable) == ("rate_limited", about, True)
    assert outcome.limits_calls_in_flight is in_flight


def test_an_error_inside_a_good_status_is_an_error() -> None:
    assert (outcome_of(200, {"code": 429}).kind, outcome_of(200, {"code": 502}).kind) == (
        "rate_limited",
        "provider_failure",
    )
    assert outcome_of(200, {"code": 502}).retryable
    assert outcome_of(200, {"code": 502}).ended == "error"
    assert classify(ResponseFacts(status=200, body='{"text": "\\"error\\""}'), None).kind == "success"


def test_what_a_reader_of_the_dialect_has_found_counts_and_nothing_is_read_again() -> None:
    verdict = Verdict(kind="rate_limited", limited_by="day", of="account", code="quota")
    facts = ResponseFacts(
        status=429, headers={"retry-after": "1"}, hints=Hints(not_before_seconds=60.0), verdict=verdict
    )
    outcome = classify(facts, None)
    assert (outcome.retry_after_seconds, outcome.limited_by, outcome.of) == (60.0, "day", "account")
    assert not outcome.retryable


def test_a_body_that_breaks_off_is_no_success_whatever_was_read_before() -> None:
    outcome = classify(ResponseFacts(status=200, verdict=Verdict(kind="success")), ConnectionError())
    assert (outcome.kind, outcome.ended) == ("provider_failure", "cut")


def test_the_providers_text_stays_out_of_the_outcome_and_of_the_facts() -> None:
    facts = ResponseFacts(status=400, body='{"error": {"message": "secret", "code": "bad"}}')
    assert "secret" not in repr(facts)
    assert "secret" not in repr(facts.__rich_repr__())  # by which rich shows a record
    assert "secret" not in repr(classify(facts, None))
    assert "secret" not in repr(error_fields('{"error": {"message": "secret"}}'))


@pytest.mark.parametrize("field", ["kind", "limited_by", "of", "ended"])
def test_a_verdict_has_none_but_its_own_words(field: str) -> None:
    words: Any = {"kind": "success", field: "perhaps"}
    with pytest.raises(ConfigError, match=field):
        Verdict(**words)
    with pytest.raises(ConfigError, match=field):
        RequestReleaseOutcome(**words)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "code", "type", "message", "status", "http_status", "error_type"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(st.integers(0, 999), JSON | st.binary(max_size=20))
def test_whatever_the_body_holds_it_is_read_without_an_error(status: int, data: Any) -> None:
    body = data if isinstance(data, bytes) else json.dumps(data)
    assert classify(ResponseFacts(status=status, body=body), None).kind in OUTCOME_KINDS


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": [{"code": 429}]}, "rate_limited"),
        ({"errors": [{"code": 429, "message": "x"}]}, "rate_limited"),
        ({"error": 429}, "rate_limited"),
        ({"error": True}, "provider_failure"),
        ({"error": {"error": {"code": 429}}}, "rate_limited"),
        ({"error": json.dumps({"error": {"code": 429}})}, "rate_limited"),
        ([{"error": {"code": 429}}], "rate_limited"),
        ({"error": None, "errors": [], "choices": []}, "success"),
        ({"error": 0}, "success"),
    ],
    ids=lambda value: json.dumps(value)[:50],
)
def test_an_error_in_a_good_answer_is_found_in_every_shape(body: Any, kind: str) -> None:
    assert classify(ResponseFacts(status=200, body=json.dumps(body)), None).kind == kind
