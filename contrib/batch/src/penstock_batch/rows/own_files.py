"""The files that a run writes, told from all others by what they are and not by how their paths are spelled.

A run writes its output, the failed rows and the store, each of them readable by its owner alone. Before anything is
called it is known that none of them is a file that the run reads, a link to somewhere else, or somebody else's.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

from penstock import PenstockError, Problem
from penstock_batch.rows.failed_rows import FAILED, is_failure
from penstock_batch.rows.working_files import END, begins

__all__ = ["OutputLost", "folder_problem", "looks_like_failed_rows", "place_problems", "written"]

_FORMER_FIELDS: Final = frozenset({"line", "step", "error", "row"})
"""The fields that each line of a failed file had, before it could be an input."""
_MOST_LINE: Final = 1 << 26


class OutputLost(PenstockError):
    """The loss of a file that was to be assembled. What was answered is kept all the same, if the store is."""

    def __init__(self, path: Path, reason: str, store: Path) -> None:
        kept = (
            "what the store holds is asked for no more, and the same command goes on from there"
            if store.exists()
            else f"and the store is gone ({store}): what was answered is lost"
        )
        super().__init__(f"{path}: cannot be written: {reason}; {kept}")


def place_problems(own: Mapping[str, Path], read: Mapping[str, Path]) -> list[Problem]:
    """The problems of the places of a run's `own` files (what each is to its path), beside those that it reads."""
    found = []
    for what, path in own.items():
        same = next((other for other, source in read.items() if _same(path, source)), None)
        problem = _kind_problem(path) if same is None else f"is {same}"
        if problem is not None:
            found.append(Problem(("output", "path"), f"{what} ({path}) {problem}"))
    return found


def _same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return os.path.realpath(path) == os.path.realpath(other)
    except ValueError:  # no file can have that name
        return False


def _kind_problem(path: Path) -> str | None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        return f"cannot be there: {getattr(error, 'strerror', None) or 'its name holds a NUL'}"
    if stat.S_ISLNK(mode):
        return "is a link; name the file that it leads to"
    if stat.S_ISDIR(mode):
        return "is a folder"
    return None if stat.S_ISREG(mode) else "is no ordinary file"


def folder_problem(folder: Path) -> str | None:
    """Why nothing could be written into `folder`, which is made where it is not there yet; `None` if it could."""
    there = next((each for each in (folder, *folder.parents) if each.exists()), folder)
    return None if os.access(there, os.W_OK | os.X_OK) else f"cannot be written: nothing may be written into {there}"


def looks_like_failed_rows(path: Path) -> bool:
    """Whether `path` is not there, is empty, or begins as the failed rows of a run do."""
    try:
        with path.open("rb") as file:
            line = file.readline(_MOST_LINE)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    if not line:
        return True
    try:
        record: Any = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(record, dict) and (is_failure(record.get(FAILED)) or record.keys() >= _FORMER_FIELDS)


@contextmanager
def written(path: Path, store: Path, *, mark: str = "", keep_empty: bool = True) -> Iterator[IO[bytes]]:
    """A file beside `path`, which takes its place when the block ends well; nothing is there if it is empty and need
    not be kept. Until then its name has the `mark` of the store. Raises `OutputLost`, which says whether `store` is
    there.
    """
    beside: Path | None = None
    try:
        # A name of its own, made anew: what lies there is nobody else's, and no link leads elsewhere.
        number, name = tempfile.mkstemp(prefix=begins(path.name, mark), suffix=END, dir=path.parent)
        beside = Path(name)
        with os.fdopen(number, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            empty = file.tell() == 0
        if empty and not keep_empty:
            beside.unlink()
            path.unlink(missing_ok=True)
        else:
            beside.replace(path)
    except BaseException as error:
        if beside is not None:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise OutputLost(path, error.strerror or str(error), store) from None
