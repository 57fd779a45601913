"""The journal: every finished cell, appended the moment it is known, so that nothing is paid for twice.

One JSON line per cell, which begins with a checksum of the rest. The first line says what run it belongs to
(`identity.py`). A line is given to the operating system in one write before anything else happens with its value, so
it survives the process being killed; `keep_on_disk` makes it survive the machine, by one fsync for all lines that came
since the last.

In memory is only where each value lies: eight bytes per cell (a million rows of four steps: 32 MB), not the values. A
killed process may leave half a line at the end; it is cut off when the journal is opened again. A damaged line
elsewhere counts as a cell that was not done: each is found, since a line is believed only with its checksum.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import zlib
from array import array
from collections.abc import Callable, Mapping, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any, Final

import trio

from penstock import ConfigError, Problem
from penstock_batch.rows.lines import json_line
from penstock_batch.store.identity import differences

if sys.platform != "win32":
    import fcntl

__all__ = ["Journal", "keep_on_disk"]

_MARK: Final = "penstock_batch_journal"
_VERSION: Final = 2
_WITHOUT_CHECKSUMS: Final = 1
_NOT_DONE: Final = -1
_NO_LINK: Final[int] = getattr(os, "O_NOFOLLOW", 0)
_CHECKED: Final = b'{"crc":"'
_SUM: Final = slice(len(_CHECKED), len(_CHECKED) + 8)
_REST: Final = len(_CHECKED) + 10


class CellIndex:
    """The places in the journal of each finished cell, and of each row's last error."""

    def __init__(self, steps: Sequence[str]) -> None:
        self._offsets = {step: array("q") for step in steps}
        self._errors: dict[int, int] = {}

    def note_value(self, row: int, step: str, offset: int) -> None:
        offsets = self._offsets[step]
        if row >= len(offsets):
            offsets.extend([_NOT_DONE] * (row + 1 - len(offsets)))
        offsets[row] = offset

    def note_error(self, row: int, offset: int) -> None:
        self._errors[row] = offset

    def value_at(self, row: int, step: str) -> int | None:
        offsets = self._offsets[step]
        if row >= len(offsets) or offsets[row] == _NOT_DONE:
            return None
        return offsets[row]

    def error_at(self, row: int) -> int | None:
        return self._errors.get(row)


