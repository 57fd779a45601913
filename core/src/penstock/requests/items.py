"""The records of the request gate: what is asked for, what is given, and what a refusal carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import attrs
from msgspec import Struct

from penstock.requests.call_terms import (
    MOST_URGENT,
    ONE_REQUEST,
    RequestCost,
    RequestEventContext,
    RequestGroupSpec,
    plain_group,
)
from penstock.requests.hints import Hints
from penstock.requests.item_checks import THAT_OF_THE_RESOURCE, check_item
from penstock.requests.limiter_change import LimiterChange
from penstock.requests.outcomes import RequestReleaseOutcome
from penstock.requests.verdict import LimitedBy
from penstock.words.errors import AdmissionError
from penstock.words.identity import RequestResourceKey
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
    group: RequestGroupSpec = THAT_OF_THE_RESOURCE
    cost: RequestCost = ONE_REQUEST
    queue_wait_timeout: float | None = None
    deadline: float | None = None
    event_context: RequestEventContext | None = None
    labels: Mapping[str, str] | None = None
    priority: int = 0

    __post_init__ = check_item  # type: ignore[misc]  # compiled, and nothing around it


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
