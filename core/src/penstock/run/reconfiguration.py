"""What a reconfiguration changed: as a record, as plain data, and in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import attrs

__all__ = ["Change", "Changes", "Reconfiguration"]

Change = tuple[Any, Any]
"""What it was, and what it is; `None` where there was, or is, nothing."""


class Changes(Protocol):
    """What a reconfiguration has changed: plain data, JSON-safe, and in words."""

    def as_dict(self) -> dict[str, Any]: ...

    def __str__(self) -> str: ...


@attrs.frozen(kw_only=True)
class Reconfiguration:
    """The changes of one reconfiguration.

    `generation`  how often the run has been configured, with this
    `added`, `removed`, `kept`, `changed`  plugins by name; `changed` are those with another `Config`, code or `shadow`
    `limiters`    how many limiters of calls were `kept`, were `taken_over` by one with another `Config`, were `made`
                  anew, and were `dropped`
    `caps`        provider/model, or provider/model/domain, to its cap before and after, in calls in flight
    `limits`      resource of the task gate to how much of it there was and is
    `figures`     dotted key of `[scheduler]` or `[requests]` to its value before and after
    """

    generation: int
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    limiters: Mapping[str, int] = attrs.field(factory=dict)
    caps: Mapping[str, Change] = attrs.field(factory=dict)
    limits: Mapping[str, Change] = attrs.field(factory=dict)
    figures: Mapping[str, Change] = attrs.field(factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, JSON-safe."""
        return attrs.asdict(self)

    def __str__(self) -> str:
        return "\n".join(self._lines()) or "nothing has changed"

    def _lines(self) -> Iterator[str]:
        for name in ("added", "removed", "changed"):
            if plugins := getattr(self, name):
                yield f"plugins {name}: {', '.join(plugins)}"
        counts = [f"{count} {what.replace('_', ' ')}" for what, count in self.limiters.items() if count]
        if self.added or self.removed or self.changed:
            yield f"limiters: {', '.join(counts) or 'none'}"
        for name in ("caps", "limits", "figures"):
            for key, change in getattr(self, name).items():
                before, after = ("none" if value is None else str(value) for value in change)
                yield f"{name.removesuffix('s')} {key}: {before} -> {after}"
