"""The limiter of a key's quotas: what it refuses, until when, and what comes back."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

import pytest

from penstock import (
    NEVER,
    At,
    Denied,
    ProviderModelKey,
    Released,
    RequestAdmissionItem,
    RequestAdmissionLease,
    RequestCost,
    RequestGroupKey,
    RequestGroupSpec,
    RequestLimiter,
    RequestReleaseOutcome,
    RequestResourceKey,
    Usage,
)
from penstock.testing import RequestLimiterContract
from penstock_dialects import Prices
from penstock_gateway.spending.book import BILLION, Amounts, Book
from penstock_gateway.spending.limiter import QuotaLimiter
from penstock_gateway.spending.periods import day_at
from penstock_gateway.spending.quotas import Quota

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC).timestamp()
MODEL = RequestResourceKey("acme", "m", "chat")
PRICES = {ProviderModelKey("acme", "m"): Prices(input=1.0, output=10.0)}
OK = RequestReleaseOutcome(kind="success")
REQUESTS, TOKENS = Quota("requests", "day", 3), Quota("tokens", "day", 1000)
MONEY = Quota("cost", "day", BILLION // 100)
MONTH = Quota("cost", "month", BILLION // 50)


class World:
    """A limiter, its calls, and a wall clock that is set by hand; the run's clock begins at 0."""

    def __init__(self, *quotas: Quota, book: Book | None = None) -> None:
        self.book = book or Book()
        self.wall = NOON
        self.limiter = QuotaLimiter("k", quotas, self.book, PRICES, lambda _: self.wall)
        self.count = 0

    def item(self, tokens: int, output: int = 0) -> RequestAdmissionItem:
        return RequestAdmissionItem(
            MODEL, RequestGroupSpec("k"), RequestCost(input_tokens=tokens, output_tokens=output)
        )

    def asked(self, tokens: int = 100, output: int = 0) -> Denied | None:
        return self.limiter.check(self.item(tokens, output), 0.0)

    def goes(self, tokens: int = 100, output: int = 0) -> tuple[RequestAdmissionLease, object]:
        self.count += 1
        lease = RequestAdmissionLease(f"l-{self.count}", self.item(tokens, output), 0.0, 1)
        return lease, self.limiter.acquire(lease, 0.0)

    def ends(self, call: tuple[RequestAdmissionLease, object], outcome: RequestReleaseOutcome = OK) -> None:
        self.limiter.release(*call, outcome, 0.0)
        self.limiter.check_invariants()

    @property
    def used(self) -> Amounts:
        account = self.book.account("k", day_at(self.wall))
        assert account is not None
        return account.used


def test_a_used_day_is_refused_until_midnight_of_utc_and_says_whose_it_is() -> None:
    world = World(REQUESTS)
    for _ in range(3):
        world.ends(world.goes())
    denied = world.asked()
    assert denied is not None
    assert denied.until == {At(43_200.0)}
    assert (denied.reason, denied.scope) == ("no_capacity", "task")
    assert denied.detail == "key k has used its day (3 of 3 by requests_per_day): until 00:00 UTC"
    world.wall += 43_200
    assert world.asked() is None


def test_the_rest_that_is_held_by_calls_that_are_out_is_waited_for_by_the_whole_key() -> None:
    world = World(TOKENS)
    call = world.goes(900)
    denied = world.asked(200)
    assert denied is not None
    assert denied.until == {At(43_200.0), Released(RequestGroupKey("k"))}
    assert denied.scope == "group"
    world.ends(call, RequestReleaseOutcome(kind="success", usage=Usage(300, 50)))
    assert world.asked(200) is None
    assert world.used == Amounts(1, 350, 800_000)


def test_too_little_left_is_refused_at_once_and_a_smaller_call_goes() -> None:
    world = World(TOKENS)
    world.ends(world.goes(900))
    denied = world.asked(200)
    assert denied is not None
    assert denied.until == {At(43_200.0)}
    assert "too little left" in denied.detail
    assert world.asked(100) is None


def test_a_call_larger_than_the_whole_never_fits() -> None:
    denied = World(TOKENS).asked(1001)
    assert denied is not None
    assert denied.until == {NEVER}
    assert denied.reason == "never_fits"


