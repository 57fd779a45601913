"""What authors of request limiters build with: tickets, scopes, bounds, and the slow start."""

from __future__ import annotations

from itertools import pairwise
from math import inf
from random import Random
from typing import get_args

import attrs
import pytest

from penstock import (
    LimiterScope,
    LimiterTicket,
    RequestAdmissionItem,
    RequestAdmissionLease,
    RequestGroupKey,
    RequestResourceKey,
    Scope,
    SlowStart,
    bound_or_none,
    lowest_bound,
    require_effective_max,
    scope_kind,
)
from penstock.testing import ScriptedLimiter

RESOURCE = RequestResourceKey("acme", "small", "chat")


@attrs.define(slots=True, eq=False)
class Ticket(LimiterTicket):
    held = "a place at the counter"
    place: int


@attrs.define(slots=True, eq=False)
class OtherTicket(LimiterTicket):
    pass


# -- tickets --


def redeem(token: object) -> Ticket:
    lease = RequestAdmissionLease("lease-1", RequestAdmissionItem(RESOURCE), 0.0, 1)
    return Ticket.redeem(token, lease, ScriptedLimiter(RESOURCE))


def test_a_ticket_is_out_until_it_is_redeemed() -> None:
    ticket = Ticket(place=3)
    assert ticket.out
    assert redeem(ticket) is ticket
    assert not ticket.out


def test_a_ticket_is_redeemed_once() -> None:
    ticket = Ticket(place=3)
    redeem(ticket)
    with pytest.raises(ValueError, match=f"^lease-1 does not hold a place at the counter of {RESOURCE}$"):
        redeem(ticket)


@pytest.mark.parametrize("token", [None, object(), OtherTicket()])
def test_what_is_no_ticket_of_the_limiter_is_refused_and_left_as_it_is(token: object) -> None:
    with pytest.raises(ValueError, match=r"^lease-1 "):
        redeem(token)
    assert not isinstance(token, LimiterTicket) or token.out


def test_tickets_of_equal_calls_are_two() -> None:
    assert Ticket(place=3) != Ticket(place=3)


# -- scopes and bounds --


def test_every_key_has_a_word_in_the_configuration() -> None:
    keys: list[Scope] = [RESOURCE, RESOURCE.provider_model, RESOURCE.provider, RequestGroupKey("tenant")]
    assert tuple(map(scope_kind, keys)) == get_args(LimiterScope)


def test_the_lowest_of_the_bounds_that_there_are_counts() -> None:
    assert lowest_bound(64, None) == 64.0
    assert lowest_bound(64, 9, None) == 9.0
    assert lowest_bound(None, None) == inf


def test_in_snapshots_none_stands_for_no_bound() -> None:
    assert bound_or_none(inf) is None
    assert bound_or_none(7.5) == 7.5


def test_a_limiter_per_provider_needs_an_effective_max() -> None:
    require_effective_max("provider", 12)
    require_effective_max("resource", None)
    with pytest.raises(ValueError, match=r'^scope "group" needs effective_max: a group has no static cap to grow to$'):
        require_effective_max("group", None)
    with pytest.raises(
        ValueError, match=r'^scope "provider" needs effective_max: a provider has no static cap to grow to$'
    ):
        require_effective_max("provider", None)


# -- the slow start --


def let_out(start: SlowStart, now: float) -> int:
    calls = 0
    while calls < 1000 and start.holds_until(now) is None:
        start.count()
        calls += 1
    return calls


def steps(start: SlowStart) -> list[float]:
    moments = [start.begin]
    while (moment := start.next_step(moments[-1])) is not None:
        moments.append(moment)
    return moments


def test_each_step_lets_twice_as_many_out_and_after_the_last_all_go() -> None:
    start = SlowStart(5.0, 8.0, Random(0))
    assert [let_out(start, moment) for moment in steps(start)] == [1, 2, 4, 8, 16, 32, 64, 128, 1000]


def test_who_is_held_is_told_the_moment_of_the_next_step() -> None:
    start = SlowStart(5.0, 8.0, Random(0))
    let_out(start, 5.0)
    assert start.holds_until(5.0) == start.next_step(5.0) == steps(start)[1]


def test_it_takes_the_seconds_on_average_and_each_step_half_to_one_and_a_half_of_its_share() -> None:
    all_steps = [steps(SlowStart(0.0, 8.0, Random(seed))) for seed in range(200)]
    assert sum(moments[-1] for moments in all_steps) / 200 == pytest.approx(8.0, rel=0.05)
    lengths = [after - before for moments in all_steps for before, after in pairwise(moments)]
    assert 0.5 <= min(lengths) < 0.55
    assert 1.45 < max(lengths) <= 1.5 + 1e-9


def test_the_steps_are_the_seeds_alone() -> None:
    assert steps(SlowStart(0.0, 1.0, Random(1))) == steps(SlowStart(0.0, 1.0, Random(1)))
    assert steps(SlowStart(0.0, 1.0, Random(1))) != steps(SlowStart(0.0, 1.0, Random(2)))


def test_without_a_length_it_holds_nobody() -> None:
    start = SlowStart(5.0, 0.0, Random(0))
    assert start.next_step(5.0) is None
    assert let_out(start, 5.0) == 1000
