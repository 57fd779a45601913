"""The ledger of a gateway: the book, and the thread that keeps it in a file.

The loop changes the book, and leaves the accounts that have changed to the thread, which writes all of them as one
transaction a moment later: what is in the file is at most a second old. It has the estimates of calls that are out in
it, so whoever kills the process has them counted as used.

When the disk fails, calls go on. The book is in memory and right, so every limit is kept; what cannot be written is
tried again each second, told on standard error, and in figures (`failing`, `behind`). To refuse every call because the
disk is full would end the service to protect an amount that only a kill in that state would lose. A gateway that is
started on such a disk does not start.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from penstock import ConfigError, Problem, printable
from penstock_gateway.saying import say
from penstock_gateway.spending.book import BILLION, Account, Amounts, Book
from penstock_gateway.spending.ledger_file import LedgerFile, Row

__all__ = ["Ledger", "open_ledger"]

PAUSE: Final = 0.25
"""Seconds in which changes gather."""
RETRY: Final = 1.0
"""Seconds until what could not be written is tried again."""
LAST_TRIES: Final = 5
"""How often it is tried at the end, where another program has it locked: each waits for that."""
MOST_TOLD: Final = 50


def _say(line: str) -> None:
    say(f"penstock: {line}")


class Ledger:
    """The book of a gateway and its file. `clock` is seconds of any clock that only goes forward."""

    def __init__(self, file: LedgerFile, clock: Callable[[], float], say: Callable[[str], None] = _say) -> None:
        self.book = Book(self._changed)
        self.failing = ""
        """Why the last writing failed; empty while it goes well."""
        self._locked = False
        """Whether that was another program's look into it."""
        self._file = file
        self._clock = clock
        self._say = say
        self._lock = threading.Lock()
        self._pending: dict[tuple[str, str], Amounts] = {}
        self._oldest: float | None = None
        self._work, self._end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="penstock ledger", daemon=True)

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._file.path

    @property
    def behind(self) -> float:
        """The age of the oldest change that is not in the file yet, in seconds."""
        with self._lock:
            return 0.0 if self._oldest is None else max(0.0, self._clock() - self._oldest)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def write_now(self) -> bool:
        """Whether all changes are in the file; who asks waits for the disk."""
        with self._lock:
            rows: list[Row] = [(key, period, used) for (key, period), used in self._pending.items()]
            taken, since = self._pending, self._oldest
            self._pending, self._oldest = {}, None
        if not rows:
            return True
        try:
            self._file.write(rows)
        except Exception as error:  # whatever it is: the thread goes on, and says so
            self._locked = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
            with self._lock:
                self._pending = {**taken, **self._pending}
                self._oldest = since
            if not self.failing:
                what = f"the ledger {self.path} cannot be written, and calls go on: {error}"
                self._say(f"{printable(what)}; limits are kept, and what is not written is lost if this process dies")
            self.failing = str(error)
            return False
        if self.failing:
            self._say(f"the ledger {printable(str(self.path))} is written again")
            self.failing = ""
        return True

    def close(self) -> None:
        """Write what is left, and let go of the file."""
        self._end.set()
        self._work.set()
        if self._thread.ident is not None:
            self._thread.join()
        for _ in range(LAST_TRIES):
            written = self.write_now()
            if written or not self._locked:
                break
        if not written:
            self._say(f"what was used in the last {self.behind:.0f} s is not in the ledger: {printable(self.failing)}")
            for line in self._unwritten():
                self._say(line)
        self._file.close()

    def _unwritten(self) -> Iterator[str]:
        """What would have to stand in the file, for whoever puts it in by hand."""
        rows = [*self._pending.items()]
        for (key, period), used in rows[:MOST_TOLD]:
            what = f"{used.requests} requests, {used.tokens} tokens, {used.cost / BILLION:.7g} of money"
            yield f"key {printable(key)} has used in {period} by now: {what}"
        if len(rows) > MOST_TOLD:
            yield f"and of {len(rows) - MOST_TOLD} more"

    def _changed(self, account: Account) -> None:
        with self._lock:
            self._pending[account.key, account.period.name] = account.used
            if self._oldest is None:
                self._oldest = self._clock()
        self._work.set()

    def _run(self) -> None:
        while True:
            self._work.wait()
            if self._end.wait(PAUSE):
                return
            self._work.clear()
            if not self.write_now():
                self._work.set()
                if self._end.wait(RETRY):
                    return


@contextmanager
def open_ledger(path: Path, clock: Callable[[], float], wall: float) -> Iterator[Ledger]:
    """The ledger in a file while the block runs. Raises `ConfigError` where it cannot be read and written."""
    file = LedgerFile(path)
    try:
        ledger = Ledger(file, clock)
        try:
            ledger.book.open_with(file.read(), wall)
        except ValueError as error:
            what = f"{path} is no ledger that makes sense: {error}"
            raise ConfigError(Problem(("gateway", "ledger"), what)) from None
    except BaseException:
        file.close()
        raise
    ledger.start()
    try:
        yield ledger
    finally:
        ledger.close()
