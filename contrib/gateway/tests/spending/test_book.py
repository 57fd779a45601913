"""The book of what keys have used, against a naive one: a list of all calls that ever were."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

import attrs
import pytest

from penstock_gateway.spending.book import KEPT_SECONDS, NOTHING, Account, Amounts, Book, Charge
from penstock_gateway.spending.periods import DAY_SECONDS, day_at, month_at, period_named

EVENING = datetime(2026, 11, 30, 23, 59, 50, tzinfo=UTC).timestamp()


@attrs.define
class Call:
    """What the naive book knows of a call."""

    key: str
    day: str
    month: str
    used: Amounts
    out: bool = True


def text(moment: float, form: str) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime(form)


def check(book: Book, calls: list[Call]) -> None:
    book.check_invariants()
    for account in book.accounts():
        of_it = [call for call in calls if call.key == account.key and account.period.name in (call.day, call.month)]
        assert account.used == sum((call.used for call in of_it), NOTHING)
        assert account.out == sum((call.used for call in of_it if call.out), NOTHING)


@pytest.mark.parametrize("seed", range(4))
def test_the_book_says_what_a_list_of_all_calls_says_wherever_the_clock_jumps(seed: int) -> None:
    rng = Random(seed)
    changed: dict[tuple[str, str], Amounts] = {}

    def noted(account: Account) -> None:
        changed[account.key, account.period.name] = account.used

    book, calls = Book(noted), list[Call]()
    out: list[tuple[Call, Charge]] = []
    wall = EVENING
    for _ in range(200):
        wall += rng.choice([0.0, 1.0, 5.0, 3_600.0, DAY_SECONDS, -7.0, -3_600.0, -DAY_SECONDS])
        amounts = Amounts(1, rng.randrange(2000), rng.randrange(10**9))
        if out and rng.random() < 0.5:
            call, charge = out.pop(rng.randrange(len(out)))
            call.used, call.out = rng.choice([NOTHING, amounts, call.used]), False
            book.settle(charge, call.used)
        else:
            key = rng.choice("ab")
            calls.append(Call(key, text(wall, "%Y-%m-%d"), text(wall, "%Y-%m"), amounts))
            out.append((calls[-1], book.charge(key, amounts, wall)))
        check(book, calls)
    again = Book()
    again.open_with([(key, name, used) for (key, name), used in changed.items()], wall)
    assert {(each.key, each.period): each.used for each in again.accounts()} == {
        (each.key, each.period): each.used for each in book.accounts()
    }


def test_a_call_over_midnight_counts_for_the_day_in_which_it_went_out() -> None:
    book = Book()
    charge = book.charge("a", Amounts(1, 100, 0), EVENING)
    book.settle(charge, Amounts(1, 70, 0))
    before, after = book.account("a", day_at(EVENING)), book.account("a", day_at(EVENING + 20))
    assert before is not None
    assert before.used == Amounts(1, 70, 0)
    assert after is None


def test_a_call_is_settled_once() -> None:
    book = Book()
    charge = book.charge("a", Amounts(1), EVENING)
    book.settle(charge, NOTHING)
    with pytest.raises(ValueError, match="settled before"):
        book.settle(charge, NOTHING)


def test_a_clock_that_is_set_back_goes_on_with_what_was_used_of_that_day() -> None:
    book = Book()
    book.charge("a", Amounts(5), EVENING)
    book.charge("a", Amounts(2), EVENING + 60)
    book.charge("a", Amounts(1), EVENING)
    account = book.account("a", day_at(EVENING))
    assert account is not None
    assert account.used == Amounts(6)


def test_what_has_long_ended_is_forgotten_but_for_what_is_still_out() -> None:
    book = Book()
    charge = book.charge("a", Amounts(1), EVENING)
    book.settle(book.charge("b", Amounts(1), EVENING), Amounts(1))
    late = EVENING + KEPT_SECONDS + 32 * DAY_SECONDS
    for key in "ab":
        book.charge(key, Amounts(1), late)
    assert {each.period.name for each in book.accounts() if each.key == "b"} == {
        day_at(late).name,
        month_at(late).name,
    }
    book.settle(charge, NOTHING)
    book.check_invariants()


def test_periods_are_those_of_utc_and_known_by_their_names() -> None:
    for wall in (0.0, EVENING, EVENING + 10, datetime(2028, 2, 29, 12, tzinfo=UTC).timestamp(), -5.0, 1e18):
        for period in (day_at(wall), month_at(wall)):
            assert period_named(period.name) == period
            assert period.start < period.end
    assert day_at(EVENING + 10).start == month_at(EVENING + 10).start == EVENING + 10
    for name in ("2026-13", "2026-02-30", "today", "2026-1-1"):
        with pytest.raises(ValueError, match=r"\w"):
            period_named(name)