def test_money_is_counted_by_the_prices_of_the_model_and_the_longest_quota_is_named() -> None:
    world = World(MONEY, MONTH)
    for used in (8_000, 12_000):
        world.ends(world.goes(100), RequestReleaseOutcome(kind="success", usage=Usage(used, 0)))
    denied = world.asked()
    assert denied is not None
    assert denied.detail == "key k has used its month (0.02 of 0.02 by spend_per_month): until 2026-12-01"
    assert denied.diagnostics["quota"] == "spend_per_month"


def test_what_is_free_is_not_bounded_by_money() -> None:
    world = World(MONEY)
    world.ends(world.goes(), RequestReleaseOutcome(kind="success", usage=Usage(10**7, 0)))
    assert world.asked() is not None
    assert world.asked(0) is None


@pytest.mark.parametrize(
    ("outcome", "used"),
    [
        (RequestReleaseOutcome(kind="success", usage=Usage(40, 7)), Amounts(1, 47, 110_000)),
        (RequestReleaseOutcome(kind="local_cancelled", usage=Usage(40)), Amounts(1, 90, 540_000)),
        (RequestReleaseOutcome(kind="local_cancelled"), Amounts(1, 150, 600_000)),
        (RequestReleaseOutcome(kind="provider_timeout"), Amounts(1, 150, 600_000)),
        (RequestReleaseOutcome(kind="provider_failure", ended="cut"), Amounts(1, 150, 600_000)),
        (RequestReleaseOutcome(kind="provider_failure", status=503), Amounts()),
        (RequestReleaseOutcome(kind="rate_limited"), Amounts()),
        (RequestReleaseOutcome(kind="local_timeout", went_out=False), Amounts()),
        (
            RequestReleaseOutcome(kind="success", usage=Usage(100, 0, cache_read_tokens=100)),
            Amounts(1, 100, 100_000),
        ),
    ],
)
def test_a_call_counts_for_its_usage_or_its_estimate_or_nothing(outcome: RequestReleaseOutcome, used: Amounts) -> None:
    world = World(TOKENS)
    world.ends(world.goes(100, 50), outcome)
    assert world.used == used


def test_another_configuration_goes_on_over_the_same_book() -> None:
    world = World(REQUESTS)
    call = world.goes()
    other = World(Quota("requests", "day", 1), book=world.book)
    assert other.asked() is not None
    world.ends(call, RequestReleaseOutcome(kind="rate_limited"))
    assert other.asked() is None


@pytest.mark.parametrize("seed", range(6))
def test_at_random_no_more_is_settled_than_the_quota_where_estimates_are_not_too_small(seed: int) -> None:
    rng = Random(seed)
    world = World(REQUESTS, TOKENS, MONEY)
    out: list[tuple[tuple[RequestAdmissionLease, object], int, int]] = []
    for _ in range(400):
        world.wall += rng.choice([1.0, 60.0, 3_600.0])
        if out and rng.random() < 0.5:
            call, tokens, output = out.pop(rng.randrange(len(out)))
            usage = Usage(rng.randrange(tokens + 1), rng.randrange(output + 1))
            world.ends(call, RequestReleaseOutcome(kind="success", usage=usage))
            continue
        tokens, output = rng.randrange(1, 400), rng.randrange(100)
        denied = world.asked(tokens, output)
        if denied is None:
            out.append((world.goes(tokens, output), tokens, output))
        elif Released(world.limiter.scope) not in denied.until and not denied.final:
            account = world.book.account("k", day_at(world.wall))
            assert account is not None
            assert account.used != account.out, "nothing is settled, and the call was refused for the rest of the day"
    for account in world.book.accounts():
        if len(account.period.name) > 7:
            assert account.used.requests <= 3
            assert account.used.tokens <= 1000
            assert account.used.cost <= BILLION // 100


class TestRequestsOfADayContract(RequestLimiterContract):
    scope = RequestGroupKey("k")
    quotas: tuple[Quota, ...] = (Quota("requests", "day", 200), Quota("tokens", "day", 100_000))

    def make_limiter(self, cap: int | None, seed: int) -> RequestLimiter:
        return QuotaLimiter("k", self.quotas, Book(), PRICES, lambda now: NOON + now)

    def test_a_lowered_cap_holds_at_once_and_a_raised_one_takes_nothing_away(self) -> None:
        """A quota has no use for the cap: neither changes an answer."""
        driver = self.driver()
        driver.admit_all()
        answer = driver.ask()
        driver.limiter.set_cap(2, driver.now)
        assert driver.ask() == answer
