"""The contract suite of request limiters: what every one must do, as tests. For plugin authors and for our own limiters
alike.

Make a subclass in a test file, give it the factory, and pytest runs the suite:

    class TestMyLimiter(RequestLimiterContract):
        def make_limiter(self, cap, seed):
            return MyLimiter(self.scope, cap, MyConfig(), Settings(seed=seed).rng())

Virtual time is simply passed in. `LimiterDriver` carries calls through a limiter as the controller does, and checks
every answer against the rules; it is useful in tests of one's own too. Plain asserts: no test framework
is imported.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from random import Random
from typing import cast

from penstock.events.records import REQUEST_EVENT_KINDS
from penstock.requests.hints import Hints, LimitHint
from penstock.requests.items import RequestAdmissionItem, RequestAdmissionLease
from penstock.requests.limiter_change import LimiterChange
from penstock.requests.limiter_snapshot import LimiterSnapshot
from penstock.requests.limiters import HintObserver, LimiterSuccessor, RequestLimiter
from penstock.requests.outcomes import RequestReleaseOutcome
from penstock.requests.verdict import OUTCOME_KINDS, OutcomeKind
from penstock.testing.contracts.steps import bounded, lines_run
from penstock.words.identity import RequestResourceKey, Scope
from penstock.words.verdicts import PROBE, REQUEST_REASONS, At, Denied, Released, check_denied

__all__ = ["LimiterDriver", "RequestLimiterContract"]


class LimiterDriver:
    """A driver of one limiter, with the calls in flight under it and a clock that is set by hand.

    `now` may be raised at any time. Every answer is checked: a refusal obeys the rules and can end, a grant keeps the
    bound.
    """

    def __init__(self, limiter: RequestLimiter, resource: RequestResourceKey, now: float = 0.0) -> None:
        self.limiter = limiter
        self.item = RequestAdmissionItem(resource)
        self.now = now
        self.out: list[tuple[RequestAdmissionLease, object]] = []
        self.changes: list[LimiterChange] = []
        self.cap: int | None = None
        """The static cap as it was set last."""
        self._leases = 0

    def ask(self) -> Denied | None:
        """The limiter's answer for a call now, checked against the rules of an answer."""
        denied = self.limiter.check(self.item, self.now)
        if denied is None or denied is PROBE:
            return None
        denied = check_denied(denied, by="the limiter", now=self.now, reasons=REQUEST_REASONS)
        assert self.out or denied.until != {Released(self.limiter.scope)}, (
            f"refused until a release with nothing in flight, which nothing will ever end: {denied}"
        )
        moment = denied.next_moment()
        if moment is not None:
            announced = self.limiter.next_change(self.now)
            assert announced is not None, f"refused until {moment}, but next_change knows of no moment"
            assert announced <= moment, f"refused until {moment}, but next_change only comes at {announced}"
        return denied

    def admit(self) -> RequestAdmissionLease | None:
        """Admit one call if the limiter agrees; returns its lease."""
        if self.ask() is not None:
            return None
        self._leases += 1
        probe = self.limiter.check(self.item, self.now) is PROBE
        lease = RequestAdmissionLease(f"lease-{self._leases}", self.item, self.now, 1, probe=probe)
        self.out.append((lease, self.limiter.acquire(lease, self.now)))
        bound = self.limiter.snapshot(self.now).effective_max
        assert bound is None or len(self.out) <= bound, (
            f"{len(self.out)} calls are in flight, and the effective max is {bound}"
        )
        return lease

    def admit_all(self, most: int = 1000) -> int:
        """Admit calls until the limiter refuses; returns how many, at most `most`."""
        admitted = 0
        while admitted < most and self.admit() is not None:
            admitted += 1
        return admitted

    def end(self, outcome: RequestReleaseOutcome | str, place: int = 0) -> Sequence[LimiterChange]:
        """End the call at `place` (0: the one that is in flight longest). A kind stands for a plain outcome of that
        kind."""
        lease, token = self.out.pop(place)
        if isinstance(outcome, str):
            outcome = RequestReleaseOutcome(kind=cast(OutcomeKind, outcome))  # which looks whether it is one
        changes = self.limiter.release(lease, token, outcome, self.now)
        for change in changes:
            assert change.kind in REQUEST_EVENT_KINDS, f"{change.kind!r} is no event kind of the request stream"
        self.changes.extend(changes)
        return changes

    def end_all(self, outcome: RequestReleaseOutcome | str) -> None:
        """End every call in flight."""
        while self.out:
            self.end(outcome)

    def rest(self, seconds: float) -> None:
        """Advance the clock."""
        self.now += seconds

    def rest_until_next_change(self) -> bool:
        """Advance the clock to the next moment that changes an answer; returns whether there is one."""
        moment = self.limiter.next_change(self.now)
        if moment is None:
            return False
        self.now = moment
        return True

    def set_cap(self, cap: int | None) -> Sequence[LimiterChange]:
        """Set another static cap; what the limiter says that it changes."""
        self.cap = cap
        return self.limiter.set_cap(cap, self.now)

    @property
    def snapshot(self) -> LimiterSnapshot:
        """The limiter's state now."""
        return self.limiter.snapshot(self.now)


