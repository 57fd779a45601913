"""A finding: one thing that is wrong, where, and the command that mends it. It is a record, not a text."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import attrs

__all__ = ["Chmod", "Finding", "RemoveSockets", "edit"]


@attrs.frozen
class Chmod:
    """A change of permissions that `--fix` makes: `mode` is what the file's mode shall be."""

    path: Path
    mode: int


@attrs.frozen
class RemoveSockets:
    """The end of sockets in one folder that nobody listens at any more, which `--fix` removes by their names."""

    folder: Path
    names: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Finding:
    """Something to mend. `kind` is one word for programs; `mend` is a command for a shell, or, where none can mend it,
    the one that shows where to. `line` is counted from 1, `None` where no line says it.
    """

    kind: str
    cause: str
    mend: str
    file: str = ""
    line: int | None = None
    fix: Chmod | RemoveSockets | None = None
    mended: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The finding as plain data."""
        found = attrs.asdict(self, recurse=False)
        return found | {"fix": self.fix is not None}


def edit(file: str | Path, line: int | None = None) -> str:
    """The command that opens a file where it is wrong.

    >>> edit("my run.toml", 3)
    "${EDITOR:-vi} +3 'my run.toml'"
    """
    return f"${{EDITOR:-vi}} {f'+{line} ' if line else ''}{shlex.quote(str(file))}"
