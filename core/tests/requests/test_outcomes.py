"""How a call ended, and how long the provider asks to wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given, strategies as st

from penstock import OUTCOME_KINDS, ResponseFacts, classify, retry_after_seconds

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def http_date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (200, {}, "success"),
        (304, {}, "success"),
        (429, {}, "rate_limited"),
        (529, {}, "rate_limited"),
        (503, {"retry-after": "1"}, "rate_limited"),
        (503, {}, "provider_failure"),
        (503, {"retry-after": "soon"}, "provider_failure"),
        (408, {}, "provider_timeout"),
        (504, {}, "provider_timeout"),
        (400, {}, "provider_failure"),
        (500, {}, "provider_failure"),
        (777, {}, "provider_failure"),
    ],
)
def test_a_status_says_how_the_call_ended(status: int, headers: dict[str, str], kind: str) -> None:
    assert classify(ResponseFacts(status=status, headers=headers), None).kind == kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError(), "provider_timeout"),
        (ConnectionResetError(), "provider_failure"),
        (OSError(), "provider_failure"),
        (ValueError("in the answer's JSON"), "unexpected_exception"),
        (ExceptionGroup("both", [ConnectionError(), OSError()]), "provider_failure"),
        (ExceptionGroup("both", [ConnectionError(), KeyError()]), "unexpected_exception"),
    ],
)
def test_an_error_without_an_answer_says_how_the_call_ended(error: Exception, kind: str) -> None:
    assert classify(None, error).kind == kind
    assert classify(ResponseFacts(status=200), error).kind == kind, "a body that broke off"


def test_the_status_of_a_refusal_counts_more_than_the_error_that_was_raised_for_it() -> None:
    outcome = classify(ResponseFacts(status=429, headers={"retry-after": "3"}), RuntimeError("too many requests"))
    assert (outcome.kind, outcome.retry_after_seconds, outcome.status) == ("rate_limited", 3.0, 429)


def test_no_answer_and_no_error_is_a_success() -> None:
    assert classify(None, None).kind == "success"


def test_the_text_of_an_exception_stays_out_of_the_outcome() -> None:
    assert "secret" not in repr(classify(None, ValueError("secret")))


def test_server_errors_timeouts_and_rate_limits_can_be_tried_again_and_client_errors_cannot() -> None:
    retryable = {status: classify(ResponseFacts(status=status), None).retryable for status in (400, 404, 429, 500, 504)}
    assert retryable == {400: False, 404: False, 429: True, 500: True, 504: True}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after-ms": "466"}, 0.466),
        ({"retry-after-ms": "0", "retry-after": "1"}, 1.0),
        ({"retry-after-ms": "1700", "retry-after": "1"}, 1.7),
        ({"retry-after-ms": "x", "retry-after": "1"}, 1.0),
        ({"retry-after": "1, 5"}, 5.0),
        ({"retry-after": "1s, 5s, soon"}, 5.0),
        ({"retry-after": "60,"}, 60.0),
        ({"retry-after-ms": "1500, 2000"}, 2.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "tomorrow"}, None),
    ],
)
def test_seconds_and_milliseconds_are_read_and_nonsense_is_no_header(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after_seconds(headers) == seconds


def test_a_date_counts_from_the_answers_own_date() -> None:
    headers = {"retry-after": http_date(NOON + timedelta(seconds=90)), "date": http_date(NOON)}
    assert retry_after_seconds(headers, NOON - timedelta(days=3)) == 90.0


def test_a_date_counts_from_the_wall_clock_where_the_answer_has_none() -> None:
    headers = {"retry-after": http_date(NOON)}
    assert retry_after_seconds(headers, NOON - timedelta(seconds=30)) == 30.0
    assert retry_after_seconds(headers) is None


def test_a_date_in_the_past_means_now() -> None:
    headers = {"retry-after": http_date(NOON - timedelta(hours=1)), "date": http_date(NOON)}
    assert retry_after_seconds(headers) == 0.0


def test_of_several_retry_afters_that_a_client_has_joined_the_longest_counts() -> None:
    moments = [http_date(NOON + timedelta(seconds=seconds)) for seconds in (30, 90)]
    assert retry_after_seconds({"retry-after": ", ".join(moments), "date": http_date(NOON)}) == 90.0
    assert retry_after_seconds({"retry-after": f"{moments[0]}, 40", "date": http_date(NOON)}) == 40.0


@given(st.integers(0, 10**9))
def test_whole_seconds_are_read_as_they_stand(seconds: int) -> None:
    assert retry_after_seconds({"retry-after": str(seconds)}) == seconds


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)), st.integers(0, 10**6))
def test_dates_are_read_to_the_second(date: datetime, seconds: int) -> None:
    date = date.replace(microsecond=0, tzinfo=UTC)
    headers = {"retry-after": http_date(date + timedelta(seconds=seconds)), "date": http_date(date)}
    assert retry_after_seconds(headers) == seconds


@given(
    st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "date"]),
        st.one_of(
            st.text(), st.from_regex(r"[A-Z][a-z]{2}, \d{1,6} [A-Z][a-z]{2} \d{1,12} \d\d:\d\d:\d\d ?[-+A-Z0-9]*")
        ),
    ),
    st.one_of(st.none(), st.just(NOON)),
)
def test_whatever_the_headers_say_it_is_a_duration_or_nothing(headers: dict[str, str], now: datetime | None) -> None:
    seconds = retry_after_seconds(headers, now)
    assert seconds is None or 0 <= seconds < float("inf")


@given(
    st.one_of(st.none(), st.integers(0, 999)),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5)),
    st.one_of(st.none(), st.just(ValueError()), st.just(TimeoutError())),
)
def test_everything_is_classified_as_something(
    status: int | None, headers: dict[str, str], error: Exception | None
) -> None:
    assert classify(ResponseFacts(status=status, headers=headers), error).kind in OUTCOME_KINDS
