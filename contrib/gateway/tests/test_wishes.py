"""What clients wish of the line: a priority, and a session that stays at its endpoint."""

from __future__ import annotations

from collections import Counter

import pytest

from penstock import RequestResourceKey
from penstock_gateway import Refusal
from penstock_gateway.sticky import place_of_session
from penstock_gateway.wishes import LONGEST_SESSION, priority_of, session_of

PLACES = [RequestResourceKey(f"acme@{name}", "m", "chat") for name in ("first", "second", "third")]
SESSIONS = [f"session {number}" for number in range(300)]


@pytest.mark.parametrize("text", ["", "high", "1.5", "101", "-101", "1_0", "00001", "٣", "nan"])
def test_a_priority_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        priority_of({b"x-penstock-priority": text}.get)
    assert (caught.value.status, caught.value.code) == (400, "invalid_header")


@pytest.mark.parametrize(("text", "priority"), [("7", 7), ("-100", -100), ("+3", 3)])
def test_a_priority_is_a_whole_number(text: str, priority: int) -> None:
    assert priority_of({b"x-penstock-priority": text}.get) == priority


def test_a_session_has_a_bounded_name() -> None:
    assert session_of(lambda _: None) == ""
    assert session_of({b"x-penstock-session": "s"}.get) == "s"
    with pytest.raises(Refusal):
        session_of({b"x-penstock-session": "s" * (LONGEST_SESSION + 1)}.get)


def test_a_session_has_one_place_whatever_the_order_and_all_places_have_sessions() -> None:
    found = [place_of_session(PLACES, session, lambda _: True) for session in SESSIONS]
    assert found == [place_of_session(PLACES[::-1], session, lambda _: True) for session in SESSIONS]
    assert min(Counter(found)[place] for place in PLACES) > 60


def test_a_place_that_takes_no_calls_takes_only_its_own_sessions_along() -> None:
    before = {session: place_of_session(PLACES, session, lambda _: True) for session in SESSIONS}
    after = {session: place_of_session(PLACES, session, lambda place: place != PLACES[0]) for session in SESSIONS}
    assert all(after[session] == place for session, place in before.items() if place != PLACES[0])
    assert {after[session] for session, place in before.items() if place == PLACES[0]} == {*PLACES[1:]}
    assert place_of_session(PLACES, "s", lambda _: False) in PLACES
