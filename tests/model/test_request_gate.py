"""The request gate against a naive one: random runs, and the smallest ways to what once went wrong."""

from __future__ import annotations

from random import Random

import pytest

from penstock import ProviderKey
from penstock_fairqueue import FairRequestWaiters
from penstock_model.causes import Before, Shut
from penstock_model.failures import failure_of_requests
from penstock_model.naive_requests import MODELS, RESOURCES
from penstock_model.request_rules import InFlight, RequestRule, Waiting
from penstock_model.request_run import WAITERS, RequestRun, RequestScenario, play
from penstock_model.request_seeds import ALL_REQUEST_HOLDS, requests_and_steps
from penstock_model.streams import CallStreams, Stream, shares
from penstock_model.task_run import Mismatch, Step

pytestmark = pytest.mark.no_cover

P_CHAT, P_EMBEDDING, _, Q_CHAT = RESOURCES
GROUPS = dict.fromkeys("abcde", 1.0)


def scenario(*rules: RequestRule, cap: int = 2, waiters: str = "fifo") -> RequestScenario:
    return RequestScenario(dict.fromkeys(MODELS, cap), GROUPS, rules, waiters)


def ask(group: str, requests: int = 1, at: int = 0, timeout: float | None = None) -> Step:
    return ("ask", at, group, requests, timeout, None)


END_FIRST: Step = ("release", 0, "success", 0)


@pytest.mark.parametrize("start", range(0, 400, 50))
def test_in_random_runs_nobody_sleeps_and_nobody_goes_who_may_not(start: int) -> None:
    for seed in range(start, start + 50):
        assert (failure := failure_of_requests(seed, ALL_REQUEST_HOLDS)) is None, failure


def test_cohorts_that_are_not_true_neither_hang_the_gate_nor_lose_a_lease() -> None:
    for seed in range(150):
        assert (failure := failure_of_requests(seed, ALL_REQUEST_HOLDS, untrue=True)) is None, failure


# -- the smallest ways to what once went wrong -----------------------------------------------------------------------


@pytest.mark.parametrize("waiters", ["fifo", "fair"])
def test_deciding_ends_where_all_wait_for_a_change_of_the_backlog(waiters: str) -> None:
    many = RequestRule("many", (Waiting(P_CHAT, 2),))
    asks = [ask(group, at=at) for group in "ab" for at in (0, 1)]
    play(scenario(many, cap=1, waiters=waiters), [*asks, END_FIRST, *asks, END_FIRST])


def test_a_newcomer_that_ends_a_refusal_lets_go_who_waited_under_it_though_there_is_no_place_for_itself() -> None:
    few = RequestRule("few", (Waiting(P_EMBEDDING, 1, few=True),), resources=frozenset({Q_CHAT}))
    play(scenario(few, cap=1), [ask("b", at=3), ask("a"), ask("c", at=1)])


@pytest.mark.parametrize("waiters", ["fifo", "fair"])
def test_a_call_for_several_places_is_not_passed_for_ever(waiters: str) -> None:
    run = RequestRun(scenario(waiters=waiters))
    for step in (ask("a"), ask("b"), ask("e", 2)):
        run.take(step)
    (large,) = run.naive.line
    for n in range(100):
        run.take(END_FIRST)
        run.take(ask("abcd"[n % 4]))
        if large.lease is not None:
            return
    raise AssertionError("100 calls were let out since, and it waits")


def test_who_waits_behind_a_large_call_goes_when_that_has_given_up() -> None:
    run = RequestRun(scenario())
    asks = [ask("a"), ask("d"), ask("b", 2, timeout=2.0), ask("c")]
    for step in (*asks, ("release", 1, "success", 0), ("time", 2.0), ("advance",)):
        run.take(step)
    assert not run.naive.line


def test_a_refusal_that_has_ended_is_not_put_on_who_comes_later() -> None:
    group = RequestRule("group", (Shut("s"),), "group", frozenset("a"), cohort="c")
    shape = RequestRule("shape", (Shut("t"),), "shape", resources=frozenset({P_CHAT}))
    steps: list[Step] = [("shut", "s"), ask("a"), ("shut", "t"), ("open", "s"), ask("a", at=1)]
    play(scenario(group, shape), steps)


def test_a_cohort_over_two_providers_ends_for_both() -> None:
    busy = RequestRule("busy", (InFlight(ProviderKey("p"), 1),), "shape", frozenset("bc"), cohort="c")
    play(scenario(busy), [ask("a"), ask("b"), ask("c", at=3)])


