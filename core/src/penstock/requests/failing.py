"""Calls that a plugin which could not answer has refused: since when each, and when it is given up.

Such a call waits for other plugins (`Signal("reconfigured")`), but no longer than `stall_timeout` seconds: then it is
asked once more, and ends if it is refused in the same way. A limiter whose counts are in doubt has been so
since it raised, so calls that come later wait only for what is left of that time.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

from penstock.requests.items import RequestAdmissionItem
from penstock.words.plugin_failures import ends_in_time
from penstock.words.verdicts import Denied

__all__ = ["FailingPlugins"]


class FailingPlugins:
    """The refusals that stand for an answer of a plugin, each with its end. `stall_timeout` in seconds."""

    def __init__(self, stall_timeout: float) -> None:
        self.any = False
        """Whether there has been such a refusal since the plugins were configured."""
        self._since: WeakKeyDictionary[RequestAdmissionItem, float] = WeakKeyDictionary()
        self.stall_timeout = stall_timeout

    def refusal(self, item: RequestAdmissionItem, denied: Denied, now: float) -> Denied:
        """The refusal under which the call waits, or, if it has waited long enough, one that is final."""
        if denied.failed_at is None:
            self._since.pop(item, None)
            return denied
        self.any = True
        since = self._since[item] = min(denied.failed_at, self._since.get(item, now))
        return ends_in_time(denied, since, self.stall_timeout, now)

    def forget(self) -> None:
        """The plugins are configured anew: every wait begins again."""
        self.any = False
        self._since.clear()
