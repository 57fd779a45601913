"""How a page takes its place: whole or not at all, and without what earlier ones have left that were killed.

What is half written bears a mark in its name and is locked as long as somebody writes it. So what is not locked, bears
the mark and holds the beginning of a page, or nothing yet, is a page that nobody will end.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from penstock_batch.report.page import MARK
from penstock_batch.rows.working_files import END, begins

if sys.platform != "win32":
    import fcntl

__all__ = ["looks_like_a_page", "write_page"]

_OURS: Final = "penstock-report."
_HEAD: Final = len(MARK) + 100
_AS_IT_IS: Final[int] = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def looks_like_a_page(path: Path) -> bool:
    """Whether nothing is there, or a page that was made before."""
    try:
        with path.open("rb") as file:
            return MARK.encode() in file.read(_HEAD)
    except OSError:  # it is not there, or cannot be read: then writing says why
        return True


def write_page(path: Path, content: bytes) -> None:
    """Write a page whole or not at all, for its owner alone, since it holds rows; pages for the same place that were
    left half written are taken away. Raises `OSError`.
    """
    _clear(path)
    number, beside = _begun(path)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise


def _begun(path: Path) -> tuple[int, Path]:
    """A new file, open and locked, beside a path."""
    while True:
        number, name = tempfile.mkstemp(prefix=begins(path.name, _OURS), suffix=END, dir=path.parent)
        with suppress(OSError):  # where files cannot be locked nothing is taken away either
            _lock(number, wait=True)
        if os.fstat(number).st_nlink:
            return number, Path(name)
        os.close(number)  # another one took it away, before it was locked


def _clear(path: Path) -> None:
    beginning = begins(path.name, _OURS)
    with suppress(OSError):
        for found in path.parent.iterdir():
            if found.name.startswith(beginning) and found.name.endswith(END):
                with suppress(OSError):
                    _remove(found)


def _remove(path: Path) -> None:
    """Take a page away that nobody writes. Raises `OSError` if somebody does."""
    number = os.open(path, os.O_RDONLY | _AS_IT_IS)
    try:
        _lock(number, wait=False)
        head = os.read(number, _HEAD)
        if stat.S_ISREG(os.fstat(number).st_mode) and (not head or MARK.encode() in head):
            path.unlink()
    finally:
        os.close(number)


def _lock(number: int, *, wait: bool) -> None:
    if sys.platform == "win32":
        raise OSError("files are not locked so here, and an open one cannot be taken away")
    fcntl.flock(number, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
