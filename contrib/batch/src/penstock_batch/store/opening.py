"""The file of a store: made ours alone, told from other files, and locked against a second run."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

from penstock import ConfigError, Problem
from penstock_batch.store.samples import TABLES

if sys.platform != "win32":
    import fcntl

__all__ = ["APPLICATION", "VERSION", "StoreFile", "check_ours", "connected", "unusable", "whose"]

APPLICATION: Final = 0x50656E73
"""The letters Pens: by what SQLite knows whose file it is."""
VERSION: Final = 1
"""Of the tables; another one is not read."""
_FOREIGN: Final = "is a database, but no store of penstock run; move it away or name another output"
_MAGIC: Final = b"SQLite format 3\0"
_NO_LINK: Final[int] = getattr(os, "O_NOFOLLOW", 0)
_SCHEMA: Final = """
CREATE TABLE answers (
  id INTEGER PRIMARY KEY, key BLOB NOT NULL, row INTEGER NOT NULL, step TEXT NOT NULL, at REAL NOT NULL,
  ended TEXT, by TEXT, input_tokens INTEGER, output_tokens INTEGER, cost REAL,
  body BLOB NOT NULL, vector BLOB, crc INTEGER NOT NULL, retired INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX by_key ON answers (key);
CREATE TABLE claims (base BLOB NOT NULL, row INTEGER NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (base, row))
  WITHOUT ROWID;
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


def unusable(path: Path, what: str) -> ConfigError:
    """What is said of a store that cannot be used."""
    return ConfigError(Problem((), what, str(path)))


class StoreFile:
    """The file at `path`, held by this process alone until `close`. It is made, for its owner alone, where there is
    none.

    Raises `ConfigError` if it is a link, no store, or in use by another process.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | _NO_LINK, 0o600)
        except OSError as error:
            raise unusable(path, f"cannot be opened: {error.strerror or error}") from None
        try:
            if hasattr(os, "getuid") and os.fstat(self._fd).st_uid == os.getuid():
                os.fchmod(self._fd, stat.S_IRUSR | stat.S_IWUSR)
            if sys.platform != "win32":  # two runs at once on one output are not noticed there
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            head = os.read(self._fd, len(_MAGIC))
        except OSError:
            os.close(self._fd)
            raise unusable(path, "is being written by another run; wait for it, or stop it") from None
        if head and head != _MAGIC:
            os.close(self._fd)
            raise unusable(path, "is no store of penstock run; move it away or name another output")

    def close(self) -> None:
        """Let go of the file. After all connections are closed: SQLite loses its locks with any descriptor of it."""
        os.close(self._fd)


def whose(connection: sqlite3.Connection) -> tuple[int, int]:
    """Whose file a database is, as `APPLICATION`, and its version."""
    application, version = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    return application, version


def check_ours(path: Path) -> None:
    """Raises `ConfigError` if the database at this path is somebody else's. Of one that is too damaged to be read
    nobody can say that.
    """
    try:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=10.0)) as connection:
            application, _ = whose(connection)
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    except sqlite3.Error:
        return
    if tables and application != APPLICATION:
        raise unusable(path, _FOREIGN)


def connected(path: Path) -> sqlite3.Connection:
    """A connection to a store, whose tables are made if the file is empty. Raises `ConfigError` for what is none."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
    try:
        application, version = whose(connection)
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if not tables:
            connection.execute("PRAGMA page_size = 8192")
        elif application != APPLICATION:
            raise unusable(path, _FOREIGN)
        elif version != VERSION:
            what = f"has version {version}, and this release reads {VERSION}; --overwrite starts anew"
            raise unusable(path, what)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA cache_size = -4096")  # KiB; each connection has its own
        if not tables:
            script = (
                f"BEGIN;{_SCHEMA}{TABLES}PRAGMA application_id = {APPLICATION};PRAGMA user_version = {VERSION};COMMIT;"
            )
            connection.executescript(script)
    except sqlite3.Error as error:
        connection.close()
        raise unusable(path, f"cannot be used: {error}; put a copy back, or start anew with --overwrite") from None
    except BaseException:
        connection.close()
        raise
    return connection
