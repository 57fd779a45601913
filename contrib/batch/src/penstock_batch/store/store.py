"""The store: every answer, kept under what was asked, so that nothing is paid for twice.

One SQLite file. Answers lie in the order of their arrival and are found by a key of sixteen bytes; each has a checksum,
and one that is damaged counts as not there. What is added is in memory until the next commit, where it is found as
well; commits are made in groups, by `keep_committing` in a thread, and each tells those who wait for it. No prompt and
no key of a provider is in it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import trio

from penstock import PenstockError
from penstock_batch.store.answer import Answer
from penstock_batch.store.encoding import checksum, encoded, sound
from penstock_batch.store.opening import StoreFile, connected, unusable

__all__ = ["Store", "StoreLost", "keep_committing"]

_AT_A_TIME: Final = 500
"""Keys in one question: below what SQLite takes everywhere."""
_ADD: Final = "INSERT INTO answers VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,0)"
_ADOPT: Final = "UPDATE answers SET row = ? WHERE key = ?"
_RETIRE: Final = "UPDATE answers SET retired = 1 WHERE key = ?"
_CLAIM: Final = "INSERT OR REPLACE INTO claims VALUES (?,?,?)"
_FACT: Final = "INSERT OR REPLACE INTO facts VALUES (?,?)"
_FORGET: Final = "DELETE FROM facts WHERE name = ?"
_DROPPED: Final = "last number of those that were there when some were dropped"
_LAST: Final = (  # no number is given twice: by them it is known what was counted already
    "SELECT max(ifnull((SELECT max(id) FROM answers), 0), "
    "ifnull((SELECT CAST(value AS INTEGER) FROM facts WHERE name = ?), 0))"
)
_FIND: Final = (  # by their numbers, in whose order they lie
    "SELECT key, body, vector, crc, row, step FROM answers "
    "WHERE id IN (SELECT id FROM answers WHERE key IN ({})) AND id < ? AND NOT retired ORDER BY id"
)


class StoreLost(PenstockError):
    """The loss of the store, which cannot be written or read any more: further answers would be paid for and lost."""

    def __init__(self, path: Path, error: Exception, doing: Literal["written", "read"] = "written") -> None:
        remedy = "; put a copy back, or start anew with --overwrite" if doing == "read" else ""
        super().__init__(f"{path}: cannot be {doing}: {getattr(error, 'strerror', None) or error}{remedy}")


class Store:
    """An open store, held by this process alone. Use as a context manager, or `close` it.

    Raises `ConfigError` if the file is no store, cannot be opened, or is in use by another process.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged = 0
        """Answers that were found damaged since it was opened: they count as not there."""
        self._file = StoreFile(path)
        try:
            self._writing = connected(path)
            self._reading = connected(path)
        except BaseException:
            self._file.close()
            raise
        try:
            self._next: int = 1 + self._ask(_LAST, (_DROPPED,))[0][0]
            self._has_claims = bool(self._ask("SELECT 1 FROM claims LIMIT 1"))
        except StoreLost as error:
            self.close()
            raise unusable(
                path, f"is damaged: {error.__cause__}; put a copy back, or start anew with --overwrite"
            ) from None
        self._on_disk = self._next
        """Answers with lower numbers are committed; the others are in memory."""
        self._pending: list[tuple[str, tuple[Any, ...]]] = []
        self._by_key: dict[bytes, list[Answer]] = {}
        self._claims: dict[tuple[bytes, int], int] = {}
        self._adopted: dict[bytes, int] = {}
        self._committing: list[tuple[str, tuple[Any, ...]]] = []
        self._with_this_group = trio.Event()
        self._with_the_next = trio.Event()
        self.lost: StoreLost | None = None
        """Why nothing can be kept any more."""

    # -- answers --

    def find(self, keys: Sequence[bytes]) -> dict[bytes, tuple[Answer, ...]]:
        """The answers under each of these keys that has any, in the order in which they came."""
        found: dict[bytes, tuple[Answer, ...]] = {}
        adopted = self._adopted
        for at in range(0, len(keys), _AT_A_TIME):
            part = keys[at : at + _AT_A_TIME]
            question = _FIND.format(",".join("?" * len(part)))
            for key, body, vector, crc, row, step in self._ask(question, (*part, self._on_disk)):
                answer = sound(key, body, vector, crc, adopted.get(key, row) if adopted else row, step)
                if answer is None:
                    self.damaged += 1
                else:
                    found[key] = (*found[key], answer) if key in found else (answer,)
        if self._by_key:
            for key in dict.fromkeys(keys):
                if key in self._by_key:
                    found[key] = (*found.get(key, ()), *self._by_key[key])
        return found

    def add(self, key: bytes, step: str, answer: Answer, *, vector: bool = False) -> None:
        """Keep an answer of `step` under `key`; on the disk with the next commit. Raises `TypeError` or `ValueError` if
        it is not JSON.
        """
        body, floats = encoded(answer, vector=vector)
        usage = answer.usage
        row = (
            *(self._next, key, answer.row, step, answer.at, answer.ended, answer.by),
            *(usage.input_tokens, usage.output_tokens, answer.cost, body, floats, checksum(key, body, floats)),
        )
        self._next += 1
        self._pending.append((_ADD, row))
        self._by_key.setdefault(key, []).append(answer.but(step=step))

    def adopt(self, key: bytes, row: int) -> None:
        """Remember that the answers under this key are those of another row now."""
        self._adopted[key] = row
        self._pending.append((_ADOPT, (row, key)))

    def retire(self, key: bytes) -> None:
        """Find the answers under this key no more after the next commit; they stay for the accounts."""
        self._pending.append((_RETIRE, (key,)))

    def drop(self, condition: str, values: Sequence[Any]) -> None:
        """Throw the answers away of which this condition in SQL is true, with the next commit."""
        self.note(_DROPPED, str(self.last))
        self._pending.append((f"DELETE FROM answers WHERE {condition}", tuple(values)))

    # -- which of several equal calls a row has --

    def number(self, base: bytes, row: int) -> int | None:
        """The number under which this row has this call, as far as is remembered; never 0."""
        if (base, row) in self._claims:
            return self._claims[base, row]
        if not self._has_claims:
            return None
        found = self._ask("SELECT number FROM claims WHERE base = ? AND row = ?", (base, row))
        return found[0][0] if found else None

    def claim(self, base: bytes, row: int, number: int) -> None:
        """Remember that this row has the `number`-th of several equal calls."""
        self._has_claims = True
        self._claims[base, row] = number
        self._pending.append((_CLAIM, (base, row, number)))

    # -- facts of runs --

    def fact(self, name: str) -> str | None:
        """What was remembered under this name."""
        found = self._ask("SELECT value FROM facts WHERE name = ?", (name,))
        return found[0][0] if found else None

    def note(self, name: str, value: str) -> None:
        """Remember a fact, with the next commit."""
        self._pending.append((_FACT, (name, value)))

    def forget(self, name: str) -> None:
        """Forget a fact, with the next commit."""
        self._pending.append((_FORGET, (name,)))

    @property
    def last(self) -> int:
        """The number of the last answer that was added; 0 before the first."""
        return self._next - 1

    def put(self, statement: str, row: tuple[Any, ...]) -> None:
        """Carry out a statement with the next commit, which concerns no answer."""
        self._pending.append((statement, row))

    # -- commits --

    @property
    def dirty(self) -> bool:
        """Whether something waits for a commit."""
        return bool(self._pending)

    async def committed(self) -> None:
        """Wait until all that was added before is on the disk, while `keep_committing` is at work. Raises
        `StoreLost`.
        """
        if self._pending:
            await self._with_the_next.wait()
        elif self._committing:
            await self._with_this_group.wait()
        if self.lost is not None:
            raise self.lost

    def begin_commit(self) -> Callable[[], None]:
        """What writes all that was added, to be called in another thread; `end_commit` comes after it."""
        work = self._committing = self._pending
        self._pending = []
        self._with_this_group, self._with_the_next = self._with_the_next, trio.Event()
        return lambda: self._write(work)

    def end_commit(self, lost: StoreLost | None = None) -> None:
        """Note that the group is on the disk, or that the store is `lost`, and wake who waits for it."""
        done, self._committing = self._committing, []
        self.lost = self.lost or lost
        for statement, row in done:
            if statement is _CLAIM:
                if self._claims.get(row[:2]) == row[2]:  # it may be claimed anew by now
                    del self._claims[row[:2]]
            elif statement is _ADOPT:
                if self._adopted.get(row[1]) == row[0]:
                    del self._adopted[row[1]]
            elif statement is _ADD:
                answers = self._by_key[row[1]]
                del answers[0]
                self._on_disk = row[0] + 1
                if not answers:
                    del self._by_key[row[1]]
        self._with_this_group.set()
        if self.lost is not None:
            self._with_the_next.set()

    def commit(self) -> None:
        """Commit all that was added, here and now. Raises `StoreLost`."""
        self.begin_commit()()
        self.end_commit()

    def _write(self, work: Sequence[tuple[str, tuple[Any, ...]]]) -> None:
        writing = self._writing
        try:
            writing.execute("BEGIN")
            try:
                for statement in dict.fromkeys(statement for statement, _ in work):
                    writing.executemany(statement, [row for each, row in work if each is statement])
                writing.execute("COMMIT")
            except BaseException:
                if writing.in_transaction:
                    writing.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise StoreLost(self.path, error) from error

    # -- looking --

    def _ask(self, question: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._reading.execute(question, values).fetchall()
        except sqlite3.Error as error:
            raise StoreLost(self.path, error, "read") from error

    def close(self) -> None:
        """Close it; what was added since the last commit is lost."""
        self._reading.close()
        self._writing.close()
        self._file.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


async def keep_committing(
    store: Store, changed: trio.MemoryReceiveChannel[None], pause: float, on_lost: Callable[[StoreLost], None]
) -> None:
    """Commit what was added after each message on `changed`, in a thread, when `pause` seconds have gathered a group;
    ends with the channel, or with a call of `on_lost` when the disk refuses. Give the channel a buffer of one.
    """
    limiter = trio.CapacityLimiter(1)
    async for _ in changed:
        await trio.sleep(pause)
        with trio.CancelScope(shield=True):  # what has been begun ends: a group is whole or not there
            try:
                await trio.to_thread.run_sync(store.begin_commit(), limiter=limiter)
            except StoreLost as lost:
                store.end_commit(lost)
                on_lost(lost)
                return
            store.end_commit()
