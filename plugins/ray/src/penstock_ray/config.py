"""What can be set about the runner."""

from __future__ import annotations

import os

import attrs

from penstock import in_schema, number_above, number_from, true_or_false, whole_number_from

__all__ = ["RayConfig"]


def _cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@in_schema(minimum=1)
def _workers(config: RayConfig, field: attrs.Attribute[int | None], value: int | None) -> None:
    if value is not None:
        whole_number_from(1)(config, field, value)
    elif config.address is not None:
        raise ValueError(f"{field.name} must be set where address is: how many tasks run at the cluster at a time")


def _address(_: object, field: attrs.Attribute[str | None], value: str | None) -> None:
    if value is None:
        return
    if "://" in value:
        raise ValueError(
            f"{field.name} must be host:port of the cluster's head, or auto, not {value!r}: Ray's client protocol has "
            f"no losses and no bounds; run on a node of the cluster"
        )
    host, colon, port = value.rpartition(":")
    if value != "auto" and not (host and colon and port.isdecimal()):
        raise ValueError(f"{field.name} must be host:port of the cluster's head, or auto, not {value!r}")


@attrs.frozen(kw_only=True)
class RayConfig:
    """`[plugins.ray]`.

    `workers`        how many tasks run at a time; without it, one for each core of this machine, where Ray is local
    `address`        the cluster's head as host:port, or `auto` on one of its nodes; without it, a local Ray is started
    `cpus`           how many of the cluster's CPUs a task takes
    `start_within`   seconds within which a worker must have answered when the run starts
    `cancel_within`  seconds in which a cancelled task may end by itself, before its worker is killed
    `leave_after`    seconds for which the end of a run waits for a task whose worker does not end, before it leaves it
    `show_output`    whether what tasks print is printed here too
    """

    address: str | None = attrs.field(default=None, validator=_address)
    workers: int | None = attrs.field(default=None, validator=_workers)
    cpus: float = attrs.field(default=1.0, validator=number_above(0))
    start_within: float = attrs.field(default=120.0, validator=number_above(0))
    cancel_within: float = attrs.field(default=5.0, validator=number_from(0))
    leave_after: float = attrs.field(default=2.0, validator=number_from(0))
    show_output: bool = attrs.field(default=False, validator=true_or_false)

    @property
    def places(self) -> int:
        """How many tasks run at a time."""
        return _cores() if self.workers is None else self.workers
