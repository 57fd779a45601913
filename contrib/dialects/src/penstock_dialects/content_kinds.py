"""What a content type says of a body: whether it can be read as text at all, and which frames it promises. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

__all__ = ["ContentKind", "content_kind"]

_TEXTS: Final = ("json", "event-stream", "text/", "octet-stream", "charset", "eventstream")
LONGEST: Final = 200
"""Characters of a content type that are looked at, and kept."""


class ContentKind(NamedTuple):
    """`text`: its values can be read; `events`: it promises server-sent events; `messages`: Amazon's binary ones."""

    text: bool
    events: bool
    messages: bool


def content_kind(content_type: str | None) -> ContentKind:
    """The kind of a body with this `content-type`; `None`: it has none, and is taken for JSON.

    >>> content_kind("text/event-stream; charset=utf-8")
    ContentKind(text=True, events=True, messages=False)
    """
    return _JSON if content_type is None else _kind_of(content_type[:LONGEST])


@lru_cache(maxsize=256)
def _kind_of(content_type: str) -> ContentKind:
    kind = content_type.lower()
    return ContentKind(any(word in kind for word in _TEXTS), "event-stream" in kind, "eventstream" in kind)


_JSON: Final = ContentKind(text=True, events=False, messages=False)
