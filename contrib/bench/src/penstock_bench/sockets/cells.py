"""What `penstock bench sockets` measures: providers with true limits, and who calls them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import attrs

from penstock_bench.measuring.rows import COMPETITOR

__all__ = ["CAP", "CELLS", "CONTENDERS", "OURS", "SocketCell", "quick"]

CAP: Final = 32
"""What each client may have out at once. None knows how many the provider truly takes."""

OURS: Final = "penstock"
CONTENDERS: Final = {
    OURS: "Penstock",
    "tenacity": "semaphore + tenacity",
    "aiolimiter": "aiolimiter, told the rate",
    "inspect_ai": "inspect_ai's adaptive connections",
    "peer": f"{COMPETITOR}'s controller",
    "openai": "openai SDK's own retries",
}
"""By their names on the other side of the pipe, in the order of the table."""


@attrs.frozen(kw_only=True)
class SocketCell:
    """One provider and one piece of work.

    `limits` is the mock provider's table of its one model. `tenants` says whose calls they are; all of a tenant are
    asked for before those of the next. `rate` is the true rate in calls a second, for whoever has to be
    given one. `least_seconds` is what the limits allow at best.
    """

    name: str
    title: str
    limits: Mapping[str, Any]
    tenants: Mapping[str, int]
    rate: float
    burst: int

    @property
    def calls(self) -> int:
        """Of all tenants together."""
        return sum(self.tenants.values())

    @property
    def least_seconds(self) -> float:
        """The time that the true limits need for this many calls."""
        return (self.calls - self.burst) / self.rate

    @property
    def most_seconds(self) -> float:
        """After so long a contender is broken off: by then it is slower by more than half than ours may be."""
        return 3 * self.least_seconds + 6.0


_REFUSING: Final = {"latency": {"mean": 0.1, "sigma": 0.5}, "refusal_latency": 0.02}

_slots = partial(SocketCell, limits={"slots": 8, **_REFUSING}, rate=80.0, burst=0)
_RPM: Final = {"rpm": 2400, "burst": 40, **_REFUSING}
_rpm = partial(SocketCell, tenants={"a": 600}, rate=40.0, burst=40)

CELLS: Final = (
    _slots(name="slots", title="8 calls at a time, 429 without a hint", tenants={"a": 600}),
    _rpm(
        name="rpm-headers",
        title="2,400 requests a minute, told in headers",
        limits={**_RPM, "headers": True, "retry_after": "until-next"},
    ),
    _rpm(name="rpm-blind", title="2,400 requests a minute, told nowhere", limits=_RPM),
    _slots(
        name="tenants",
        title="8 calls at a time, 450 calls of one tenant before 150 of another",
        tenants={"a": 450, "b": 150},
    ),
)


def quick(cell: SocketCell) -> SocketCell:
    """The same with a tenth of the calls: to see whether all is well."""
    return attrs.evolve(
        cell, tenants={name: calls // 10 for name, calls in cell.tenants.items()}, burst=min(cell.burst, 4)
    )
