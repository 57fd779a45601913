"""A task as its owner hands it to the gate: an entry of the queue, whose record is made when somebody looks at it.

Of a million queued tasks most are looked at only when it is their turn. Until then each is one object: there is no
entry of the queue beside it, and no record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from penstock.queueing.lanes import Entry
from penstock.tasks.records import SchedulableTask, SchedulerResourceRequest, TaskGroupSpec, set_arrival

__all__ = ["TaskEntry", "TaskTerms"]


@attrs.define(eq=False)
class TaskTerms:
    """What tasks of one kind have in common, by the names that it has in their records."""

    group: TaskGroupSpec
    resource_request: SchedulerResourceRequest
    deadline: float | None
    labels: Mapping[str, str] | None


class TaskEntry(Entry[SchedulableTask]):
    """A task with what its record is made of. `item` is the record, and `None` before.

    Who makes one knows it by its id, and puts none into a queue again that was discarded there.
    """

    __slots__ = ("payload", "task_id", "terms")

    item: Any
    task_id: str
    payload: Any
    terms: TaskTerms

    def make(self) -> SchedulableTask:
        """The record, the same at each call."""
        made: SchedulableTask | None = self.item
        if made is None:
            terms = self.terms
            made = self.item = SchedulableTask(
                self.task_id, self.payload, terms.group, terms.resource_request, terms.deadline, terms.labels
            )
            set_arrival(made, self.sequence)
        return made