def test_who_stands_behind_a_patient_caller_is_told_at_once_of_a_cooldown_that_outlasts_its_wait() -> None:
    run = RequestRun(scenario(cap=1))
    for step in (ask("a"), ask("b", timeout=100.0), ask("b", timeout=5.0), ("tighten", 2, 100, 30.0), END_FIRST):
        run.take(step)
    assert [waiter.item.queue_wait_timeout for waiter in run.naive.line] == [100.0]


def test_who_waits_behind_one_that_was_refused_goes_when_that_has_left() -> None:
    """A rule refuses the large calls of a cohort alone, so their refusal is not true of the small ones."""
    large = RequestRule("large", (Shut("s"),), "shape", cohort="c", untrue=True)
    run = RequestRun(scenario(large, cap=3))
    for step in (("shut", "s"), ask("a", 1), ask("b", 3, timeout=1.0), ("time", 1.0), ("advance",)):
        run.take(step)
    assert [waiter.item.group.key for waiter in run.naive.line] == []


def test_a_refusal_of_all_ends_when_nobody_is_left_whom_it_covers() -> None:
    shut = RequestRule("shut", (Shut("s"),), "all")
    play(scenario(shut, cap=1), [("shut", "s"), ask("a"), ("cancel", 0), ("open", "s"), ask("a"), ask("b")])


def test_a_newcomer_that_goes_first_at_a_moment_leaves_no_other_behind_for_whom_that_was_due() -> None:
    early = RequestRule("early", (Before("m"),), "shape")
    due: list[Step] = [("put off", "m", 3.0), ask("a"), ("time", 3.0), ("ask", 0, "b", 1, 0.0, 0.5)]
    play(scenario(early, cap=4, waiters="deadline"), due)


# -- order -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.parametrize("waiters", ["fifo", "fair"])
def test_a_large_call_starts_within_one_turnover_of_its_model(waiters: str, size: int) -> None:
    small = [Stream(group, {"place": 1}) for group in "abc"]
    streams = CallStreams(WAITERS[waiters](), 4, [*small, Stream("large", {"place": size})])
    for _ in range(100):
        began = streams.started["large"]
        streams.fill()
        for _ in range(40):
            streams.end_one()
            streams.fill()
        assert streams.started["large"] > began, "40 calls have ended since, and it waits"


def test_weights_hold_in_requests_where_sizes_are_mixed() -> None:
    groups = [Stream("a", {"place": 2}, 9), Stream("b", {"place": 4}, 1)]
    lag, lead = shares(CallStreams(FairRequestWaiters(), 4, groups), "place", 2_000)
    assert lag <= 2
    assert lead <= 3


def test_weights_hold_in_requests_whatever_the_sizes_and_weights() -> None:
    for seed in range(30):
        rng = Random(f"request mixtures/{seed}")
        cap = rng.randint(2, 12)
        groups = [Stream(n, {"place": rng.randint(1, cap)}, rng.randint(1, 9)) for n in "abcde"[: rng.randint(2, 5)]]
        lag, lead = shares(CallStreams(FairRequestWaiters(), cap, groups, seed), "place", 400)
        assert lag <= 2, f"seed {seed}: a group lags by {lag:.2f} maximal calls of {groups}"
        assert lead <= 3, f"seed {seed}: a group leads by {lead:.2f} maximal calls of {groups}"


# -- the net itself --------------------------------------------------------------------------------------------------


class ForgetsSignals(RequestRun):
    """A run whose gate is told of no signal."""

    def _open(self, name: str) -> None:
        self.naive.shut.discard(name)


def test_a_gate_that_forgets_a_wake_is_found() -> None:
    run = ForgetsSignals(scenario(RequestRule("shut", (Shut("s"),))))
    for step in (("shut", "s"), ask("a")):
        run.take(step)
    with pytest.raises(Mismatch, match="could go, and sleeps"):
        run.take(("open", "s"))


def test_a_grant_that_a_rule_refuses_is_found() -> None:
    run = RequestRun(scenario())
    run.naive.rules.append(RequestRule("idle", (Waiting(P_CHAT, 1, few=True),)))
    with pytest.raises(Mismatch, match="the rules did not agree"):
        run.take(ask("a"))


def test_a_seed_is_always_the_same_run() -> None:
    assert requests_and_steps(7, ALL_REQUEST_HOLDS) == requests_and_steps(7, ALL_REQUEST_HOLDS)
