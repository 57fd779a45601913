"""The files that a run works with, and takes away when it ends: told from all others by a mark in their names.

A run that is killed leaves them. The mark belongs to one store, so nobody else's file bears it: the next run over that
store takes away what it finds.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs

__all__ = ["END", "Workplace", "begins", "clear"]

END: Final = ".part"
"""What all their names end with."""


def begins(name: str, mark: str) -> str:
    """What the name of such a file begins with, which is made for `name`: nobody lists it who does not ask for it."""
    return f".{name}.{mark}"


@attrs.frozen
class Workplace:
    """The folder in which a run keeps rows for a while, in files with its `mark`, if there is a store to know it by."""

    folder: Path
    mark: str = ""

    def new_file(self, name: str) -> tuple[int, Path]:
        """A new file, open, that only its owner can read. Raises `OSError`."""
        number, path = tempfile.mkstemp(prefix=begins(name, self.mark), suffix=END, dir=self.folder)
        return number, Path(path)


def clear(mark: str, folders: Iterable[Path]) -> None:
    """Take away the files with this mark, which a run has left that was killed; what cannot be taken away stays."""
    for folder in dict.fromkeys(folders):
        with suppress(OSError):
            for path in folder.iterdir():
                if path.name.startswith(".") and f".{mark}" in path.name and path.name.endswith(END):
                    _remove(path)


def _remove(path: Path) -> None:
    with suppress(OSError):
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            os.unlink(path)
        elif stat.S_ISDIR(mode):
            shutil.rmtree(path)
