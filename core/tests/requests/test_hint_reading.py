"""What answers tell, in all forms; and what makes no sense is ignored and named."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

from penstock import HEADER_FAMILIES, ConfigError, Hints, LimitHint, read_hints

Limit = tuple[str, float | None, float | None, float | None, float | None]
NAMES = {name for family in HEADER_FAMILIES for name in (family.limit, family.remaining)}
NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def read(headers: dict[str, str]) -> tuple[list[Limit], list[str]]:
    hints = read_hints(headers, refused=False, wall_now=NOON)
    limits = [(limit.dimension, limit.limit, limit.remaining, limit.reset, limit.window) for limit in hints.limits]
    return limits, list(hints.ignored)


def test_openais_headers() -> None:
    reported, ignored = read(
        {
            "x-ratelimit-limit-requests": "60",
            "x-ratelimit-limit-tokens": "150000",
            "x-ratelimit-remaining-requests": "59",
            "x-ratelimit-remaining-tokens": "149984",
            "x-ratelimit-reset-requests": "1s",
            "x-ratelimit-reset-tokens": "6m0s",
        }
    )
    assert reported == [
        ("requests", 60.0, 59.0, 1.0, None),
        ("tokens", 150_000.0, 149_984.0, 360.0, None),
    ]
    assert ignored == []


def test_anthropics_headers_are_taken_against_the_answers_own_date() -> None:
    reported, ignored = read(
        {
            "date": "Mon, 05 Jan 2026 08:00:00 GMT",
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "49",
            "anthropic-ratelimit-requests-reset": "2026-01-05T08:00:02Z",
            "anthropic-ratelimit-input-tokens-limit": "40000",
            "anthropic-ratelimit-input-tokens-remaining": "39000",
            "anthropic-ratelimit-input-tokens-reset": "2026-01-05T09:00:03+01:00",
            "anthropic-ratelimit-output-tokens-limit": "8000",
            "anthropic-ratelimit-output-tokens-remaining": "8000",
            "anthropic-ratelimit-output-tokens-reset": "2026-01-05T07:59:59Z",
        }
    )
    assert reported == [
        ("requests", 50.0, 49.0, 2.0, None),
        ("input_tokens", 40_000.0, 39_000.0, 3.0, None),
        ("output_tokens", 8_000.0, 8_000.0, 0.0, None),
    ]
    assert ignored == []


def test_an_answer_without_a_date_is_taken_against_the_time_of_day() -> None:
    (reported,), _ = read(
        {"anthropic-ratelimit-tokens-limit": "9", "anthropic-ratelimit-tokens-reset": "2026-03-01T12:00:30Z"}
    )
    assert reported[3] == 30.0


def test_the_drafts_headers_and_their_window() -> None:
    reported, _ = read({"ratelimit-limit": "100, 100;w=30", "ratelimit-remaining": "50", "ratelimit-reset": "12"})
    assert reported == [("requests", 100.0, 50.0, 12.0, 30.0)]
    reported, _ = read({"ratelimit-limit": "10", "ratelimit-policy": "10;w=1, 1000;w=3600", "ratelimit-remaining": "9"})
    assert reported == [("requests", 10.0, 9.0, None, 1.0)]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("12ms", 0.012),
        ("1h2m3.5s", 3723.5),
        ("1d", 86400.0),
        ("8.64s", 8.64),
        ("7m12s", 432.0),
        ("59.70", 59.7),
        ("0", 0.0),
        ("1s500ms", 1.5),
        (str(int(NOON.timestamp()) + 20), 20.0),
        (str((int(NOON.timestamp()) + 20) * 1000), 20.0),
        ("2026-03-01T12:00:20Z", 20.0),
    ],
)
def test_every_form_of_a_reset(text: str, seconds: float) -> None:
    (reported,), ignored = read({"x-ratelimit-limit-tokens": "10", "x-ratelimit-reset-tokens": text})
    assert reported[3] == pytest.approx(seconds)
    assert ignored == []


@pytest.mark.parametrize(
    "text", ["", "soon", "-1s", "1x", "NaN", "inf", "1e9", "2026-03-01T12:00:20", "99999d", "9" * 40]
)
def test_a_reset_that_makes_no_sense_is_ignored_and_named(text: str) -> None:
    (reported,), ignored = read({"x-ratelimit-limit-tokens": "10", "x-ratelimit-reset-tokens": text})
    assert reported == ("tokens", 10.0, None, None, None)
    assert ignored == ["x-ratelimit-reset-tokens"]


@pytest.mark.parametrize("text", ["", "many", "-5", "0", "NaN", "1e99", "9" * 30, "0x10", "٣"])
def test_a_limit_that_makes_no_sense_is_ignored_and_named(text: str) -> None:
    reported, ignored = read({"x-ratelimit-limit-requests": text, "x-ratelimit-remaining-requests": "5"})
    assert reported == [("requests", None, 5.0, None, None)]
    assert ignored == ["x-ratelimit-limit-requests"]


def test_more_cannot_remain_than_there_ever_was() -> None:
    reported, ignored = read({"x-ratelimit-limit-requests": "10", "x-ratelimit-remaining-requests": "11"})
    assert reported == [("requests", 10.0, None, None, None)]
    assert ignored == ["x-ratelimit-remaining-requests"]


def test_an_answer_without_such_headers_tells_nothing() -> None:
    assert read({"content-type": "application/json", "x-ratelimit-reset-tokens": "1s"}) == ([], [])


@given(
    st.dictionaries(
        st.sampled_from([*sorted(NAMES), "ratelimit-reset", "date", "ratelimit-policy"]), st.text(max_size=30)
    )
)
def test_whatever_comes_is_read_without_an_error(headers: dict[str, str]) -> None:
    for one in read_hints(headers, refused=True, wall_now=NOON).limits:
        assert one.limit is None or one.limit > 0
        assert one.remaining is None or 0 <= one.remaining <= (one.limit or one.remaining)
        assert one.reset is None or one.reset >= 0


def test_only_a_refusal_names_a_time_before_which_no_call_should_go_out() -> None:
    headers = {"retry-after": "41", "x-ratelimit-limit": "20", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "9"}
    assert read_hints(headers, refused=False).not_before_seconds is None
    assert read_hints(headers, refused=True).not_before_seconds == 41.0
    assert read_hints(headers, refused=True).said_by == "retry-after"


def test_where_nothing_is_left_until_a_moment_that_moment_is_waited_for() -> None:
    reset = str((int(NOON.timestamp()) + 30) * 1000)
    headers = {"x-ratelimit-limit": "20", "x-ratelimit-remaining": "0", "x-ratelimit-reset": reset}
    hints = read_hints(headers, refused=True, wall_now=NOON)
    assert (hints.not_before_seconds, hints.said_by) == (30.0, "x-ratelimit-reset")
    trickling = {"x-ratelimit-limit-requests": "20", "x-ratelimit-remaining-requests": "0"}
    assert read_hints({**trickling, "x-ratelimit-reset-requests": "59s"}, refused=True).not_before_seconds is None


def test_what_is_written_where_nothing_is_told_is_no_nonsense() -> None:
    for nothing in ("None", "null"):
        assert read({"x-ratelimit-limit-tokens": nothing}) == ([], [])


@pytest.mark.parametrize("wrong", [-1.0, float("inf"), float("nan"), "7"])
def test_hints_are_finite_durations(wrong: float) -> None:
    with pytest.raises(ConfigError, match="not_before_seconds"):
        Hints(not_before_seconds=wrong)
    with pytest.raises(ConfigError, match="remaining"):
        LimitHint("requests", remaining=wrong)


@pytest.mark.parametrize(
    ("written", "limit"),
    [("10,000", 10_000.0), ("1,000,000", 1e6), ("100, 100", 100.0), ("100,100", 100.0), ("60, 1000", 60.0)],
)
def test_a_number_for_people_is_no_list_and_a_header_twice_is_one(written: str, limit: float) -> None:
    (hint,) = read_hints({"x-ratelimit-limit-requests": written}, refused=False).limits
    assert hint.limit == limit


def test_a_clock_that_is_decades_behind_makes_nobody_wait_for_decades() -> None:
    headers = {"retry-after": "Sat, 28 Nov 2026 12:00:30 GMT", "date": "Thu, 01 Jan 1970 00:00:00 GMT"}
    now = datetime(2026, 11, 28, 12, 0, 0, tzinfo=UTC)
    assert read_hints(headers, refused=True, wall_now=now).not_before_seconds == 30.0
    assert read_hints(headers, refused=True, wall_now=now.replace(tzinfo=None)).not_before_seconds == 30.0
    near = {**headers, "date": "Sat, 28 Nov 2026 11:59:00 GMT"}
    assert read_hints(near, refused=True, wall_now=now).not_before_seconds == 90.0, "that is the provider's own time"
