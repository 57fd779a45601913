"""What is looked at when a call asks for a lease: once per call.

Apart from the record, so that it can be compiled: so it takes whatever its fields hold.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import force_setattr

from penstock.requests.call_terms import MOST_URGENT, RequestCost, RequestEventContext, RequestGroupSpec, plain_group
from penstock.words.checks import a_duration, a_moment, an_instance, whole_number
from penstock.words.identity import RequestResourceKey
from penstock.words.labels import labels_of

__all__ = ["THAT_OF_THE_RESOURCE", "check_item"]

THAT_OF_THE_RESOURCE: Final[Any] = object()
"""The group of a call that is for nobody in particular."""


def check_item(item: Any) -> None:
    """Raises `ConfigError` unless this can be asked for; what is said in another type is put right."""
    resource, group, timeout, deadline = item.resource, item.group, item.queue_wait_timeout, item.deadline
    if type(resource) is not RequestResourceKey:
        an_instance(resource, RequestResourceKey, "resource")
    if group is THAT_OF_THE_RESOURCE:
        force_setattr(item, "group", plain_group(resource))
    elif type(group) is not RequestGroupSpec:
        an_instance(group, RequestGroupSpec, "group")
    if type(item.cost) is not RequestCost:
        an_instance(item.cost, RequestCost, "cost")
    if timeout is not None and (type(timeout) is not float or not timeout >= 0):
        force_setattr(item, "queue_wait_timeout", a_duration(timeout, "timeout"))
    if deadline is not None and (type(deadline) is not float or deadline != deadline):
        force_setattr(item, "deadline", a_moment(deadline, "deadline"))
    if item.labels is not None:
        force_setattr(item, "labels", labels_of(item.labels))
    if type(item.priority) is not int or item.priority != 0:
        whole_number(item.priority, "priority", -MOST_URGENT, MOST_URGENT)
    if item.event_context is not None and type(item.event_context) is not RequestEventContext:
        an_instance(item.event_context, RequestEventContext, "event_context")
