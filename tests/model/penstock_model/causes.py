"""Causes that the rules of both gates have: something shut, a moment that has not come, and what is lost for good."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

import attrs

from penstock import NEVER, At, Signal

__all__ = ["Before", "Doomed", "Shut", "World"]


class World(Protocol):
    """What goes on around a gate, for its rules to see."""

    now: float
    shut: set[str]
    doomed: set[str]
    moments: dict[str, float]


@attrs.frozen
class Shut:
    """Until somebody says `name`."""

    name: str
    soft: bool = attrs.field(default=False, init=False, repr=False)
    of_group: bool = attrs.field(default=False, init=False, repr=False)

    def holds(self, item: object, seen: World) -> bool:
        return self.name in seen.shut

    def until(self, item: object, seen: World) -> Hashable:
        return Signal(self.name)


@attrs.frozen
class Before:
    """Until a moment, which may be put off while it is awaited."""

    name: str
    soft: bool = attrs.field(default=False, init=False, repr=False)
    of_group: bool = attrs.field(default=False, init=False, repr=False)

    def holds(self, item: object, seen: World) -> bool:
        return seen.now < seen.moments.get(self.name, 0.0)

    def until(self, item: object, seen: World) -> Hashable:
        return At(seen.moments[self.name])


@attrs.frozen
class Doomed:
    """From some moment on, for good."""

    name: str
    soft: bool = attrs.field(default=False, init=False, repr=False)
    of_group: bool = attrs.field(default=False, init=False, repr=False)

    def holds(self, item: object, seen: World) -> bool:
        return self.name in seen.doomed

    def until(self, item: object, seen: World) -> Hashable:
        return NEVER
