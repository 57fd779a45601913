"""The reader of TOML files, which gives plain tables, with errors that name the file and the place."""

from __future__ import annotations

import tomllib
from os.path import exists, isdir, isfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from penstock.words.checks import shown
from penstock.words.errors import ConfigError
from penstock.words.problems import Problem

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["check_read_again", "read_toml"]


LONGEST: Final = 16 * 1024 * 1024
"""Bytes of a file; an endless one, such as a device, is not read to its end."""


def read_toml(path: Path | str | Traversable) -> dict[str, Any]:
    """The plain tables of a TOML file, to be given to `structure`.

    Raises `ConfigError` for a file that is not there, cannot be read, has more than 16 MiB, is not UTF-8 or no TOML;
    the last two with line and column.
    """
    file = Path(path) if isinstance(path, str) else path
    try:
        with file.open("rb") as opened:
            raw = opened.read(LONGEST + 1)
    except OSError as error:
        raise _unreadable(path, f"cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # a name that no file can have
        raise _unreadable(shown(str(path)), f"cannot be read: {error}") from None
    if len(raw) > LONGEST:
        raise _unreadable(path, f"has more than {LONGEST} bytes, which no configuration has")
    try:
        return tomllib.loads(raw.decode("utf-8-sig"))  # some editors begin every file with a byte order mark
    except UnicodeDecodeError as error:
        line, column = _position(raw[: error.start].decode("utf-8"))
        raise _unreadable(path, f"is not UTF-8, which TOML must be (at line {line}, column {column})") from None
    except tomllib.TOMLDecodeError as error:
        raise _unreadable(path, f"is no TOML: {_in_words(str(error))}") from None
    except ValueError as error:  # a number of too many digits
        raise _unreadable(path, f"cannot be read: {error}") from None
    except RecursionError:
        raise _unreadable(path, "is nested too deeply to be read") from None


def check_read_again(path: Path) -> None:
    """Raises `ConfigError` for what cannot be read more than once, as a pipe: whoever reads it later finds it empty."""
    if exists(path) and not (isfile(path) or isdir(path)):
        raise _unreadable(path, "is no plain file, and would be read more than once: write it into a file")


def _unreadable(path: object, what: str) -> ConfigError:
    return ConfigError(Problem((), what, str(path)))


def _in_words(said: str) -> str:
    """What the parser says, and of a key that stands twice that it does."""
    return said.replace("Cannot overwrite a value", "a key stands there that has a value already")


def _position(text: str) -> tuple[int, int]:
    """The line and column right after `text`, both from 1."""
    lines = text.split("\n")
    return len(lines), len(lines[-1]) + 1
