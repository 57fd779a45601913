"""The small files that a pipeline names beside its TOML (prompts, schemas, tools), each read whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, NoReturn

__all__ = ["FileProblem", "json_of", "text_of"]

_MOST_BYTES: Final = 1 << 20


class FileProblem(ValueError):
    """A file that cannot be used, in one line that names it."""


def text_of(path: Path, what: str) -> str:
    """The text of a file in UTF-8 that holds `what`. Raises `FileProblem`, also if there is nothing in it."""
    try:
        if not path.is_file():
            raise FileProblem(f"{path}: is no file" if path.exists() else f"{path}: is not there")
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, FileProblem):
            raise
        raise FileProblem(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if len(raw) > _MOST_BYTES:
        raise FileProblem(f"{path}: has more than {_MOST_BYTES:,} bytes, which is no {what}")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise FileProblem(f"{path}: line {line}: is no text in UTF-8") from None
    if not text.strip():
        raise FileProblem(f"{path}: is empty")
    return text


def json_of(path: Path, what: str) -> Any:
    """The JSON in a file that holds `what`. Raises `FileProblem`."""
    text = text_of(path, what)
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        wrong = "is nested too deeply" if isinstance(error, RecursionError) else f"is no JSON: {error}"
        raise FileProblem(f"{path}: {wrong}") from None


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")
