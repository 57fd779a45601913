"""The record of what a plugin was asked about decisions, and how long that took."""

from __future__ import annotations

from math import inf

import attrs

__all__ = ["HookFigures"]


@attrs.frozen(kw_only=True)
class HookFigures:
    """The figures of one hook of one plugin, of the questions that were traced: how many, how many of them were
    refused, how many ended in an error, how many seconds they took together, and the shortest of them alone."""

    plugin: str
    hook: str
    questions: int = 0
    refusals: int = 0
    errors: int = 0
    seconds: float = 0.0
    shortest: float = inf
