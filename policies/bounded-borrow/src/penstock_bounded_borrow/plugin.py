"""`[plugins.bounded-borrow]`, and the policy made from it."""

from __future__ import annotations

from math import isfinite

import attrs

from penstock import TaskAdmissionPolicy, hookimpl
from penstock_bounded_borrow.policy import BoundedBorrowPolicy

__all__ = ["BoundedBorrowConfig", "BoundedBorrowPlugin"]


@attrs.frozen(kw_only=True)
class BoundedBorrowConfig:
    """`[plugins.bounded-borrow]`.

    `ceiling`  how much a group may hold by borrowing, as a multiple of its strict share (1.0: it borrows nothing);
               without it, as much as there is. A ceiling leaves places empty on purpose: for groups that compete
               and have nothing ready at the moment, or wait for more than is free.
    """

    ceiling: float | None = attrs.field(default=None)

    @ceiling.validator
    def _at_least_the_share(self, _: attrs.Attribute[float | None], value: float | None) -> None:
        if value is not None and (isinstance(value, bool) or not isfinite(value) or value < 1):
            raise ValueError(f"ceiling must be a number of at least 1, not {value!r}")


class BoundedBorrowPlugin:
    """Task policy: a group has its strict share by weight, and may borrow above it while no peer waits for its own."""

    Config = BoundedBorrowConfig
    exclusive = "task fairness"

    def __init__(self, config: BoundedBorrowConfig) -> None:
        self._config = config

    @hookimpl
    def penstock_task_policy(self) -> TaskAdmissionPolicy:
        return BoundedBorrowPolicy(self._config.ceiling)
