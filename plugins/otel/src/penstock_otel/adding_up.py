"""Events, added up: counts by their labels, and durations of what begins and ends. Pure; the clock is the events'.

What begins is kept until it ends. An end without a beginning is nothing, and so is a second beginning, but that a task
which is spawned anew runs from then on: its lease came back before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from penstock import METRICS, Prices, RuntimeEvent, Usage
from penstock_otel.labels import Labels, Pairs

__all__ = ["KINDS", "AddingUp", "Sum"]

KINDS: Final = frozenset(
    [
        *("ready_enqueued", "worker_spawned", "worker_spawn_failed", "task_completed", "retry_deferred"),
        *("non_retryable_dropped", "cancelled"),
        *("request_wait_started", "request_wait_completed", "request_wait_timeout", "request_wait_cancelled"),
        *("request_acquire_denied", "model_request_started", "model_request_completed", "request_lease_released"),
        "events_dropped",
    ]
)
"""The kinds of events that mean something here."""

_TOKENS: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")

Begun = dict[str | None, tuple[float, Pairs]]
"""What has begun and not ended: id to the moment and the labels."""


class Sum:
    """What some events come to: `counts` by metric and labels, and `values` for histograms, with their labels."""

    def __init__(self) -> None:
        self.counts: defaultdict[tuple[str, Pairs], float] = defaultdict(float)
        self.values: list[tuple[str, float, Pairs]] = []


class AddingUp:
    """The adding up of the events of runs, one run after another.

    `prices` has those of the models that have any, by `provider/id`.
    """

    def __init__(self, labels: Labels) -> None:
        self.prices: dict[str, Prices] = {}
        self._labels = labels
        self._queued: Begun = {}
        self._running: Begun = {}
        self._waiting: Begun = {}
        self._out: Begun = {}
        self._on: Mapping[str, Callable[[RuntimeEvent, Sum], None]] = {
            "ready_enqueued": self._on_enqueued,
            "worker_spawned": self._on_spawned,
            "worker_spawn_failed": self._on_task_over,
            "task_completed": self._on_task_over,
            "retry_deferred": self._on_task_over,
            "non_retryable_dropped": self._on_task_over,
            "cancelled": self._on_task_over,
            "request_wait_started": self._on_wait,
            "request_wait_completed": self._on_wait_over,
            "request_wait_timeout": self._on_wait_over,
            "request_wait_cancelled": self._on_wait_over,
            "request_acquire_denied": self._on_refused,
            "model_request_started": self._on_call,
            "model_request_completed": self._on_call_over,
            "request_lease_released": self._on_lease_back,
            "events_dropped": self._on_dropped,
        }

    def of(self, events: Sequence[RuntimeEvent]) -> Sum:
        """The sum of these events."""
        found = Sum()
        for event in events:
            if handler := self._on.get(event.event_kind):
                handler(event, found)
        return found

    def forget(self) -> None:
        """Nothing is under way any more: the run is over."""
        for begun in (self._queued, self._running, self._waiting, self._out):
            begun.clear()

    def _on_dropped(self, event: RuntimeEvent, found: Sum) -> None:
        found.counts["penstock.event.dropped", ()] += (event.diagnostics or {}).get("dropped", 0)

    # -- the task gate --

    def _on_enqueued(self, event: RuntimeEvent, found: Sum) -> None:
        _begin(self._queued, event.task_id, event.captured_at_monotonic, self._labels.whose(event))

    def _on_spawned(self, event: RuntimeEvent, found: Sum) -> None:
        now = event.captured_at_monotonic
        begun = self._queued.pop(event.task_id, None)
        whose = self._labels.whose(event) if begun is None else begun[1]
        if begun is not None:
            found.values.append(("penstock.task.wait.duration", now - begun[0], whose))
        if event.task_id is not None:
            self._running[event.task_id] = now, whose  # another try: that of before is over, whatever became of it

    def _on_task_over(self, event: RuntimeEvent, found: Sum) -> None:
        self._queued.pop(event.task_id, None)
        begun = self._running.pop(event.task_id, None)
        whose = self._labels.whose(event) if begun is None else begun[1]
        kind = event.correlation.scheduling_group_kind if event.correlation is not None else None
        task, end, outcome = self._labels.of_end(kind, event.event_kind, event.reason_or_outcome)
        found.counts["penstock.task.ended", task + whose + end] += 1
        if begun is not None:
            seconds = event.captured_at_monotonic - begun[0]
            found.values.append(("penstock.task.run.duration", seconds, whose + outcome))

    # -- the request gate --

    def _call(self, event: RuntimeEvent) -> Pairs:
        return self._labels.model(event.resource) + self._labels.whose(event)

    def _on_wait(self, event: RuntimeEvent, found: Sum) -> None:
        _begin(self._waiting, event.request_attempt_id, event.captured_at_monotonic, self._call(event))

    def _on_wait_over(self, event: RuntimeEvent, found: Sum) -> None:
        begun = self._waiting.pop(event.request_attempt_id, None)
        if begun is not None:
            word = "completed" if event.event_kind == "request_wait_completed" else event.reason_or_outcome
            labels = begun[1] + self._labels.outcome(word)
            found.values.append(("penstock.request.wait.duration", event.captured_at_monotonic - begun[0], labels))

    def _on_refused(self, event: RuntimeEvent, found: Sum) -> None:
        self._waiting.pop(event.request_attempt_id, None)
        labels = self._call(event) + self._labels.reason(event.reason_or_outcome)
        found.counts["penstock.request.refused", labels] += 1

    def _on_call(self, event: RuntimeEvent, found: Sum) -> None:
        now = event.captured_at_monotonic
        _begin(self._out, event.request_lease_id, now, self._labels.model(event.resource))

    def _on_call_over(self, event: RuntimeEvent, found: Sum) -> None:
        begun = self._out.pop(event.request_lease_id, None)
        if begun is not None:
            labels = begun[1] + self._labels.error(event.reason_or_outcome)
            seconds = event.captured_at_monotonic - begun[0]
            found.values.append(("gen_ai.client.operation.duration", seconds, labels))

    def _on_lease_back(self, event: RuntimeEvent, found: Sum) -> None:
        self._out.pop(event.request_lease_id, None)
        labels = self._call(event)
        found.counts["penstock.request.ended", labels + self._labels.outcome(event.reason_or_outcome)] += 1
        tokens = {name: count for name in _TOKENS if (count := _count(event.diagnostics, name)) is not None}
        for token in ("input", "output"):
            count = tokens.get(f"{token}_tokens")
            if count is not None:
                of_token = (*labels, (METRICS.label.TOKEN, token))
                found.values.append(("gen_ai.client.token.usage", count, of_token))
        if tokens and event.resource is not None:
            model, _, domain = event.resource.rpartition("/")
            prices = self.prices.get(model)
            cost = None if prices is None else prices.cost(Usage(**tokens), domain)
            if cost is not None:
                found.counts["penstock.request.cost", labels] += cost


def _begin(begun: Begun, key: str | None, now: float, labels: Pairs) -> None:
    if key is not None and key not in begun:
        begun[key] = (now, labels)


def _count(diagnostics: Mapping[str, Any] | None, name: str) -> int | None:
    count = (diagnostics or {}).get(name)
    return count if type(count) is int and count >= 0 else None
