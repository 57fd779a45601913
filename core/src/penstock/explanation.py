"""What is it waiting for? The answer in words, for every group and for what is not ready yet."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from penstock.completion import CompletionTracker
from penstock.ready_queue import Blocked, ReadyQueue
from penstock.task_admission import TaskAdmissionController
from penstock.verdicts import describe_until

__all__ = ["explain"]

LISTED = 20


def explain(queue: ReadyQueue, admission: TaskAdmissionController, tracker: CompletionTracker, now: float) -> str:
    """A few lines that say for each group what keeps it back, who said so, since when, and what would end it."""
    view = queue.view()
    free = ", ".join(
        f"{resource} {admission.view().resources_available[resource]} of {limit} free"
        for resource, limit in admission.view().resource_limits.items()
    )
    lines = [f"{admission.in_flight} running, {view.queued_total} queued, {len(tracker)} unfinished; {free}"]
    blocked = sorted(queue.blocked(), key=lambda block: (-block.tasks, str(block.group)))
    lines += [_line(block, now) for block in blocked[:LISTED]]
    if len(blocked) > LISTED:
        lines.append(f"  and {len(blocked) - LISTED} more refusals")
    if not admission.in_flight and not view.queued_total:
        lines += _not_ready(tracker.unfinished())
    return "\n".join(lines)


def _line(block: Blocked, now: float) -> str:
    denied = block.denied
    whom = "everything" if block.group is None else f"group {block.group}"
    who = f" by {denied.by}" if denied.by else ""
    detail = f": {denied.detail}" if denied.detail else ""
    return (
        f"  {whom}: {block.tasks} queued, {denied.reason}{who}{detail}; "
        f"for {now - block.since:.1f} s, until {describe_until(denied.until, now)}"
    )


def _not_ready(unfinished: Iterable[tuple[str, str, int]]) -> list[str]:
    listed = list(islice(unfinished, LISTED))
    return [
        f"  task {task_id}: a barrier that nobody has sealed" if state == "open barrier"
        else f"  task {task_id}: {state}, waits for {missing} other tasks"
        for task_id, state, missing in listed
    ]  # fmt: skip
