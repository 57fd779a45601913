"""One attempt: one lease, one classified release.

Leaving the block ends the attempt, whatever the way; the cleanup awaits nothing, so cancellation cannot skip
it. What ended on our side is decided here, before anybody else is asked: a cancelled call says nothing about
its provider, unless the provider had refused it before. `detach` takes the end out of the block, for a body
that is read later.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Final

import trio
from msgspec.structs import replace

from penstock.executor.consequences import GIVEN_UP, Consequences
from penstock.executor.gate import RequestGate
from penstock.executor.open_blocks import CallSite, Holder, call_site
from penstock.executor.run_thread import RunThread
from penstock.executor.thread_work import ThreadWork
from penstock.requests.hints import Hints
from penstock.requests.items import RequestAdmissionItem, RequestAdmissionLease
from penstock.requests.outcomes import RequestReleaseOutcome
from penstock.requests.own_failures import own_shortage
from penstock.requests.response import ResponseFacts
from penstock.requests.verdict import Usage
from penstock.words.checks import a_moment, an_instance
from penstock.words.errors import ConfigError
from penstock.words.failures import FailureMark, mark_failure

__all__ = ["Attempt", "AttemptContext", "Classifier", "DetachedAttempt", "local_outcome"]

Classifier = Callable[["ResponseFacts | None", "BaseException | None"], RequestReleaseOutcome]
"""Facts and error, either of which may be missing, to how the call ended."""

_LOCAL_CANCELLED: Final = RequestReleaseOutcome(kind="local_cancelled")
_UNEXPECTED: Final = RequestReleaseOutcome(kind="unexpected_exception")
_LOCAL_TIMEOUT: Final = RequestReleaseOutcome(kind="local_timeout")


def local_outcome(error: BaseException | None) -> RequestReleaseOutcome | None:
    """The outcome of a call that we ended ourselves; `None` for everything else.

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
    if short_of := own_shortage(error):
        return RequestReleaseOutcome(kind="local_timeout", went_out=False, detail=short_of)
    # Cancelled, KeyboardInterrupt, SystemExit, GeneratorExit: somebody here does not want the answer any more
    return None if isinstance(error, Exception) else _LOCAL_CANCELLED


