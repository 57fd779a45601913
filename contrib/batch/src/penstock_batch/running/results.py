"""The rows that are over, until they are assembled: each as a line of JSON in a file that nobody else sees.

Rows end in any order, and the output has that of the input. In memory is only where each line lies, eight bytes a row.
"""

from __future__ import annotations

import json
import tempfile
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

import attrs

from penstock import PenstockError
from penstock_batch.rows.lines import json_line

__all__ = ["NoRoom", "Result", "Results"]

_OPEN: Final = -1
_BUFFER: Final = 1 << 20


class NoRoom(PenstockError):
    """The loss of the place where rows that are over wait to be assembled."""

    def __init__(self, folder: Path, error: Exception) -> None:
        reason = getattr(error, "strerror", None) or error
        super().__init__(f"{folder}: cannot hold the rows that are done: {reason}")


@attrs.frozen
class Result:
    """A row that is over: `done` with its whole `line`, or `failed` with why."""

    kind: Literal["done", "failed"]
    line: bytes

    @property
    def record(self) -> dict[str, Any]:
        """The line, read."""
        record: dict[str, Any] = json.loads(self.line)
        return record


class Results:
    """The rows of a run that are over, by their index. Use as a context manager, or `close` it. `on_over` is called
    after each.
    """

    def __init__(self, folder: Path, on_over: Callable[[], object] | None = None) -> None:
        self._folder = folder
        self._on_over = on_over
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=folder, buffering=_BUFFER)  # noqa: SIM115  # closed by `close`
        except OSError as error:
            raise NoRoom(folder, error) from None
        self._places = array("q")
        self._in_order = True
        """Whether the lines lie in the order of their rows."""
        self._end = 0
        self._at = 0
        """Where the file stands: asking it takes longer than writing a line."""

    def done(self, index: int, record: Mapping[str, Any]) -> None:
        """Note that a row is done: its columns and its steps. Raises `NoRoom`."""
        self._put(index, json_line(record), 0)

    def failed(self, index: int, step: str | None, reason: str, words: Any = None) -> None:
        """Note that a row has failed, at which step, why, and the last words of the model. Raises `NoRoom`."""
        self._put(index, json_line({"step": step, "error": reason, "words": words}), 1)

    def of(self, index: int) -> Result | None:
        """How a row ended; `None` while it is open. Raises `NoRoom`."""
        place = self._places[index] if index < len(self._places) else _OPEN
        if place == _OPEN:
            return None
        return Result("failed" if place & 1 else "done", self._line(place >> 1))

    def all_done(self, rows: int) -> bool:
        """Whether each of the first so many rows is over and done."""
        return len(self._places) >= rows and not any(place & 1 for place in self._places[:rows])

    def lines(self) -> Iterator[bytes]:
        """The lines of all rows, each of which is done. Raises `NoRoom`."""
        if not self._in_order:
            for place in self._places:
                yield self._line(place >> 1)
            return
        try:
            self._file.seek(0)
            yield from self._file
        except OSError as error:
            raise NoRoom(self._folder, error) from None
        self._at = self._end

    def _line(self, start: int) -> bytes:
        try:
            if self._at != start:
                self._file.seek(start)
            line: bytes = self._file.readline()
        except OSError as error:
            raise NoRoom(self._folder, error) from None
        self._at = start + len(line)
        return line

    def _put(self, index: int, line: bytes, mark: int) -> None:
        places, end = self._places, self._end
        place = end << 1 | mark
        try:
            if self._at != end:
                self._file.seek(end)
            self._file.write(line)
        except OSError as error:
            raise NoRoom(self._folder, error) from None
        if index == len(places):
            places.append(place)
        else:
            self._in_order = False
            if index > len(places):
                places.extend([_OPEN] * (index + 1 - len(places)))
            places[index] = place
        self._end = self._at = end + len(line)
        if self._on_over is not None:
            self._on_over()

    def close(self) -> None:
        """Give up the file, and what there was no room for: nobody is to read it any more."""
        with suppress(OSError):
            self._file.close()

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
