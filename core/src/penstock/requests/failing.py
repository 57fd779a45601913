"""Calls that a plugin which could not answer has refused: since when each, and when it is given up.

Such a call waits for other plugins (`Signal("reconfigured")`), but no longer than `stall_timeout` seconds: then it is
asked once more, and ends if it is refused in the same way. Calls that come later wait only for what is left of that
time: a plugin that has failed for longer at their resource, with no call let through, is asked again, and is not waited
for again.
"""

from __future__ import annotations

from typing import Final
from weakref import WeakKeyDictionary

from penstock.requests.items import RequestAdmissionItem
from penstock.requests.registry import ResourceState
from penstock.words.identity import RequestResourceKey
from penstock.words.plugin_failures import ends_in_time
from penstock.words.verdicts import Denied

__all__ = ["FailingPlugins"]

REMEMBERED: Final = 1024
"""At how many resources it is remembered since when plugins have failed."""


class FailingPlugins:
    """The refusals that stand for an answer of a plugin, each with its end. `stall_timeout` in seconds."""

    def __init__(self, stall_timeout: float) -> None:
        self.any = False
        """Whether there has been such a refusal since the plugins were configured."""
        self._since: WeakKeyDictionary[RequestAdmissionItem, float] = WeakKeyDictionary()
        self._failed_at: dict[RequestResourceKey, tuple[float, int]] = {}
        """Since when calls to a resource have been refused for want of an answer, and how many had a lease before."""
        self.stall_timeout = stall_timeout

    def refusal(self, state: ResourceState, item: RequestAdmissionItem, denied: Denied, now: float) -> Denied:
        """The refusal under which the call waits, or, if it has waited long enough, one that is final."""
        if denied.failed_at is None:
            self._since.pop(item, None)
            return denied
        self.any = True
        if len(self._failed_at) >= REMEMBERED:
            self._failed_at.clear()
        failed_at, acquired = self._failed_at.setdefault(state.key, (denied.failed_at, state.acquired))
        if acquired != state.acquired:  # they could answer meanwhile
            failed_at = denied.failed_at
            self._failed_at[state.key] = failed_at, state.acquired
        since = self._since[item] = min(failed_at, denied.failed_at, self._since.get(item, now))
        return ends_in_time(denied, since, self.stall_timeout, now)

    def forget(self) -> None:
        """The plugins are configured anew: every wait begins again."""
        self.any = False
        self._since.clear()
        self._failed_at.clear()
