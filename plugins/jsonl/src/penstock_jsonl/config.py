"""What can be set about the event file, and what is wrong with a file that cannot be one."""

from __future__ import annotations

import os
from pathlib import Path

import attrs

__all__ = ["JsonlConfig", "problem_with"]


@attrs.frozen(kw_only=True)
class JsonlConfig:
    """`[plugins.jsonl]`.

    `path`    the file, taken from the folder in which the command runs; its own folder must exist
    `append`  keep what the file holds already; without it, every run begins the file anew. Sequences begin at 1 in
              every run
    """

    path: str = "events.jsonl"
    append: bool = False


def problem_with(path: str) -> str | None:
    """Why events cannot be written to `path`, with what would be right; `None` if nothing speaks against it."""
    target = Path(path)
    folder = target.parent
    if not path or target.is_dir():
        return f"must name a file, and {path!r} is none"
    if not folder.is_dir():
        return f"is {path!r}, but there is no folder {str(folder)!r}; make it, or choose another"
    if not os.access(target if target.exists() else folder, os.W_OK):
        return f"is {path!r}, which may not be written to; change its permissions, or choose another"
    return None
