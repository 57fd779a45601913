"""The settings of a plugin in a run: its configuration, the limits, its randomness and the wall clock.

Pure code may use neither `random` nor a clock; it gets both from here. Each stream of random numbers is
seeded from the run's seed, the plugin's name and a name of its own, so adding a plugin disturbs the numbers
of no other. The wall clock is computed from the run's clock, so that it is virtual when the run's clock is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from types import MappingProxyType
from typing import Any

import attrs

from penstock.words.identity import ProviderModelKey

__all__ = ["Random", "Settings", "WallClock"]


@attrs.define
class WallClock:
    """The wall clock of a run: `epoch` was the time of day at `started_at` seconds of the run's clock. That of a run
    which is prepared before it is opened goes from its opening on.
    """

    epoch: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    started_at: float = 0.0

    def start(self, epoch: datetime, started_at: float) -> None:
        """Go from here: the run is opened."""
        self.epoch, self.started_at = epoch, started_at

    def wall(self, now: float) -> datetime:
        """The time of day at `now`, in the time zone of `epoch`."""
        return self.epoch + timedelta(seconds=now - self.started_at)

    def from_wall(self, moment: datetime) -> float:
        """The moment, in seconds of the run's clock, at which the wall clock shows `moment` (which must have
        a time zone).
        """
        if moment.tzinfo is None:
            raise ValueError(f"{moment!r} has no time zone; take one from settings.wall(now).tzinfo")
        return self.started_at + (moment - self.epoch).total_seconds()


@attrs.frozen(kw_only=True)
class Settings:
    """The settings that every factory hook is given, and each rule hook that asks for them by name.

    `plugin`   the plugin's name
    `section`  the plugin's `Config`, structured from `[plugins.NAME]`; `None` for a plugin without one
    `limits`   scheduler resource to limit
    `seed`     the run's seed
    `providers`  the configured providers, each with the domains that calls to it may name; empty where a program makes
                 its models known by itself
    `models`     `provider/name` of each configured model to its key, by its id and by every other name for it
    """

    plugin: str = "core"
    section: Any = None
    limits: Mapping[str, int] = MappingProxyType({})
    seed: int = 0
    clock: WallClock = attrs.field(factory=WallClock)
    providers: Mapping[str, Sequence[str]] = MappingProxyType({})
    models: Mapping[str, ProviderModelKey] = MappingProxyType({})

    def rng(self, name: str = "") -> Random:
        """A fresh stream of random numbers that is this plugin's own: the same run seed gives the same numbers."""
        return Random(f"{self.seed}/{self.plugin}/{name}")

    def wall(self, now: float) -> datetime:
        """The time of day at `now`, with a time zone."""
        return self.clock.wall(now)

    def from_wall(self, moment: datetime) -> float:
        """The moment of the run's clock at which the wall clock shows `moment`. For use in `At(...)`."""
        return self.clock.from_wall(moment)
