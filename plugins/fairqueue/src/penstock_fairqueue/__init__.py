"""Weighted fair order for both gates: ready tasks, and calls that wait for a request lease.

The order is WF²Q+ (see `order.py`). What a task counts for is its dominant share, the largest share that its
resources take of any limit (A. Ghodsi et al., "Dominant resource fairness", NSDI 2011), so groups get their
weights in units and not in tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

from penstock import (
    LaneRequestWaiters,
    LaneTaskQueue,
    ReadyQueue,
    RequestAdmissionItem,
    RequestWaiter,
    RequestWaiterQueue,
    SchedulableTask,
    SchedulerResourceRequest,
    Settings,
    hookimpl,
    whole_number_from,
)
from penstock_fairqueue.order import FairArena, FairOrder

__all__ = ["FairArena", "FairOrder", "FairQueueConfig", "FairQueuePlugin", "FairRequestWaiters", "FairTaskQueue"]


class FairTaskQueue(LaneTaskQueue):
    """Ready tasks in weighted fair order; a task counts for its dominant share of `limits` (resource to limit)."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        self._limits = limits

        def dominant_share(request: SchedulerResourceRequest) -> float:
            return max(amount / self._limits.get(resource, amount) for resource, amount in request.shape)

        self._order: FairOrder[SchedulableTask] = FairOrder()
        super().__init__(self._order, dominant_share)

    @property
    def remembered_groups(self) -> int:
        """How many groups with nothing queued are remembered, since they have taken ahead."""
        return self._order.remembered

    def limits_changed(self, limits: Mapping[str, int]) -> None:
        """Tasks that come from now on count for their share of these; those that are queued stay as they are."""
        self._limits = limits
        super().limits_changed(limits)


class FairRequestWaiters(LaneRequestWaiters):
    """Waiting calls in weighted fair order between the groups that share a provider's model.

    A call counts for its requests or, if that is more, for its tokens in units of `tokens_per_request`.
    Within a group the oldest goes first, or with `within_group="deadline"` the one with the earliest deadline, or with
    `"priority"` the one with the highest priority.
    """

    def __init__(
        self, tokens_per_request: int = 1000, within_group: Literal["oldest", "deadline", "priority"] = "oldest"
    ) -> None:
        def cost(item: RequestAdmissionItem) -> float:
            cost = item.cost
            tokens = cost.input_tokens + cost.output_tokens
            return max(cost.requests, tokens / tokens_per_request) if tokens else cost.requests

        self._order: FairOrder[RequestWaiter] = FairOrder()
        super().__init__(self._order, cost, within_group)

    @property
    def remembered_groups(self) -> int:
        """How many groups without a waiting call are remembered, since they have taken ahead."""
        return self._order.remembered


@attrs.frozen(kw_only=True)
class FairQueueConfig:
    """`[plugins.fair]`, for waiting calls.

    `tokens_per_request`  how many tokens count as much as one request
    `within_group`        who of a group goes first: the `oldest`, or the one with the earliest `deadline`, or with the
                          highest `priority`
    """

    tokens_per_request: int = attrs.field(default=1000, validator=whole_number_from(1))
    within_group: Literal["oldest", "deadline", "priority"] = "oldest"


class FairQueuePlugin:
    """Weighted fair order by cost, for ready tasks and for waiting requests (WF²Q+; Bennett and Zhang 1997)."""

    Config = FairQueueConfig

    def __init__(self, config: FairQueueConfig) -> None:
        self._config = config

    @hookimpl
    def penstock_ready_queue(self, settings: Settings) -> ReadyQueue:
        return FairTaskQueue(dict(settings.limits))

    @hookimpl
    def penstock_request_waiters(self) -> RequestWaiterQueue:
        return FairRequestWaiters(self._config.tokens_per_request, self._config.within_group)
