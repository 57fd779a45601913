"""A task as its owner hands it to the gate: an entry of the queue, whose record is made when somebody looks at it.

Of a million queued tasks most are looked at only when it is their turn. Until then each is one object: there is no
entry of the queue beside it, and no record.
"""

from __future__ import annotations

from typing import Any

from penstock.queueing.lanes import Entry
from penstock.tasks.records import SchedulableTask, set_arrival
from penstock.tasks.terms import TaskTerms
from penstock.words.native import mypyc_attr

__all__ = ["TaskEntry"]


@mypyc_attr(allow_interpreted_subclasses=True)
class TaskEntry(Entry):
    """A task with what its record is made of.

    Who makes one knows it by its id, and puts none into a queue again that was discarded there.
    """

    __slots__ = ("payload", "task_id", "terms")
    __deletable__ = ("terms",)

    task_id: str
    payload: Any
    terms: TaskTerms

    def forget(self) -> None:
        """There is no record, or it is not needed any more."""
        self.made = None

    def make(self) -> SchedulableTask:
        """The record, the same at each call."""
        made: SchedulableTask | None = self.made
        if made is None:
            terms = self.terms
            made = SchedulableTask(
                self.task_id, self.payload, terms.group, terms.resource_request, terms.deadline, terms.labels
            )
            set_arrival(made, self.sequence)
            self.made = made
        return made
