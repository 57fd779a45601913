"""One attempt: one lease, one classified release.

Leaving the block ends the attempt, whatever the way; the cleanup awaits nothing, so cancellation cannot skip
it. What ended on our side is decided here, before anybody else is asked: a cancelled call says nothing about
its provider, unless the provider had refused it before. `detach` takes the end out of the block, for a body
that is read later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Protocol

import attrs
import trio

from penstock.requests.items import RequestAdmissionItem, RequestAdmissionLease
from penstock.requests.outcomes import RequestReleaseOutcome, Usage
from penstock.requests.response import ResponseFacts
from penstock.words.failures import FailureMark, mark_failure

__all__ = ["Attempt", "AttemptContext", "AttemptOwner", "DetachedAttempt", "local_outcome"]

Classifier = Callable[["ResponseFacts | None", "BaseException | None"], RequestReleaseOutcome]

_LOCAL_CANCELLED: Final = RequestReleaseOutcome(kind="local_cancelled")
_LOCAL_TIMEOUT: Final = RequestReleaseOutcome(kind="local_timeout")


def local_outcome(error: BaseException | None) -> RequestReleaseOutcome | None:
    """How a call ended that we ended ourselves; `None` for everything else.

    `trio.TooSlowError` is a timeout of ours; the built-in `TimeoutError` is the provider's.
    """
    if error is None:
        return None
    if isinstance(error, BaseExceptionGroup):
        found = [local_outcome(member) for member in error.exceptions]
        if None in found:
            return None
        return _LOCAL_TIMEOUT if _LOCAL_TIMEOUT in found else _LOCAL_CANCELLED
    if isinstance(error, trio.TooSlowError):
        return _LOCAL_TIMEOUT
    # Cancelled, KeyboardInterrupt, SystemExit, GeneratorExit: somebody here does not want the answer any more
    return None if isinstance(error, Exception) else _LOCAL_CANCELLED


class AttemptOwner(Protocol):
    """What an attempt needs of the executor that made it: its gate, its clock, and its word on how a call ended."""

    async def acquire(self, item: RequestAdmissionItem) -> RequestAdmissionLease: ...

    def begin_attempt(self, lease: RequestAdmissionLease) -> float: ...

    def observe(self, lease: RequestAdmissionLease, headers: Mapping[str, str]) -> None: ...

    def classify(self, facts: ResponseFacts | None, error: BaseException | None) -> RequestReleaseOutcome: ...

    def end_attempt(self, lease: RequestAdmissionLease, outcome: RequestReleaseOutcome, elapsed: float) -> None: ...

    def now(self) -> float: ...


class Attempt:
    """A call that may go out now, until its block is left. Tell it what came back: `answered`, or `finish`."""

    def __init__(self, executor: AttemptOwner, lease: RequestAdmissionLease, started_at: float) -> None:
        self.lease = lease
        self.started_at = started_at
        """When the lease was there and the call could go out, in seconds of the run's clock."""
        self.outcome: RequestReleaseOutcome | None = None
        """How it ended; `None` while it lasts."""
        self.idempotency_key: str | None = None
        """What to send with the call, so that the provider can tell a retry from a new call; if the caller gave one."""
        self._executor = executor
        self._facts: ResponseFacts | None = None
        self._usage: Usage | None = None
        self._went_out = True
        self._detached: DetachedAttempt | None = None

    @property
    def attempt_id(self) -> str:
        """Unique within the run."""
        context = self.lease.item.event_context
        return context.request_attempt_id or "" if context is not None else ""

    def answered(self, facts: ResponseFacts, usage: Usage | None = None) -> None:
        """Note what the answer looked like, and what it says was used; how that ends the call is decided when
        it ends.

        The last word counts. `usage` goes into an outcome that tells none itself.
        """
        self._facts = facts
        self._usage = usage

    def finish(self, outcome: RequestReleaseOutcome) -> None:
        """Say outright how the call ended. The last word counts, also over `answered` and over an exception."""
        self.outcome = outcome

    def never_went_out(self) -> None:
        """Say that the call was not sent after all (no connection came about): it has used nothing of any budget."""
        self._went_out = False

    def observe(self, headers: Mapping[str, str]) -> None:
        """Let limiters learn from the answer's headers (lower-case names) now, while its body still streams."""
        self._executor.observe(self.lease, headers)

    def detach(self) -> DetachedAttempt:
        """Take the end of the attempt over: leaving the block releases nothing then, unless by an exception."""
        if self._detached is None:
            self._detached = DetachedAttempt(self)
        return self._detached

    @property
    def detached(self) -> bool:
        """Whether somebody has taken the end over."""
        return self._detached is not None

    def end(self, error: BaseException | None) -> None:
        """Release the lease with the outcome that was told, or that follows from the facts and `error`."""
        elapsed = self._executor.now() - self.started_at
        outcome = self.outcome or self._classified(error)
        if outcome.elapsed is None:
            outcome = attrs.evolve(outcome, elapsed=elapsed)
        if outcome.usage is None and self._usage is not None:
            outcome = attrs.evolve(outcome, usage=self._usage)
        if not self._went_out:
            outcome = attrs.evolve(outcome, went_out=False)
        self.outcome = outcome
        if error is not None:
            mark_failure(error, FailureMark(outcome.kind, outcome.retryable))
        self._executor.end_attempt(self.lease, self.outcome, elapsed)

    def _classified(self, error: BaseException | None) -> RequestReleaseOutcome:
        local = local_outcome(error)
        if local is None:
            return self._executor.classify(self._facts, error)
        answer = self._executor.classify(self._facts, None) if self._facts is not None else None
        return local if answer is None or answer.kind == "success" else answer


class DetachedAttempt:
    """The end of an attempt whose block has been left. Somebody must call `release`; only the first call counts."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._released = False

    def release(self, outcome: RequestReleaseOutcome | None = None, error: BaseException | None = None) -> bool:
        """End the attempt, by an outcome, by an error, or by the facts that were told; whether this was the
        first time.
        """
        if self._released:
            return False
        self._released = True
        if outcome is not None:
            self._attempt.finish(outcome)
        self._attempt.end(error)
        return True


class AttemptContext:
    """`async with` around one attempt: waits for the lease at the beginning, releases at the end. Good for
    one use.
    """

    def __init__(self, executor: AttemptOwner, item: RequestAdmissionItem) -> None:
        self._executor = executor
        self._item = item
        self._attempt: Attempt | None = None

    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> Attempt:
        lease = await self._executor.acquire(self._item)
        self._attempt = Attempt(self._executor, lease, self._executor.begin_attempt(lease))
        return self._attempt

    @trio.lowlevel.enable_ki_protection
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        attempt = self._attempt
        assert attempt is not None
        if not attempt.detached:
            attempt.end(error)
        elif error is not None:
            # Whoever detached it may never have come to hold it. If somebody does, their release is the second.
            attempt.detach().release(None, error)