class Journal:
    """An open journal, held by this process alone. Use as a context manager, or `close` it."""

    def __init__(
        self,
        path: Path,
        identity: Mapping[str, Any],
        steps: Sequence[str],
        *,
        rows: int | None = None,
        overwrite: bool = False,
    ) -> None:
        """Open the journal at `path`, or begin one; `overwrite` begins anew where there is one. A line of a row beyond
        `rows` counts as damaged.

        Raises `ConfigError` if it belongs to a run with another identity (naming what differs), is no journal, is in
        use by another process, or cannot be opened.
        """
        self.path = path
        self.steps = tuple(steps)
        self.damaged_lines = 0
        self._rows = rows
        self._index = CellIndex(self.steps)
        self._checked = True
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _NO_LINK, 0o600)
            if os.fstat(self._fd).st_uid == os.getuid():  # one that an earlier release made may be open to all
                os.fchmod(self._fd, stat.S_IRUSR | stat.S_IWUSR)
        except OSError as error:
            raise self._unusable(f"cannot be opened: {error.strerror or error}") from None
        try:
            self._lock()
            with path.open("rb") as file:
                self.resumed = self._load(file, identity, overwrite)
            # A reader of its own: the first one's buffer may hold what has been cut off and written over.
            self._reader = path.open("rb")
        except BaseException:
            os.close(self._fd)
            raise

    # -- what is known --

    def done(self, row: int) -> bool:
        """Whether every step of the row is finished."""
        return all(self._index.value_at(row, step) is not None for step in self.steps)

    def has(self, row: int, step: str) -> bool:
        """Whether this cell is finished."""
        return self._index.value_at(row, step) is not None

    def value(self, row: int, step: str) -> Any:
        """The value of a finished cell. Raises `KeyError` for one that is not, or was damaged since."""
        offset = self._index.value_at(row, step)
        if offset is None:
            raise KeyError(f"row {row} has no value for {step!r} yet")
        record = self._line_at(offset)
        if record is None:
            raise KeyError(f"the value of {step!r} in row {row} was damaged")
        return record["value"]

    def error(self, row: int) -> tuple[str, str] | None:
        """The step and reason of the row's last failure, also if it has been put right since."""
        offset = self._index.error_at(row)
        if offset is None:
            return None
        record = self._line_at(offset)
        return ("", "its error was damaged in the journal") if record is None else (record["step"], record["error"])

    # -- what is added --

    def finish(self, row: int, step: str, value: Any) -> None:
        """Record a finished cell. Raises `TypeError` or `ValueError` if the value is not JSON; `OSError` if it cannot
        be written.
        """
        self._index.note_value(row, step, self._append({"row": row, "step": step, "value": value}))

    def fail(self, row: int, step: str, error: str) -> None:
        """Record why a cell could not be done. Raises `OSError` if it cannot be written."""
        self._index.note_error(row, self._append({"row": row, "step": step, "error": error}))

    @property
    def size(self) -> int:
        """The bytes written so far."""
        return self._size

    def sync(self) -> None:
        """Wait until all that was written is on the disk. May be called from another thread."""
        os.fsync(self._fd)

    def close(self) -> None:
        self._reader.close()
        os.close(self._fd)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- inside --

    def _lock(self) -> None:
        if sys.platform == "win32":  # two runs at once on one output are not noticed there
            return
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise self._unusable("is being written by another run; wait for it, or stop it") from None

    def _append(self, record: Mapping[str, Any]) -> int:
        rest = json_line(record)[1:]
        return self._write(b'%s%08x",%s' % (_CHECKED, zlib.crc32(rest), rest))

    def _write(self, line: bytes) -> int:
        offset = self._size
        left = memoryview(line)
        while left:
            # A disk that is nearly full takes a part and then refuses: the torn line is cut off by the next start.
            written = os.write(self._fd, left)
            left = left[written:]
            self._size += written
        return offset

    def _line_at(self, offset: int) -> dict[str, Any] | None:
        self._reader.seek(offset)
        return self._record(self._reader.readline())

    def _record(self, line: bytes) -> dict[str, Any] | None:
        """What a line holds; `None` if it is damaged."""
        if line.startswith(_CHECKED):
            if line[_SUM] != b"%08x" % zlib.crc32(line[_REST:]):
                return None
        elif self._checked:
            return None
        try:
            record: dict[str, Any] = json.loads(line)
            row, step = record["row"], record["step"]
            known = step in self.steps and type(row) is int and row >= 0 and (self._rows is None or row < self._rows)
            return record if known and ("value" in record or isinstance(record["error"], str)) else None
        except (ValueError, TypeError, KeyError, RecursionError):
            return None

    def _load(self, file: BufferedReader, identity: Mapping[str, Any], overwrite: bool) -> bool:
        """Read the records that are there; returns whether there is a run to be resumed."""
        head = file.readline()
        mark = f'{{"{_MARK}"'.encode()
        if not head.startswith(mark) and not (mark.startswith(head) and not head.endswith(b"\n")):
            raise self._unusable("is not a journal of penstock run; move it away or name another output")
        before = None if overwrite or not head.endswith(b"\n") else self._identity_in(head)
        changed = [] if before is None else differences(before, identity)
        if changed and file.peek(1):
            raise self._unusable(
                "was begun with another configuration or input, so its cells cannot be used; "
                "put that back, name another output, or start anew with --overwrite",
                changed,
            )
        if before is None or changed:
            os.ftruncate(self._fd, 0)
            self._size = 0
            self._checked = True
            self._write(json_line({_MARK: _VERSION, "identity": identity}))
            return False
        self._size = len(head)
        for line in file:
            if not line.endswith(b"\n"):
                os.ftruncate(self._fd, self._size)
                break
            self._take(line)
            self._size += len(line)
        return True

    def _take(self, line: bytes) -> None:
        record = self._record(line)
        if record is None:
            self.damaged_lines += 1
        elif "value" in record:
            self._index.note_value(record["row"], record["step"], self._size)
        else:
            self._index.note_error(record["row"], self._size)

    def _identity_in(self, head: bytes) -> Mapping[str, Any]:
        try:
            record = json.loads(head)
            version, identity = record[_MARK], dict(record["identity"])
        except (ValueError, TypeError, KeyError, RecursionError):
            raise self._unusable("has a damaged first line; --overwrite starts anew") from None
        if version not in (_VERSION, _WITHOUT_CHECKSUMS):
            raise self._unusable(f"has version {version}, and this release reads {_VERSION}; --overwrite starts anew")
        self._checked = version == _VERSION
        return identity

    def _unusable(self, what: str, differences: Sequence[Problem] = ()) -> ConfigError:
        return ConfigError([Problem((), what, str(self.path)), *differences])


async def keep_on_disk(
    journal: Journal, changed: trio.MemoryReceiveChannel[None], pause: float, on_lost: Callable[[OSError], None]
) -> None:
    """Sync `journal` after each message on `changed`, not more often than every `pause` seconds, in a thread; ends
    with the channel, or with a call of `on_lost` when the disk refuses.

    Give the channel a buffer of one: what is written during a sync is taken by the next.
    """
    async for _ in changed:
        try:
            await trio.to_thread.run_sync(journal.sync)
        except OSError as error:
            on_lost(error)
            return
        await trio.sleep(pause)