class Attempt:
    """A call that may go out now, until its block is left. What came back is said by `answered` or `finish`.

    `holder`: who is in a block for it, which was entered at `site`; `None` for what is nobody's. `detached`: it has no
    block, and its end is the caller's from the beginning.
    """

    def __init__(
        self,
        gate: RequestGate,
        classify: Classifier,
        consequences: Consequences,
        lease: RequestAdmissionLease,
        started_at: float,
        call: Hashable = None,
        holder: Holder | None = None,
        site: CallSite | None = None,
        detached: bool = False,
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
    def outcome(self) -> RequestReleaseOutcome | None:
        """How it ended; `None` while it lasts and nothing was said. To set it is to `finish` with it."""
        return self._outcome

    @outcome.setter
    def outcome(self, outcome: RequestReleaseOutcome) -> None:
        self.finish(outcome)

    @property
    def run(self) -> RunThread:
        """The run whose gate has admitted it."""
        return self._gate.run

    @property
    def attempt_id(self) -> str:
        """The id of the attempt, unique within the run."""
        context = self.lease.item.event_context
        return context.request_attempt_id or "" if context is not None else ""

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

    def observe(self, hints: Hints) -> None:
        """The answer's hints for the limiters now, while its body still streams; `read_hints` finds them in headers."""
        self._gate.run.here(self._gate.observe, self.lease, an_instance(hints, Hints, "hints"))

    def detach(self) -> DetachedAttempt:
        """The end of the attempt, to be held by the caller: leaving the block releases nothing then, unless by an
        exception."""
        if not self.detached:
            self._gate.run.here(self._detach)
        return DetachedAttempt(self)  # not kept: neither would go before the collector of circles comes

    def _detach(self) -> None:
        self.detached = True
        self._leave_block()

    @property
    def ended(self) -> bool:
        """Whether its lease has been released."""
        return self._ended

    def left_open(self) -> None:
        """Whoever is in its block has ended: it ends as if a generator that contains the block were closed."""
        self.end(GeneratorExit())

    @trio.lowlevel.enable_ki_protection  # as in `gate.py`
    def end(
        self,
        error: BaseException | None,
        ended_at: float | None = None,
        outcome: RequestReleaseOutcome | None = None,
    ) -> None:
        """The end: the lease is released with the outcome, this one or one given before, or with what follows from the
        facts and `error`. What it took is counted until `ended_at`, or until now.

        Only the first counts: the block of a generator may be left long after it was given back. Raises `ConfigError`
        where `ended_at` is no moment of this call; it goes on then.
        """
        if self._ended:
            return
        if ended_at is not None:
            self._check_end(ended_at)
        if outcome is not None:
            self.finish(outcome)
        self._ended = True
        if self._holder is not None:
            self._leave_block()
        try:
            outcome = self._outcome or self._classified(error)
        except Exception:  # an exception that cannot even be looked at: the lease comes back all the same
            outcome = _UNEXPECTED
        now = self._gate.run.now_to_change()
        elapsed = (now if ended_at is None else ended_at) - self.started_at
        if outcome.elapsed is None or (outcome.usage is None and self._usage is not None):
            outcome = outcome.measured(elapsed, self._usage)
        self._outcome = outcome
        if error is not None:
            mark_failure(error, FailureMark(outcome.kind, outcome.retryable))
        if self.stands_alone and outcome.kind == "rate_limited":
            outcome = replace(outcome, of="call")
        self._gate.call_completed(self._lease, outcome, elapsed, now)
        self._consequences.ended(self._lease, outcome, self.started_at, self._call, now)

    def _check_end(self, ended_at: float) -> None:
        began, now = self.started_at, self._gate.run.now()
        if not began <= a_moment(ended_at, "ended_at") <= now:
            raise ConfigError(f"ended_at must be a moment of this call, from {began} to {now}, not {ended_at}")

    def _leave_block(self) -> None:
        if self._holder is not None:
            self._gate.waits.blocks.leave(self, self._holder)
            self._holder = None

    def _classified(self, error: BaseException | None) -> RequestReleaseOutcome:
        local = None if error is None else local_outcome(error)
        if local is None:
            return self._classify(self._facts, error)
        if self._facts is None:
            return local
        answer = self._classify(self._facts, None)
        return replace(local, went_out=True) if answer.kind == "success" else answer


class DetachedAttempt:
    """The end of an attempt whose block has been left. Somebody must call `release`; only the first call counts."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    def release(
        self,
        outcome: RequestReleaseOutcome | None = None,
        error: BaseException | None = None,
        *,
        ended_at: float | None = None,
    ) -> bool:
        """Whether this was the first time: the attempt ends by an outcome, by an error, or by the facts that were
        given. `ended_at` is for who says it later: when the call was over, in seconds of the run's clock, after it
        went out and not in the future; `ConfigError` otherwise.
        """
        if outcome is not None:
            an_instance(outcome, RequestReleaseOutcome, "outcome")
        if error is not None:
            an_instance(error, BaseException, "error")
        return self._attempt.run.here(self._release, outcome, error, ended_at)

    def _release(
        self, outcome: RequestReleaseOutcome | None, error: BaseException | None, ended_at: float | None
    ) -> bool:
        if self._attempt.ended:
            return False
        self._attempt.end(error, ended_at, outcome)
        return True


class AttemptContext:
    """The block of one attempt: `async with` waits for the lease at the beginning, and releases it at the end; `with`
    does the same in another thread, which it blocks. Good for one use. Of several `items` the lease is for one.
    """

    def __init__(
        self,
        gate: RequestGate,
        classify: Classifier,
        consequences: Consequences,
        items: Sequence[RequestAdmissionItem],
        repeats: Hashable = None,
    ) -> None:
        self._gate = gate
        self._classify = classify
        self._consequences = consequences
        self._items = items
        self._repeats = repeats
        self._site: CallSite | None = None
        self._from_thread = False
        self._work: ThreadWork | None = None
        self._attempt: Attempt | None = None

    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> Attempt:
        gate, known = self._gate, self._consequences
        if self._site is None:
            self._site = call_site(sys._getframe(1))
        item, *others = self._items if len(self._items) == 1 else known.not_given_up(self._items)
        call = None if self._repeats is None else known.same_call(self._repeats, item.resource)
        let_go = False
        if not known.quiet(call):
            item, let_go = await known.before_asking(item, call)
        lease = await (gate.acquire_first([item, *others]) if others else gate.acquire(item))
        if not known.quiet(call):
            try:
                await known.before_going_out(lease, call, let_go=let_go)
            except BaseException:
                gate.release(lease, GIVEN_UP)
                raise
        holder = gate.waits.blocks.holder_for_thread(self._work) if self._from_thread else trio.lowlevel.current_task()
        started_at = gate.now()
        gate.call_started(lease, started_at)
        self._attempt = Attempt(gate, self._classify, known, lease, started_at, call, holder, self._site)
        return self._attempt

    @trio.lowlevel.enable_ki_protection
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(error)

    def __enter__(self) -> Attempt:
        self._from_thread, self._work, self._site = True, ThreadWork.here(), call_site(sys._getframe(1))
        return self._gate.run.wait_for("async with", self.__aenter__)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._attempt is not None and self._attempt.ended:
            return  # given back since; a generator may be closed in any thread
        with suppress(trio.RunFinishedError):  # the thread was left: with the run its leases have gone
            self._gate.run.call("async with", self._end, error)

    @trio.lowlevel.enable_ki_protection
    def _end(self, error: BaseException | None) -> None:
        attempt = self._attempt
        assert attempt is not None
        if not attempt.detached:
            attempt.end(error)
        elif error is not None:
            # Whoever detached it may never have come to hold it. If somebody does, their release is the second.
            attempt.detach().release(None, error)
