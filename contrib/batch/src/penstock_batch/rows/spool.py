"""A copy of an input that can be read only once, such as a pipe, or that may be replaced while a run reads it."""

from __future__ import annotations

import shutil
import sys
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import IO

from penstock_batch.rows.formats import Format
from penstock_batch.rows.row import InputProblem
from penstock_batch.rows.sqlite_rows import copy_database
from penstock_batch.rows.target import STANDARD

__all__ = ["Spool", "spooled"]


class Spool:
    """The copy, in a file at `path` that only its owner can read. It is gone with this object, or with the process."""

    def __init__(self, fill: Callable[[Path], object]) -> None:
        folder = tempfile.mkdtemp(prefix="penstock-input-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.path = Path(folder) / "rows"
        fill(self.path)


def spooled(source: Path, form: Format, *, always: bool) -> Spool | None:
    """A copy of `source` if it is standard input or no ordinary file, or `always`; else `None`. Raises `InputProblem`
    if it cannot be read or copied.
    """
    try:
        if source == STANDARD:
            if sys.stdin is None:
                raise InputProblem("standard input is closed")
            return Spool(lambda path: _copy(sys.stdin.buffer, path))
        if source.is_file():
            if not always:
                return None
            if form == "sqlite":  # a file alone may lack what lies in its write-ahead log
                return Spool(lambda path: copy_database(source, path))
        elif source.is_dir() or not source.exists():
            return None  # reading it says so
        with source.open("rb") as original:
            return Spool(lambda path: _copy(original, path))
    except OSError as error:
        raise InputProblem(f"{source}: cannot be copied: {error.strerror or error}") from None


def _copy(original: IO[bytes], path: Path) -> None:
    with path.open("xb") as copy:
        shutil.copyfileobj(original, copy, 1 << 20)
