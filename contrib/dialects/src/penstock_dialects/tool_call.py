"""A call of a tool, as an answer holds it."""

from __future__ import annotations

import attrs

__all__ = ["ToolCall"]


@attrs.define(slots=True)
class ToolCall:
    """A call of a tool that the model asks for. `arguments` is JSON text, as the model wrote it."""

    id: str = ""
    name: str = ""
    arguments: str = ""
