"""The records of the request gate: what is asked for, what is given, and what a refusal carries."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Protocol

import attrs
from msgspec import Struct
from msgspec.structs import force_setattr

from penstock.events.correlation import RuntimeCorrelation
from penstock.requests.hints import Hints
from penstock.requests.limiter_change import LimiterChange
from penstock.requests.outcomes import RequestReleaseOutcome
from penstock.requests.verdict import LimitedBy
from penstock.words.checks import MOST_TOKENS, a_duration, a_key, a_moment, a_name, a_weight, an_instance, whole_number
from penstock.words.errors import AdmissionError
from penstock.words.identity import RequestResourceKey
from penstock.words.labels import labels_of
from penstock.words.read_only import read_only, writer
from penstock.words.verdicts import Condition, Denied, RequestReason, TaskReason

__all__ = [
    "MOST_URGENT",
    "ONE_REQUEST",
    "RequestAdmissionDenied",
    "RequestAdmissionError",
    "RequestAdmissionItem",
    "RequestAdmissionLease",
    "RequestCost",
    "RequestEventContext",
    "RequestGroupSpec",
    "counted_by",
    "plain_group",
    "set_notes",
]


class RequestCost(Struct, frozen=True, cache_hash=True, weakref=True):
    """What one call is expected to use: requests (1 to 1,000,000) and token estimates (0 to 1,000,000,000), which the
    release corrects. Raises `ConfigError` for anything else.
    """

    requests: int = 1
    input_tokens: int = 0
    output_tokens: int = 0

    def __post_init__(self) -> None:
        if type(self.requests) is not int or self.requests != 1:
            whole_number(self.requests, "cost.requests")
        for name in ("input_tokens", "output_tokens"):
            count = getattr(self, name)
            if type(count) is not int or not 0 <= count <= MOST_TOKENS:
                whole_number(count, f"cost.{name}", 0, MOST_TOKENS)

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

    def __post_init__(self) -> None:
        correlation, attempt_id = self.correlation, self.request_attempt_id
        if correlation is not None:
            an_instance(correlation, RuntimeCorrelation, "event_context.correlation").check()
        if self.task_execution_id is not None:
            a_name(self.task_execution_id, "event_context.task_execution_id")
        if attempt_id is not None and (type(attempt_id) is not str or not attempt_id or not attempt_id.isascii()):
            a_name(attempt_id, "event_context.request_attempt_id")


_THAT_OF_THE_RESOURCE: Final[Any] = object()


@read_only
class RequestAdmissionItem(Struct, frozen=True, eq=False, weakref=True):
    """One concrete call that wants to go out.

    `group` defaults to the resource itself. `queue_wait_timeout` is in seconds from the moment of asking (0:
    now or never; `None`: as long as it takes); `deadline` is a moment of the run's clock by which the call
    must have *started*. `priority` (-100 to 100, the larger first) is that among the waiting calls of its group, where
    the order of waiters looks at it. `labels` are those of its task and its own, `None` if there are none. Raises
    `ConfigError`.
    """

    resource: RequestResourceKey
    group: RequestGroupSpec = _THAT_OF_THE_RESOURCE
    cost: RequestCost = ONE_REQUEST
    queue_wait_timeout: float | None = None
    deadline: float | None = None
    event_context: RequestEventContext | None = None
    labels: Mapping[str, str] | None = None
    priority: int = 0

    def __post_init__(self) -> None:
        if type(self.resource) is not RequestResourceKey:
            an_instance(self.resource, RequestResourceKey, "resource")
        if self.group is _THAT_OF_THE_RESOURCE:
            force_setattr(self, "group", plain_group(self.resource))
        elif type(self.group) is not RequestGroupSpec:
            an_instance(self.group, RequestGroupSpec, "group")
        if type(self.cost) is not RequestCost:
            an_instance(self.cost, RequestCost, "cost")
        timeout, deadline = self.queue_wait_timeout, self.deadline
        if timeout is not None and (type(timeout) is not float or not timeout >= 0):
            force_setattr(self, "queue_wait_timeout", a_duration(timeout, "timeout"))
        if deadline is not None and (type(deadline) is not float or deadline != deadline):
            force_setattr(self, "deadline", a_moment(deadline, "deadline"))
        if self.labels is not None:
            force_setattr(self, "labels", labels_of(self.labels))
        if type(self.priority) is not int or self.priority != 0:
            whole_number(self.priority, "priority", -MOST_URGENT, MOST_URGENT)
        if self.event_context is not None and type(self.event_context) is not RequestEventContext:
            an_instance(self.event_context, RequestEventContext, "event_context")


class LeaseCounter(Protocol):
    """The limiter that counted a lease in: it learns from the call's answer, and counts the lease out again."""

    def observe_call(
        self, lease: RequestAdmissionLease, token: object, hints: Hints, now: float
    ) -> Sequence[LimiterChange]: ...

    def explain_refusal(
        self, lease: RequestAdmissionLease, token: object, outcome: RequestReleaseOutcome, now: float
    ) -> LimitedBy | None: ...

    def release(
        self, lease: RequestAdmissionLease, token: object, outcome: RequestReleaseOutcome, now: float
    ) -> Sequence[LimiterChange]: ...


