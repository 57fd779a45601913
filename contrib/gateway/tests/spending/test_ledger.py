"""The file of a ledger: what it keeps, whose it is, and what happens when it cannot be written."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock import ConfigError
from penstock_gateway.spending.book import KEPT_SECONDS, Amounts
from penstock_gateway.spending.ledger import Ledger, open_ledger
from penstock_gateway.spending.ledger_file import KEPT, LedgerFile
from penstock_gateway.spending.periods import DAY_SECONDS, day_at

pytestmark = pytest.mark.loopback

WALL = 1_796_000_000.0
TODAY = day_at(WALL)
SPENT = Amounts(2, 300, 4_000)


def nothing_said(line: str) -> None:
    raise AssertionError(line)


def spend(path: Path, used: Amounts = SPENT, key: str = "a") -> None:
    with open_ledger(path, lambda: 0.0, WALL) as ledger:
        ledger.book.settle(ledger.book.charge(key, Amounts(1), WALL), used)


def used_of(path: Path, key: str = "a") -> Amounts | None:
    with open_ledger(path, lambda: 0.0, WALL) as ledger:
        account = ledger.book.account(key, TODAY)
        return None if account is None else account.used


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as caught, open_ledger(path, lambda: 0.0, WALL):
        pass
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_what_was_used_is_there_after_the_end_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    spend(path)
    assert used_of(path) == SPENT
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_thread_writes_what_changes_and_a_call_that_is_out_counts_in_the_file_for_its_estimate(
    tmp_path: Path,
) -> None:
    path, written = tmp_path / "ledger.sqlite", threading.Event()

    class Seen(LedgerFile):
        def write(self, rows):  # type: ignore[no-untyped-def]
            super().write(rows)
            written.set()

    ledger = Ledger(Seen(path), lambda: 0.0, nothing_said)
    ledger.start()
    ledger.book.charge("a", SPENT, WALL)
    assert written.wait(60)
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as looking:
        assert looking.execute("SELECT requests, tokens, cost FROM used").fetchall() == [(2, 300, 4000)] * 2
    looking.close()
    ledger.close()


def test_a_ledger_is_used_by_one_gateway_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with open_ledger(path, lambda: 0.0, WALL):
        assert "is used by another gateway" in refused(path)


def garbage(path: Path) -> None:
    path.write_bytes(b"no database at all, but long enough to be read as one" * 100)
    path.chmod(0o600)


def foreign(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    path.chmod(0o600)


def damaged(path: Path) -> None:
    spend(path)
    raw = bytearray(path.read_bytes())
    raw[4096 : 4096 + 100] = b"\xff" * 100
    path.write_bytes(raw)


def later(path: Path) -> None:
    spend(path)
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 2")
    other.close()


def nonsense(path: Path) -> None:
    spend(path)
    other = sqlite3.connect(path)
    with other:
        other.execute("UPDATE used SET period = 'yesterday' WHERE period = ?", (TODAY.name,))
    other.close()


def negative(path: Path) -> None:
    spend(path)
    other = sqlite3.connect(path)
    with other:
        other.execute("UPDATE used SET tokens = -5")
    other.close()


def boundless(path: Path) -> None:
    spend(path)
    other = sqlite3.connect(path)
    with other:
        other.execute("UPDATE used SET tokens = ?", (2**63 - 1,))
    other.close()


def linked(path: Path) -> None:
    target = path.with_name("theirs.sqlite")
    target.touch(0o600)
    path.symlink_to(target)


def hard_linked(path: Path) -> None:
    path.touch(0o600)
    path.with_name("other name").hardlink_to(path)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (garbage, "file is not a database"),
        (foreign, "is a database of something else"),
        (damaged, "damaged"),
        (later, "has form 2, and this release knows 1"),
        (nonsense, "is no ledger that makes sense"),
        (negative, "-5 is no amount"),
        (boundless, "9223372036854775807 is no amount"),
        (linked, "is a link, which is not followed"),
        (hard_linked, "has another name too"),
        (lambda path: path.mkdir(), "cannot be opened: Is a directory"),
        (lambda path: path.touch(0o644), "can be read by others"),
        (lambda path: path.with_name("ledger.sqlite-journal").mkdir(), "cannot be used as the ledger"),
    ],
)
def test_what_cannot_be_used_is_told(tmp_path: Path, made: Callable[[Path], None], message: str) -> None:
    path = tmp_path / "ledger.sqlite"
    made(path)
    assert message in refused(path)


@pytest.mark.parametrize("made", [garbage, foreign])
def test_what_is_no_ledger_is_left_as_it_is(tmp_path: Path, made: Callable[[Path], None]) -> None:
    path = tmp_path / "ledger.sqlite"
    made(path)
    before = path.read_bytes()
    refused(path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_database_that_another_program_has_locked_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock_gateway.spending.ledger_file.LOCK_SECONDS", 0.0)
    path = tmp_path / "ledger.sqlite"
    spend(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert "database is locked" in refused(path)
    other.close()


class Disk:
    """A ledger whose disk fails as long as it is told to; its thread does not run."""

    def __init__(self, path: Path) -> None:
        self.full = False
        self.now = 0.0
        self.said: list[str] = []
        disk = self

        class Full(LedgerFile):
            def write(self, rows):  # type: ignore[no-untyped-def]
                if disk.full:
                    raise sqlite3.OperationalError("database or disk is full")
                super().write(rows)

        self.ledger = Ledger(Full(path), lambda: self.now, self.said.append)


def test_when_the_disk_fails_the_book_goes_on_and_says_so_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    disk = Disk(path)
    ledger = disk.ledger
    disk.full = True
    ledger.book.settle(ledger.book.charge("a", SPENT, WALL), SPENT)
    assert not ledger.write_now()
    disk.now = 30.0
    ledger.book.settle(ledger.book.charge("a", SPENT, WALL), SPENT)
    assert not ledger.write_now()
    assert (ledger.failing, ledger.behind) == ("database or disk is full", 30.0)
    assert len(disk.said) == 1
    assert "calls go on" in disk.said[0]
    disk.full = False
    assert ledger.write_now()
    assert (ledger.failing, ledger.behind) == ("", 0.0)
    assert "is written again" in disk.said[1]
    ledger.close()
    assert used_of(path) == SPENT + SPENT


def test_what_is_used_while_a_writing_fails_counts_for_more_than_what_was_to_be_written(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"

    class Fails(LedgerFile):
        fails = True

        def write(self, rows):  # type: ignore[no-untyped-def]
            if self.fails:
                self.fails = False
                ledger.book.settle(ledger.book.charge("a", SPENT, WALL), SPENT)
                raise sqlite3.OperationalError("disk I/O error")
            super().write(rows)

    ledger = Ledger(Fails(path), lambda: 0.0, lambda _: None)
    ledger.book.settle(ledger.book.charge("a", SPENT, WALL), SPENT)
    assert not ledger.write_now()
    assert ledger.write_now()
    ledger.close()
    assert used_of(path) == SPENT + SPENT


def test_what_cannot_be_written_at_the_end_is_told(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "ledger.sqlite")
    disk.ledger.book.charge("a", SPENT, WALL)
    disk.full, disk.now = True, 7.0
    disk.ledger.close()
    assert "what was used in the last 7 s is not in the ledger" in disk.said[-3]
    of_day, of_month = disk.said[-2:]
    assert of_day == f"key a has used in {TODAY.name} by now: 2 requests, 300 tokens, 4e-06 of money"
    assert TODAY.name[:7] in of_month


def test_at_the_end_who_looks_into_the_ledger_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock_gateway.spending.ledger_file.LOCK_SECONDS", 0.0)
    path, said = tmp_path / "ledger.sqlite", list[str]()

    def hears(line: str) -> None:
        said.append(line)
        other.rollback()

    ledger = Ledger(LedgerFile(path), lambda: 0.0, hears)
    ledger.book.charge("a", SPENT, WALL)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")  # until it is told that the ledger cannot be written
    ledger.close()
    other.close()
    assert [("locked" in line, "written again" in line) for line in said] == [(True, False), (False, True)]
    assert used_of(path) == SPENT


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_a_ledger_that_fails_goes_on_where_nobody_can_be_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(LedgerFile(path), lambda: 0.0)
    path.rename(tmp_path / "elsewhere")
    ledger.book.charge("a", SPENT, WALL)
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stderr", full)
        assert not ledger.write_now()
        monkeypatch.undo()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, full.fileno())  # lest its end fail too
        os.close(null)
    (tmp_path / "elsewhere").rename(path)
    ledger.close()
    assert used_of(path) == SPENT


def test_whatever_goes_wrong_with_the_file_its_thread_goes_on(tmp_path: Path) -> None:
    path, says = tmp_path / "ledger.sqlite", threading.Semaphore(0)

    class Odd(LedgerFile):
        fails = True

        def write(self, rows):  # type: ignore[no-untyped-def]
            if self.fails:
                raise OverflowError("Python int too large to convert to SQLite INTEGER")
            super().write(rows)

    file, said = Odd(path), list[str]()

    def say(line: str) -> None:
        said.append(line)
        says.release()

    ledger = Ledger(file, lambda: 0.0, say)
    ledger.start()
    ledger.book.charge("a", SPENT, WALL)
    assert says.acquire(timeout=30)
    assert "too large to convert" in said[0]
    file.fails = False
    ledger.close()
    assert used_of(path) == SPENT


def test_a_file_that_is_moved_away_while_it_is_used_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    disk = Disk(path)
    os.rename(path, tmp_path / "moved")
    path.touch(0o600)
    disk.ledger.book.charge("a", SPENT, WALL)
    assert not disk.ledger.write_now()
    assert "has been moved away" in disk.ledger.failing
    disk.ledger.close()


def test_old_periods_leave_the_file_by_their_number_and_not_by_the_clock(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    file = LedgerFile(path)
    names = [day_at(WALL - number * DAY_SECONDS).name for number in range(KEPT + 5)]
    file.write([("a", name, Amounts(1)) for name in names])
    file.close()
    file = LedgerFile(path)
    assert sorted(name for _, name, _ in file.read()) == sorted(names)[5:]
    file.close()
    with open_ledger(path, lambda: 0.0, WALL) as ledger:
        known = [account.period for account in ledger.book.accounts()]
    assert len(known) < 50
    assert min(period.end for period in known) > WALL - KEPT_SECONDS
