"""A copy of an input that can be read only once, such as a pipe, or that may be replaced while a run reads it."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path

from penstock_batch.rows.reader import InputProblem

__all__ = ["Spool", "spooled"]


class Spool:
    """The copy, in a file at `path` that only its owner can read. It is gone with this object, or with the process."""

    def __init__(self, source: Path) -> None:
        folder = tempfile.mkdtemp(prefix="penstock-input-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.path = Path(folder) / "rows"
        with source.open("rb") as original, self.path.open("xb") as copy:
            shutil.copyfileobj(original, copy, 1 << 20)


def spooled(source: Path, *, always: bool) -> Spool | None:
    """A copy of `source` if it is no ordinary file, or `always`; else `None`. Raises `InputProblem` if it cannot be
    read or copied.
    """
    try:
        if source.is_file() and not always:
            return None
        if source.is_dir() or not source.exists():
            return None  # reading it says so
        return Spool(source)
    except OSError as error:
        raise InputProblem(f"{source}: cannot be copied: {error.strerror or error}") from None
