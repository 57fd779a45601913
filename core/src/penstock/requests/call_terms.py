"""What a call says of itself: what it is expected to use, whom it is for, and what its events are joined by."""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from typing import Final

import attrs
from msgspec import Struct

from penstock.events.correlation import RuntimeCorrelation
from penstock.requests.term_checks import check_context, check_cost
from penstock.words.checks import a_key, a_weight, whole_number
from penstock.words.read_only import read_only

__all__ = ["MOST_URGENT", "ONE_REQUEST", "RequestCost", "RequestEventContext", "RequestGroupSpec", "plain_group"]


class RequestCost(Struct, frozen=True, cache_hash=True, weakref=True):
    """What one call is expected to use: requests (1 to 1,000,000) and token estimates (0 to 1,000,000,000), which the
    release corrects. Raises `ConfigError` for anything else.
    """

    requests: int = 1
    input_tokens: int = 0
    output_tokens: int = 0

    __post_init__ = check_cost  # type: ignore[misc]  # compiled, and nothing around it

    @property
    def tokens(self) -> int:
        """Input and output tokens together."""
        return self.input_tokens + self.output_tokens


ONE_REQUEST: Final = RequestCost()
MOST_URGENT: Final = 100
"""The highest priority; the lowest is as far below 0."""


@attrs.frozen(cache_hash=True)
class RequestGroupSpec:
    """Who a call is for: a tenant, a column, an API key. Groups that share a cap share it by `weight` (0.000001 to
    1,000,000). `admitted_limit` bounds the requests in flight for the group at once, over all models (1 to 1,000,000);
    `None`: nothing does. The limit that a call brings is the one that it is held to. Raises `ConfigError` for anything
    else, and for a key under which nothing can be filed.
    """

    key: Hashable
    weight: float = 1.0
    admitted_limit: int | None = None

    def __attrs_post_init__(self) -> None:
        if type(self.key) is not str or not self.key or not self.key.isascii():
            a_key(self.key, "group key")
        if type(self.weight) is not float or self.weight != 1.0:
            object.__setattr__(self, "weight", a_weight(self.weight, f"group {self.key}: weight"))
        if self.admitted_limit is not None:
            whole_number(self.admitted_limit, f"group {self.key}: admitted_limit")


@lru_cache(maxsize=1024, typed=True)
def plain_group(key: Hashable) -> RequestGroupSpec:
    """The group of this key of which nothing else is said: made once, since most calls are for one of these. Raises as
    `RequestGroupSpec`.
    """
    return RequestGroupSpec(key)


@read_only
class RequestEventContext(Struct, frozen=True, weakref=True):
    """What the events of one attempt are joined by."""

    correlation: RuntimeCorrelation | None = None
    task_execution_id: str | None = None
    request_attempt_id: str | None = None

    __post_init__ = check_context  # type: ignore[misc]  # compiled, and nothing around it
