"""One attempt: one lease, one classified release.

Leaving the block ends the attempt, whatever the way; the cleanup awaits nothing, so cancellation cannot skip
it (`attempt_state.py`). `detach` takes the end out of the block, for a body that is read later.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Sequence
from contextlib import suppress
from types import TracebackType

import trio

from penstock.executor.attempt_state import AttemptState, Classifier
from penstock.executor.consequences import GIVEN_UP, Consequences
from penstock.executor.gate import RequestGate
from penstock.executor.open_blocks import CallSite, call_site
from penstock.executor.run_thread import RunThread
from penstock.executor.thread_work import ThreadWork
from penstock.requests.hints import Hints
from penstock.requests.items import RequestAdmissionItem
from penstock.requests.outcomes import RequestReleaseOutcome
from penstock.words.checks import a_moment, an_instance
from penstock.words.errors import ConfigError

__all__ = ["Attempt", "AttemptContext", "DetachedAttempt"]


class Attempt(AttemptState):
    """A call that may go out now, until its block is left. What came back is said by `answered` or `finish`.

    `holder`: who is in a block for it, which was entered at `site`; `None` for what is nobody's. `detached`: it has no
    block, and its end is the caller's from the beginning.
    """

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

    def observe(self, hints: Hints) -> None:
        """The answer's hints for the limiters now, while its body still streams; `read_hints` finds them in headers."""
        self._gate.run.here(self._observe, an_instance(hints, Hints, "hints"))

    @trio.lowlevel.enable_ki_protection  # as in `gate.py`
    def _observe(self, hints: Hints) -> None:
        gate = self._gate
        gate.settle(gate.run.now_to_change(), gate.controller.observe, self.lease, hints)

    def detach(self) -> DetachedAttempt:
        """The end of the attempt, to be held by the caller: leaving the block releases nothing then, unless by an
        exception."""
        if not self.detached:
            self._gate.run.here(self._detach)
        return DetachedAttempt(self)  # not kept: neither would go before the collector of circles comes

    def _detach(self) -> None:
        self.detached = True
        self._leave_block()

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
            ended_at = self._checked_end(ended_at)
        if outcome is not None:
            self.finish(outcome)
        self._end(error, ended_at)

    def _checked_end(self, ended_at: float) -> float:
        began, now = self.started_at, self._gate.run.now()
        moment = a_moment(ended_at, "ended_at")
        if not began <= moment <= now:
            raise ConfigError(f"ended_at must be a moment of this call, from {began} to {now}, not {ended_at}")
        return moment


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
        gate.steps.call_started(lease, started_at)
        self._attempt = Attempt(gate.steps, self._classify, known, lease, started_at, call, holder, self._site, False)
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
