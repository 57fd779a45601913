"""`[plugins.bounded-borrow]`, and the policy made from it."""

from __future__ import annotations

import attrs

from penstock import TaskAdmissionPolicy, hookimpl, number_from
from penstock_bounded_borrow.policy import BoundedBorrowPolicy

__all__ = ["BoundedBorrowConfig", "BoundedBorrowPlugin"]


@attrs.frozen(kw_only=True)
class BoundedBorrowConfig:
    """`[plugins.bounded-borrow]`.

    `ceiling`  how much a group may hold by borrowing, as a multiple of its strict share (1.0: it borrows nothing);
               without it, as much as there is. A ceiling leaves places empty on purpose: for groups that compete
               and have nothing ready at the moment, or wait for more than is free.
    """

    ceiling: float | None = attrs.field(default=None, validator=attrs.validators.optional(number_from(1.0)))


class BoundedBorrowPlugin:
    """Task policy: a group has its strict share by weight, and may borrow above it while no peer waits for its own."""

    Config = BoundedBorrowConfig
    exclusive = "task fairness"

    def __init__(self, config: BoundedBorrowConfig) -> None:
        self._config = config

    @hookimpl
    def penstock_task_policy(self) -> TaskAdmissionPolicy:
        return BoundedBorrowPolicy(self._config.ceiling)
