"""A task as its owner hands it to the gate: an entry of the queue, whose record is made when somebody looks at it.

Of a million queued tasks most are looked at only when it is their turn. Until then each is one object: there is no
entry of the queue beside it, and no record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

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


_record_of: Final[Callable[[Entry[SchedulableTask]], SchedulableTask | None]] = vars(Entry)["item"].__get__
_keep_record: Final[Callable[[Entry[SchedulableTask], SchedulableTask | None], None]] = vars(Entry)["item"].__set__
"""Of an entry itself: where its class is compiled, the queue looks there, and asks `make` if there is none."""


class TaskEntry(Entry[SchedulableTask]):
    """A task with what its record is made of.

    Who makes one knows it by its id, and puts none into a queue again that was discarded there.
    """

    __slots__ = ("payload", "task_id", "terms")

    task_id: str
    payload: Any
    terms: TaskTerms

    @property
    def item(self) -> SchedulableTask:  # type: ignore[override]
        """The record, as `make` gives it."""
        return self.make()

    @property
    def made(self) -> SchedulableTask | None:
        """The record, if it was made."""
        return _record_of(self)

    def forget(self) -> None:
        """There is no record, or it is not needed any more."""
        _keep_record(self, None)

    def make(self) -> SchedulableTask:
        """The record, the same at each call."""
        made = _record_of(self)
        if made is None:
            terms = self.terms
            made = SchedulableTask(
                self.task_id, self.payload, terms.group, terms.resource_request, terms.deadline, terms.labels
            )
            set_arrival(made, self.sequence)
            _keep_record(self, made)
        return made
