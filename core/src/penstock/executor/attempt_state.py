"""The state of an attempt, and the steps of its end.

What ended on our side is decided here, before anybody else is asked: a cancelled call says nothing about its provider,
unless the provider had refused it before. Protected against Ctrl+C by whoever ends it (`attempt.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final

import trio
from msgspec.structs import replace

from penstock.executor.consequences import Consequences
from penstock.executor.gate_steps import GateSteps
from penstock.executor.open_blocks import CallSite, Holder
from penstock.requests.items import RequestAdmissionLease
from penstock.requests.outcomes import RequestReleaseOutcome
from penstock.requests.own_failures import own_shortage
from penstock.requests.response import ResponseFacts
from penstock.requests.verdict import Usage
from penstock.words.checks import an_instance
from penstock.words.failures import FailureMark, mark_failure
from penstock.words.native import mypyc_attr

__all__ = ["AttemptState", "Classifier"]

Classifier = Callable[["ResponseFacts | None", "BaseException | None"], RequestReleaseOutcome]
"""Facts and error, either of which may be missing, to how the call ended."""

_LOCAL_CANCELLED: Final = RequestReleaseOutcome(kind="local_cancelled")
_UNEXPECTED: Final = RequestReleaseOutcome(kind="unexpected_exception")
_LOCAL_TIMEOUT: Final = RequestReleaseOutcome(kind="local_timeout")


def _local_outcome(error: BaseException | None) -> RequestReleaseOutcome | None:
    """The outcome of a call that we ended ourselves; `None` for everything else.

    `trio.TooSlowError` is a timeout of ours; the built-in `TimeoutError` is the provider's.
    """
    if error is None:
        return None
    if isinstance(error, BaseExceptionGroup):
        found = [_local_outcome(member) for member in error.exceptions]
        if None in found:
            return None
        return _LOCAL_TIMEOUT if _LOCAL_TIMEOUT in found else _LOCAL_CANCELLED
    if isinstance(error, trio.TooSlowError):
        return _LOCAL_TIMEOUT
    if short_of := own_shortage(error):
        return RequestReleaseOutcome(kind="local_timeout", went_out=False, detail=short_of)
    # Cancelled, KeyboardInterrupt, SystemExit, GeneratorExit: somebody here does not want the answer any more
    return None if isinstance(error, Exception) else _LOCAL_CANCELLED


@mypyc_attr(allow_interpreted_subclasses=True)
class AttemptState:
    """What an `Attempt` is made of, which explains the arguments."""

    def __init__(
        self,
        gate: GateSteps,
        classify: Classifier,
        consequences: Consequences,
        lease: RequestAdmissionLease,
        started_at: float,
        call: Hashable,
        holder: Holder | None,
        site: CallSite | None,
        detached: bool,
    ) -> None:
        self._lease = lease
        self._consequences = consequences
        self._call = call
        self.started_at = started_at
        """When the lease was there and the call could go out, in seconds of the run's clock."""
        self._outcome: RequestReleaseOutcome | None = None
        self.idempotency_key: str | None = None
        """What to send with the call, by which the provider knows a retry from a new call; if the caller gave one."""
        self._gate = gate
        self._classify = classify
        self._facts: ResponseFacts | None = None
        self._usage: Usage | None = None
        self.stands_alone = call is not None and consequences.stands_alone(call)
        """Its call has been refused again and again while others passed: limiters learn nothing from that."""
        self.detached = detached
        """Whether somebody has taken the end over."""
        self.site = site
        """Where its block was entered, if it has one."""
        self._holder = holder
        self._ended = False
        if holder is not None:
            gate.waits.blocks.enter(self, holder)

    @property
    def lease(self) -> RequestAdmissionLease:
        """The permit that it holds until it ends."""
        return self._lease

    @property
    def ended(self) -> bool:
        """Whether its lease has been released."""
        return self._ended

    def answered(self, facts: ResponseFacts, usage: Usage | None = None) -> None:
        """The facts of the answer, and what it says was used; how that ends the call is decided when it ends.

        The last word counts. `usage` goes into an outcome that has none itself.
        """
        if type(facts) is not ResponseFacts:
            an_instance(facts, ResponseFacts, "facts")
        if usage is not None and type(usage) is not Usage:
            an_instance(usage, Usage, "usage")
        self._facts = facts
        self._usage = usage

    def finish(self, outcome: RequestReleaseOutcome) -> None:
        """The outcome outright. The last word counts, also over `answered` and over an exception."""
        self._outcome = an_instance(outcome, RequestReleaseOutcome, "outcome")

    def left_open(self) -> None:
        """Whoever is in its block has ended: it ends as if a generator that contains the block were closed."""
        if not self._ended:
            self._end(GeneratorExit(), None)

    def _end(self, error: BaseException | None, ended_at: float | None) -> None:
        """The end, which has not been before."""
        self._ended = True
        if self._holder is not None:
            self._leave_block()
        try:
            outcome = self._outcome or _classified(self._classify, self._facts, error)
        except Exception:  # an exception that cannot even be looked at: the lease comes back all the same
            outcome = _UNEXPECTED
        now = self._gate.run.now_to_change()
        elapsed = (now if ended_at is None else ended_at) - self.started_at
        if outcome.elapsed is None or (self._usage is not None and outcome.usage is None):
            outcome = outcome.measured(elapsed, self._usage)
        self._outcome = outcome
        if error is not None:
            mark_failure(error, FailureMark(outcome.kind, outcome.retryable))
        if self.stands_alone and outcome.kind == "rate_limited":
            outcome = replace(outcome, of="call")
        self._gate.call_completed(self._lease, outcome, elapsed, now)
        self._consequences.ended(self._lease, outcome, self.started_at, self._call, now)

    def _leave_block(self) -> None:
        if self._holder is not None:
            self._gate.waits.blocks.leave(self, self._holder)
            self._holder = None


def _classified(
    classify: Classifier, facts: ResponseFacts | None, error: BaseException | None
) -> RequestReleaseOutcome:
    local = None if error is None else _local_outcome(error)
    if local is None:
        return classify(facts, error)
    if facts is None:
        return local
    answer = classify(facts, None)
    return replace(local, went_out=True) if answer.kind == "success" else answer
