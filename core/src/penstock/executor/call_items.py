"""What a call asks the request gate for, made of what its caller says and of the task in which it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypedDict

from penstock.events.correlation import current_correlation
from penstock.executor.caller_input import group_of
from penstock.requests.items import (
    ONE_REQUEST,
    RequestAdmissionItem,
    RequestCost,
    RequestEventContext,
    RequestGroupSpec,
    plain_group,
)
from penstock.words.checks import an_instance
from penstock.words.errors import ConfigError
from penstock.words.identity import RequestDomain, RequestResourceKey, RequestResourceResolver
from penstock.words.labels import merged_labels

__all__ = ["CallItems", "CallOptions", "Resources"]

Resources = RequestResourceKey | str | Sequence[RequestResourceKey | str]
"""One resource, or several that serve a call alike: the first at which its turn comes."""

_ONE: Final = (str, RequestResourceKey)


class ItemOptions(TypedDict, total=False):
    """The options of a call at whichever resource, which `penstock.request` explains. Without `group` a call is for the
    group of its task, with weight 1, and outside of tasks for the resource; without `timeout` it waits as long as the
    run allows.
    """

    cost: RequestCost
    group: RequestGroupSpec | str | None
    timeout: float | None
    deadline: float | None
    labels: Mapping[str, str] | None
    priority: int


class CallOptions(ItemOptions, total=False):
    """The options of a call."""

    domain: str


class CallItems:
    """The maker of the items of an executor's calls.

    `queue_wait_timeout` holds for calls that say nothing else; attempts are numbered after `attempt_prefix`.
    """

    def __init__(
        self, resolver: RequestResourceResolver, queue_wait_timeout: float | None, attempt_prefix: str
    ) -> None:
        self._resolver = resolver
        self.queue_wait_timeout = queue_wait_timeout
        self._attempt_prefix = attempt_prefix
        self._attempts = 0
        self.check_before_call: Callable[[], None] | None = None
        """Called before each call, if there is something to check."""

    def keys(self, resources: Any, domain: Any = RequestDomain.CHAT) -> list[RequestResourceKey]:
        """The keys of one resource or of several. Raises `ConfigError` where there is none, or one names nothing."""
        return [self._resolver.key_of(each, domain) for each in _each_of(resources)]

    def items(self, resources: Resources, options: CallOptions) -> list[RequestAdmissionItem]:
        """The items of the next attempt, one per resource. Raises `ConfigError` for a wrong option."""
        if self.check_before_call is not None:
            self.check_before_call()
        each_of = resources if type(resources) is list and resources else _each_of(resources)
        if len(each_of) == 1:
            return [self._item(each_of[0], **options)]
        return [self._item(each, **options) for each in each_of]

    def _item(
        self,
        resource: Any,
        domain: Any = RequestDomain.CHAT,
        cost: Any = ONE_REQUEST,
        group: Any = None,
        timeout: Any = None,
        deadline: Any = None,
        labels: Any = None,
        priority: Any = 0,
    ) -> RequestAdmissionItem:
        # Whatever a caller says comes here, and is looked at by the resolver and by the item.
        key = self._resolver.key_of(resource, domain)
        correlation = current_correlation()
        of_the_task = None
        if correlation is not None:
            of_the_task = correlation.labels
            if group is None and correlation.task_group is not None:
                group = plain_group(correlation.task_group)
        self._attempts += 1
        return RequestAdmissionItem(
            key,
            group if type(group) is RequestGroupSpec else group_of(group, key),
            cost,
            self.queue_wait_timeout if timeout is None else timeout,
            deadline,
            RequestEventContext(
                correlation,
                correlation.task_execution_id if correlation is not None else None,
                f"{self._attempt_prefix}{self._attempts}",
            ),
            of_the_task if labels is None else merged_labels(of_the_task, labels),
            priority,
        )

    def check_call(self, item: RequestAdmissionItem) -> None:
        """As `check`, for a call that is made here and now. Raises what `check_before_call` raises, too."""
        if self.check_before_call is not None:
            self.check_before_call()
        self.check(item)

    def check(self, item: RequestAdmissionItem) -> None:
        """Raises `ConfigError` unless this is an item, for a resource that may be asked for."""
        if type(item) is not RequestAdmissionItem:
            an_instance(item, RequestAdmissionItem, "item")
        self._resolver.key_of(item.resource)


def _each_of(resources: Resources) -> Sequence[RequestResourceKey | str]:
    """The resources that serve a call. Raises `ConfigError` where there is none."""
    if isinstance(resources, _ONE) or not isinstance(resources, Sequence):
        return (resources,)
    if not resources:
        raise ConfigError("resource must name at least one of those that serve the call, and the list is empty")
    return resources
