"""A plugin as somebody else would write it: no more than so many calls of a resource at a time."""

from __future__ import annotations

import attrs

import penstock


@attrs.frozen
class NarrowConfig:
    """`[plugins.narrow]`: `width` is how many calls may be out at once, from 1 on."""

    width: int = 1


class NarrowPlugin:
    """Refuses a call while `width` others of its resource are out."""

    Config = NarrowConfig

    def __init__(self, config: NarrowConfig) -> None:
        self.width = config.width

    @penstock.hookimpl
    def penstock_request_eligible(
        self, item: penstock.RequestAdmissionItem, pressure: penstock.RequestPressureSnapshotProvider, now: float
    ) -> penstock.Denied | None:
        state = pressure.snapshot(item.resource, now)
        if state is None or state.in_flight_count < self.width:
            return None
        return penstock.Denied("no_capacity", {penstock.Released(item.resource)}, detail=f"narrowed to {self.width}")
