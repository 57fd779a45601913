"""The functions of the example: passages of a text, whether one matters, and what is gathered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


def passages(text: str) -> Iterator[str]:
    """The paragraphs, one after another: a split makes rows of an iterator as it goes."""
    return (part.strip() for part in text.split("\n\n") if part.strip())


def matters(passage: str) -> bool:
    """Whether a passage speaks of water."""
    return "water" in passage.lower()


def joined_gists(rows: Iterable[dict[str, Any]]) -> str:
    """The gists of one document's passages, in their order."""
    return " ".join(row["gist"] for row in rows)


def listed(rows: Iterable[dict[str, Any]]) -> list[dict[str, str]]:
    """Title and summary of each document."""
    return [{"title": row["title"], "summary": row["summary"]} for row in rows]
