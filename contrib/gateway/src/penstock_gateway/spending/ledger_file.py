"""The file of a ledger: SQLite, for its owner alone, told from other files, and held by one gateway at a time.

Nothing is opened that is a link, belongs to somebody else or is no ledger, and nothing of such a file is changed. That
it can be written is tried when it is opened, not when the first call has been paid for.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
from collections.abc import Iterable
from os.path import exists, isdir, isfile, islink
from pathlib import Path
from typing import Final

from penstock import ConfigError, Problem
from penstock_gateway.spending.book import Amounts

if sys.platform != "win32":
    import fcntl

__all__ = ["LedgerFile", "Row", "check_place"]

Row = tuple[str, str, Amounts]
"""A key, the name of a period, and what was used."""

MARK: Final = 0x50654C64
"""The letters PeLd, by which SQLite knows whose file it is."""
FORM: Final = 1
"""Of the tables; another one is not read."""
_MOST: Final = 2**62
"""What one can have used: half of what SQLite's integers hold, so that there is room for what comes."""
KEPT: Final = 800
"""How many periods stay in the file: two years of days and months."""
LOCK_SECONDS: Final = 2.0
"""How long another program's look into it is waited for."""
_TABLES: Final = """
BEGIN;
CREATE TABLE used (
  key TEXT NOT NULL, period TEXT NOT NULL,
  requests INTEGER NOT NULL, tokens INTEGER NOT NULL, cost INTEGER NOT NULL,
  PRIMARY KEY (key, period)
) WITHOUT ROWID;
PRAGMA application_id = {mark};
PRAGMA user_version = {form};
COMMIT;
"""
_PUT: Final = (
    "INSERT INTO used VALUES (?, ?, ?, ?, ?) ON CONFLICT (key, period) DO UPDATE SET"
    " requests = excluded.requests, tokens = excluded.tokens, cost = excluded.cost"
)
_PRUNE: Final = (
    "DELETE FROM used WHERE period NOT IN"
    " (SELECT period FROM (SELECT DISTINCT period FROM used) ORDER BY period DESC LIMIT ?)"
)


class LedgerFile:
    """The ledger at `path`, held by this process until `close`; it is made where there is none.

    Raises `ConfigError` with what is wrong with it. `read` and `write` raise `OSError` or `sqlite3.Error`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held = _held(path)
        try:
            self._database = _opened(path)
        except ConfigError:
            os.close(self._held)
            raise
        except sqlite3.Error as error:
            os.close(self._held)
            raise _unusable(path, f"cannot be used as the ledger of a gateway: {error}") from None

    def read(self) -> list[Row]:
        """All that stands in it. Raises `ConfigError` where that is none of a ledger's."""
        try:
            found = self._database.execute("SELECT key, period, requests, tokens, cost FROM used").fetchall()
            return [(str(key), str(period), Amounts(*map(_whole, amounts))) for key, period, *amounts in found]
        except (sqlite3.Error, ValueError) as error:
            raise _unusable(self.path, f"cannot be read: {error}") from None

    def write(self, rows: Iterable[Row]) -> None:
        """Put down what was used by now: all of it, on the disk, or nothing."""
        there, held = os.stat(self.path, follow_symlinks=False), os.fstat(self._held)
        if (there.st_dev, there.st_ino) != (held.st_dev, held.st_ino):
            raise OSError(f"{self.path} has been moved away, and another file put in its place")
        with self._database as transaction:
            transaction.execute("BEGIN IMMEDIATE")
            transaction.executemany(
                _PUT, [(key, name, used.requests, used.tokens, used.cost) for key, name, used in rows]
            )

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()
        os.close(self._held)  # last: SQLite loses its locks with any descriptor of the file


def check_place(path: Path) -> None:
    """Look whether there could be a ledger at `path`, without making one. Raises `ConfigError` where it could not."""
    try:
        path.lstat()
    except FileNotFoundError:
        pass
    except OSError as error:  # too long a name, a folder that may not be looked into
        raise _unusable(path, f"cannot be opened: {error.strerror or error}") from None
    if islink(path):
        raise _unusable(path, "is a link, which is not followed")
    if exists(path):
        if not isfile(path):
            raise _unusable(path, "is no plain file")
        if not os.access(path, os.R_OK | os.W_OK):
            raise _unusable(path, "may not be written by this user")
    elif not isdir(path.parent):
        raise _unusable(path, "is in a folder that is not there")
    elif not os.access(path.parent, os.W_OK | os.X_OK):
        raise _unusable(path, "is in a folder in which this user may make no file")


def _held(path: Path) -> int:
    try:
        held = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    except OSError as error:
        told = f"cannot be opened: {error.strerror or error}"
        raise _unusable(path, "is a link, which is not followed" if islink(path) else told) from None
    found, wrong = os.fstat(held), ""
    if not stat.S_ISREG(found.st_mode):
        wrong = "is no plain file"
    elif hasattr(os, "geteuid") and found.st_uid != os.geteuid():
        wrong = f"belongs to another user (uid {found.st_uid})"
    elif found.st_nlink > 1:
        wrong = "has another name too (a hard link); give the gateway a file of its own"
    elif found.st_mode & 0o077:
        wrong = f"can be read by others (mode {stat.S_IMODE(found.st_mode):o}); `chmod 600` it"
    elif sys.platform != "win32":
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            wrong = "is used by another gateway; stop that, or name another file by gateway.ledger"
    if wrong:
        os.close(held)
        raise _unusable(path, wrong)
    return held


def _opened(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=LOCK_SECONDS)
    try:
        mark, form, tables = (
            database.execute(question).fetchone()[0]
            for question in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
        )
        if (tables or mark) and mark != MARK:
            raise _unusable(path, "is a database of something else; name another file by gateway.ledger")
        if tables and form != FORM:
            raise _unusable(path, f"has form {form}, and this release knows {FORM}; update, or move the file away")
        database.execute("PRAGMA synchronous = FULL")
        if not tables:
            database.executescript(_TABLES.format(mark=MARK, form=FORM))
        wrong = database.execute("PRAGMA quick_check(1)").fetchone()[0]
        if wrong != "ok":
            raise _unusable(path, f"is damaged ({wrong:.100}); put a copy back, or move it away and begin anew")
        database.execute("BEGIN IMMEDIATE")
        database.execute(_PRUNE, (KEPT,))
        database.execute(f"PRAGMA user_version = {FORM}")  # something is written, whatever there was to be pruned
        database.execute("COMMIT")
    except BaseException:
        database.close()
        raise
    return database


def _whole(amount: object) -> int:
    if not isinstance(amount, int) or not 0 <= amount <= _MOST:
        raise ValueError(f"{amount!r:.40} is no amount")
    return amount


def _unusable(path: Path, what: str) -> ConfigError:
    return ConfigError(Problem(("gateway", "ledger"), f"{path} {what}"))