@read_only
class RequestAdmissionLease(Struct, eq=False, weakref=True):
    """The permit of one call to be out, from before it goes until its outcome is classified. As the item, it cannot be
    changed by whoever sees it.

    `limit_at_admission` is the smallest adaptive limit that applied then (`None` if none did),
    `effective_max` the bound it can grow to. `tokens` pairs each limiter with what it answered to `acquire`:
    the release goes to exactly these, also when the configuration has changed meanwhile. `probe`: a limiter agreed to
    it as a probe; that stands before any limiter counts it, and when it comes back. `diagnostics` is what limiters
    noted while they counted the call, `None` if there was nothing; it goes into the lease's event. `books` is the
    gate's own: where it has counted the lease, of its resource and its group.
    """

    lease_id: str
    item: RequestAdmissionItem
    acquired_at: float
    controller_generation: int
    limit_at_admission: int | None = None
    effective_max: int | None = None
    tokens: tuple[tuple[LeaseCounter, object], ...] = ()
    probe: bool = False
    diagnostics: dict[str, Any] | None = None
    books: Any = None

    def note(self, what: str, value: object) -> None:
        """Note something that people should see beside this lease; JSON-safe. For limiters, in `acquire`."""
        if self.diagnostics is None:
            set_notes(self, {})
            assert self.diagnostics is not None
        self.diagnostics[what] = value

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__ if name != "books")
        return f"RequestAdmissionLease({shown})"


counted_by: Final = writer(RequestAdmissionLease, "tokens")
"""Keeps in a lease what the limiters answered, as pairs of limiter and answer. For the gate that grants it."""
set_notes: Final = writer(RequestAdmissionLease, "diagnostics")
"""Puts notes of limiters in the place of those that a lease has."""


@attrs.frozen
class RequestAdmissionDenied:
    """The refusal of a call: why it did not get its lease, and when it might.

    `refused_at` is the moment of the refusal, in seconds of the run's clock.
    """

    item: RequestAdmissionItem
    denied: Denied
    refused_at: float
    snapshot: Mapping[str, Any] | None = None

    @property
    def reason(self) -> TaskReason | RequestReason:
        """Why, as one of `REQUEST_REASONS`."""
        return self.denied.reason

    @property
    def detail(self) -> str:
        """Why, in words and figures."""
        return self.denied.detail

    @property
    def until(self) -> frozenset[Condition]:
        """What would end the refusal: the first of these that comes true."""
        return self.denied.until

    @property
    def available_after_monotonic(self) -> float | None:
        """The moment of the run's clock at which it might be worth asking again; `None` if none is known."""
        return self.denied.next_moment()

    @property
    def retry_after_seconds(self) -> float | None:
        """The same as seconds from the refusal on."""
        moment = self.available_after_monotonic
        return None if moment is None else max(moment - self.refused_at, 0.0)


class RequestAdmissionError(AdmissionError):
    """A call was refused here, locally: the provider never saw it. `denied` has `reason`, `detail`, and `until`: what
    would end it.
    """

    def __init__(self, denied: RequestAdmissionDenied) -> None:
        self.denied = denied
        self.reason = denied.reason
        super().__init__(f"{denied.item.resource}: {denied.denied}")