class RequestLimiterContract:
    """The suite of one limiter. `make_limiter` makes a fresh one for `scope`; the same seed makes the same one. With
    `shared_state` they share what they count, and `forget` empties it."""

    resource = RequestResourceKey("provider", "model", "chat")
    scope: Scope = resource
    cap: int | None = 8
    walks = 6
    steps = 250
    shared_state = False

    def make_limiter(self, cap: int | None, seed: int) -> RequestLimiter:
        """A fresh limiter for `self.scope`."""
        raise NotImplementedError

    def make_successor(self, cap: int | None, seed: int) -> RequestLimiter:
        """A fresh limiter of the same plugin and scope with another `Config`; without, with the same."""
        return self.make_limiter(cap, seed)

    def forget(self) -> None:
        """Empty what limiters with `shared_state` share."""
        raise NotImplementedError("forget: empty what limiters share")

    def driver(self, seed: int = 0) -> LimiterDriver:
        """A driver around a fresh limiter."""
        if self.shared_state:
            self.forget()
        driver = LimiterDriver(self.make_limiter(self.cap, seed), self.resource)
        driver.cap = self.cap
        return driver

    def walk(self, driver: LimiterDriver, seed: int) -> Iterator[str]:
        """A random history: calls begin and end in every way, time passes, the cap changes. Yields what was done."""
        rng = Random(f"walk/{seed}")
        for _ in range(self.steps):
            action = rng.choices(("admit", "end", "rest", "cap", "observe"), (40, 35, 20, 3, 2))[0]
            if action == "admit":
                yield f"admitted {driver.admit_all(rng.choice((1, 1, 3, 100)))}"
            elif action == "end" and driver.out:
                kind = rng.choice(("success", "success", "success", *OUTCOME_KINDS))
                retry_after = rng.choice((None, 0.0, 0.3, 2.0, 30.0)) if kind == "rate_limited" else None
                outcome = RequestReleaseOutcome(kind=kind, retry_after_seconds=retry_after)
                changes = driver.end(outcome, rng.randrange(len(driver.out)))
                yield f"{kind} {retry_after} {changes}"
            elif action == "cap":
                cap = rng.choice((1, 2, 8, 50))
                yield f"cap {cap} {driver.set_cap(cap)}"
            elif action == "observe":
                hints = rng.choice((Hints(), Hints(not_before_seconds=7.0), Hints(limits=(LimitHint("requests"),))))
                limiter = driver.limiter
                if isinstance(limiter, HintObserver):
                    yield f"observed {limiter.observe(hints, driver.now)}"
            else:
                driver.rest(rng.choice((0.0, 0.01, 0.3, 2.0, 40.0)))
                yield f"now {driver.now}"

    # -- the rules --

    def test_it_has_the_shape_of_a_limiter(self) -> None:
        limiter = self.make_limiter(self.cap, 0)
        assert isinstance(limiter, RequestLimiter)
        assert limiter.scope == self.scope

    def test_a_fresh_limiter_lets_a_call_out(self) -> None:
        assert self.driver().admit() is not None

    def test_asking_changes_nothing(self) -> None:
        for seed in range(self.walks):
            without = list(self.walk(self.driver(seed), seed))
            asked = self.driver(seed)
            for done, also_done in zip(self.walk(asked, seed), without, strict=True):
                assert done == also_done, f"after being asked it did {done}, and {also_done} without"
                for _ in range(3):
                    asked.limiter.check(asked.item, asked.now)
                    asked.limiter.next_change(asked.now)
                    asked.limiter.snapshot(asked.now)

    def test_the_same_seed_and_calls_give_the_same_answers(self) -> None:
        """Whatever another limiter has seen meanwhile, too."""
        for seed in range(self.walks):
            one = self.driver(seed)
            walked, known = list(self.walk(one, seed)), one.limiter.snapshot(one.now)
            other = self.driver(seed)
            assert walked == list(self.walk(other, seed)), "a second one answers otherwise: is its state shared?"
            assert known == other.limiter.snapshot(other.now)

    def test_the_cost_of_an_answer_does_not_grow_with_what_happened(self) -> None:
        costs = []
        for calls in (10, 1000):
            driver = self.driver()
            for _ in range(calls):
                if driver.admit() is not None:
                    driver.end("success")
                driver.rest(0.01)
            costs.append(lines_run(partial(driver.limiter.check, driver.item, driver.now)))
        assert bounded(*costs), f"an answer took {costs[0]} lines of Python after 10 calls, and {costs[1]} after 1000"

    def test_refusals_obey_the_rules_and_grants_keep_the_bound(self) -> None:
        for seed in range(self.walks):
            driver = self.driver(seed)
            for _ in self.walk(driver, seed):
                driver.ask()

    def test_whatever_happened_a_call_goes_out_again_by_itself(self) -> None:
        """With nothing in flight, only moments that were named may stand between a waiter and its turn."""
        for seed in range(self.walks):
            driver = self.driver(seed)
            for _ in self.walk(driver, seed):
                pass
            driver.end_all("local_cancelled")
            for _ in range(100):
                denied = driver.ask()
                if denied is None:
                    break
                moment = denied.next_moment()
                assert moment is not None, f"nothing is in flight and no moment is named: {denied}"
                driver.now = moment
            assert driver.admit() is not None

    def test_time_alone_changes_an_answer_only_when_announced(self) -> None:
        for seed in range(self.walks):
            driver = self.driver(seed)
            for _ in self.walk(driver, seed):
                limiter, now = driver.limiter, driver.now
                answer = limiter.check(driver.item, now) in (None, PROBE)
                change = limiter.next_change(now)
                assert change is None or change > now, f"next_change({now}) is {change}, which is not ahead"
                for share in (0.001, 0.25, 0.5, 0.75, 0.999):
                    later = now + 1000 * share if change is None else now + (change - now) * share
                    if later <= now or (change is not None and later >= change):
                        continue  # too close for floating point to tell apart
                    assert (limiter.check(driver.item, later) in (None, PROBE)) == answer, (
                        f"at {now} the answer was {answer}, at {later} another, and next_change said {change}"
                    )

    def test_a_refusal_ends_only_by_what_it_named(self) -> None:
        """Whoever is refused sleeps until then, so whatever else would let it go, it would sleep through."""
        for seed in range(self.walks):
            driver, asleep = self.driver(seed), None
            for done in self.walk(driver, seed):
                answer = driver.limiter.check(driver.item, driver.now)
                if asleep is not None and not self._wakes(asleep, done, driver.now):
                    assert isinstance(answer, Denied), (
                        f"at {driver.now}, {done}: a call would go out that sleeps, being {asleep}"
                    )
                    continue
                asleep = answer if isinstance(answer, Denied) and not answer.final else None

    def _wakes(self, refused: Denied, done: str, now: float) -> bool:
        """Whether a step of a walk brings what a refusal has named; another cap, and what a provider said, wake all."""
        moment = refused.next_moment()
        if done.startswith(("cap", "observed")) or (moment is not None and moment <= now):
            return True
        released = done.startswith(OUTCOME_KINDS)
        return released and any(isinstance(each, Released) and each.key in self._keys() for each in refused.until)

    def _keys(self) -> tuple[Scope, ...]:
        """What the walk's calls give back at their end."""
        return (self.scope, self.resource, self.resource.provider_model, self.resource.provider)

    def test_a_moment_that_was_named_is_kept_or_put_off(self) -> None:
        """A call that comes back at the `At` of a refusal is admitted, or refused until a later moment or a release."""
        for seed in range(self.walks):
            driver = self.driver(seed)
            for _ in self.walk(driver, seed):
                denied = driver.limiter.check(driver.item, driver.now)
                moment = denied.next_moment() if isinstance(denied, Denied) else None
                if moment is None:
                    continue
                again = driver.limiter.check(driver.item, moment)
                if again is not None and again is not PROBE:
                    again = check_denied(again, by="the limiter", now=moment, reasons=REQUEST_REASONS)
                    assert At(moment) not in again.until

    def test_a_cooldown_never_gets_shorter(self) -> None:
        for seed in range(self.walks):
            driver = self.driver(seed)
            before = None
            for done in self.walk(driver, seed):
                blocked = driver.limiter.snapshot(driver.now).blocked_until
                if before is not None and driver.now < before:
                    assert blocked is not None, f"{done} ended the cooldown until {before}"
                    assert blocked >= before, f"{done} brought the end of the cooldown from {before} to {blocked}"
                before = blocked

    def test_a_lowered_cap_holds_at_once_and_a_raised_one_takes_nothing_away(self) -> None:
        driver = self.driver()
        driver.admit_all()
        before = len(driver.out)
        driver.limiter.set_cap(2, driver.now)
        assert len(driver.out) == before  # above a lowered limit is a legal state
        bounded = driver.limiter.snapshot(driver.now).effective_max is not None
        while len(driver.out) > 1:
            driver.end("success")
        assert driver.admit_all() <= 1 or not bounded  # a limiter of something else has no use for the cap
        driver.limiter.set_cap(50, driver.now)
        driver.ask()
        driver.end_all("success")
        assert driver.admit() is not None

    def test_every_kind_of_outcome_is_understood_and_gives_its_place_back(self) -> None:
        for kind in OUTCOME_KINDS:
            driver = self.driver()
            driver.limiter.set_cap(1, driver.now)
            assert driver.admit() is not None
            driver.end(kind)
            driver.rest(10_000.0)
            assert driver.admit() is not None, f"the slot of a call that ended in {kind} was lost"

    def test_a_call_cannot_come_back_twice(self) -> None:
        driver = self.driver()
        driver.admit()
        lease, token = driver.out[0]
        driver.end("success")
        try:
            driver.limiter.release(lease, token, RequestReleaseOutcome(kind="success"), driver.now)
        except Exception:
            return
        raise AssertionError("a second release of one token was taken")

    def test_the_snapshot_is_json_safe_and_within_bounds(self) -> None:
        for seed in range(self.walks):
            driver = self.driver(seed)
            for _ in self.walk(driver, seed):
                snapshot = driver.limiter.snapshot(driver.now)
                assert isinstance(snapshot, LimiterSnapshot)
                json.dumps(dict(snapshot.details), allow_nan=False)
                if snapshot.current_limit is not None and snapshot.effective_max is not None:
                    assert 0 <= snapshot.current_limit <= snapshot.effective_max
                if snapshot.blocked_until is not None:
                    assert snapshot.blocked_until > driver.now

    def test_who_takes_over_begins_where_the_one_before_left_off(self) -> None:
        """Only of limiters that have `adopt`: see `penstock.LimiterSuccessor`."""
        for seed in range(self.walks):
            driver = self.driver(seed)
            for step, _ in enumerate(self.walk(driver, seed)):
                if step % 10 == 0 and not self._take_over(driver, self.make_limiter(self.cap, seed), seed, same=True):
                    return

    def test_who_takes_over_with_another_config_forgets_no_cooldown_and_no_call(self) -> None:
        """Only of limiters that have `adopt`: the calls that are out end with the new limiter."""
        for seed in range(self.walks):
            driver = self.driver(seed)
            for step, _ in enumerate(self.walk(driver, seed)):
                if step % 50 == 49 and not self._take_over(driver, self.make_successor(self.cap, seed), seed):
                    return
            driver.end_all("success")
            driver.rest(1e6)
            assert driver.admit() is not None, "after a takeover a slot was lost"

    def _take_over(self, driver: LimiterDriver, successor: RequestLimiter, seed: int, *, same: bool = False) -> bool:
        """Let another limiter take over from the driver's; whether it can."""
        if not isinstance(successor, LimiterSuccessor):
            return False
        previous, now = driver.limiter, driver.now
        successor.set_cap(driver.cap, now)
        before = previous.snapshot(now), previous.check(driver.item, now), previous.next_change(now)
        successor.adopt(previous)
        assert before == (previous.snapshot(now), previous.check(driver.item, now), previous.next_change(now)), (
            "adopt has changed the limiter before, which may yet stay"
        )
        snapshot, answer = successor.snapshot(now), successor.check(driver.item, now)
        assert snapshot.blocked_until == before[0].blocked_until, "a cooldown is another since a takeover"
        if same:
            assert (snapshot, answer) == before[:2], "with the same Config a takeover has changed the answer"
        driver.limiter = successor
        return True
