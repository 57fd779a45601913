"""The writing of new files: all or none, and never over something that is there."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from penstock.words.errors import ConfigError

__all__ = ["write_file", "write_project"]


def write_project(folder: Path, contents: Mapping[str, str]) -> None:
    """Make a folder with these files in it. Raises `ConfigError` if it is there already, or cannot be made; then
    nothing is left of it."""
    try:
        folder.mkdir()
    except OSError as error:
        raise _refusal(folder, error) from error
    try:
        for path, text in contents.items():
            folder.joinpath(path).parent.mkdir(parents=True, exist_ok=True)
            write_file(folder / path, text)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)  # it is our own: it was made a moment ago
        raise


def write_file(path: Path, text: str) -> None:
    """Write a file that is not there yet. Raises `ConfigError` if it is, or cannot be written; then nothing is left of
    it."""
    try:
        file = path.open("x", encoding="utf-8", newline="\n")
    except OSError as error:
        raise _refusal(path, error) from error
    try:
        with file:
            file.write(text)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise _refusal(path, error) from error


def _refusal(path: Path, error: OSError) -> ConfigError:
    if isinstance(error, FileExistsError):
        return ConfigError(
            f"{path} is there already, and nothing is overwritten; choose another name, or another --into"
        )
    if isinstance(error, FileNotFoundError):
        return ConfigError(
            f"{path.parent} is no folder to put {path.name} into: make it first, or choose another --into"
        )
    return ConfigError(f"{path} cannot be written: {error.strerror or type(error).__name__}")
