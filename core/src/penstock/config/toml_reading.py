"""The reader of TOML files, which gives plain tables, with errors that name the file and the place."""

from __future__ import annotations

import tomllib
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from penstock.words.errors import ConfigError
from penstock.words.problems import Problem

__all__ = ["read_toml"]


def read_toml(path: Path | str | Traversable) -> dict[str, Any]:
    """The plain tables of a TOML file, to be given to `structure`.

    Raises `ConfigError` for a file that is not there, cannot be read, is not UTF-8 or no TOML; the last two with line
    and column.
    """
    file = Path(path) if isinstance(path, str) else path
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise _unreadable(path, f"cannot be read: {error.strerror or error}") from None
    try:
        return tomllib.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        line, column = _position(raw[: error.start].decode("utf-8"))
        raise _unreadable(path, f"is not UTF-8, which TOML must be (at line {line}, column {column})") from None
    except tomllib.TOMLDecodeError as error:
        raise _unreadable(path, f"is no TOML: {error}") from None
    except RecursionError:
        raise _unreadable(path, "is nested too deeply to be read") from None


def _unreadable(path: object, what: str) -> ConfigError:
    return ConfigError(Problem((), what, str(path)))


def _position(text: str) -> tuple[int, int]:
    """The line and column right after `text`, both from 1."""
    lines = text.split("\n")
    return len(lines), len(lines[-1]) + 1
