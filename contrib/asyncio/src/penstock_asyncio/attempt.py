"""An attempt as its caller holds it, in a thread that is not the gate's."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import trio

import penstock
from penstock_asyncio.call import Held
from penstock_asyncio.run import GateRun

__all__ = ["Attempt", "DetachedAttempt", "neutral"]

_CAUSE: Final[Any] = vars(BaseException)["__cause__"]
"""As Python itself has it: what an exception says of its cause, or its class, may raise."""


class Attempt:
    """A call that may go out now, until its block is left. What came back is said by `answered` or `finish`, from any
    thread and any event loop.
    """

    def __init__(self, held: Held, run: GateRun) -> None:
        self._held = held
        self._run = run
        self._attempt = held.attempt
        self._detached: DetachedAttempt | None = None

    @property
    def lease(self) -> penstock.RequestAdmissionLease:
        """The permit that it holds until it ends."""
        return self._attempt.lease

    @property
    def attempt_id(self) -> str:
        """The id of the attempt, unique within the run."""
        return self._attempt.attempt_id

    @property
    def started_at(self) -> float:
        """When the lease was there and the call could go out, in seconds of the gate's clock."""
        return self._attempt.started_at

    @property
    def idempotency_key(self) -> str | None:
        """What to send with the call, by which the provider knows a retry from a new call; if the caller gave one."""
        return self._attempt.idempotency_key

    @property
    def outcome(self) -> penstock.RequestReleaseOutcome | None:
        """How it ended; `None` while it lasts and nothing was said, and until the gate has classified it, a moment
        after its block. To set it is to `finish` with it.
        """
        return self._attempt.outcome

    @outcome.setter
    def outcome(self, outcome: penstock.RequestReleaseOutcome) -> None:
        self.finish(outcome)

    def answered(self, facts: penstock.ResponseFacts, usage: penstock.Usage | None = None) -> None:
        """The facts of the answer, and what it says was used; how that ends the call is decided when it ends.

        The last word counts. `usage` goes into an outcome that has none itself. Raises `ConfigError` for anything else.
        """
        self._attempt.answered(facts, usage)

    def finish(self, outcome: penstock.RequestReleaseOutcome) -> None:
        """The outcome outright. The last word counts, also over `answered` and over an exception."""
        self._attempt.finish(outcome)

    def observe(self, hints: penstock.Hints) -> None:
        """The answer's hints for the limiters now, while its body still streams."""
        if not isinstance(hints, penstock.Hints):
            raise penstock.ConfigError(f"hints must be Hints, not {type(hints).__name__}")
        self._run.inbox.post(self._attempt.observe, hints)

    def detach(self) -> DetachedAttempt:
        """The end of the attempt, to be held by the caller: leaving the block releases nothing then, unless by an
        exception."""
        if self._detached is None:
            self._run.inbox.post(self._held.take_over)
            self._detached = DetachedAttempt(self._held, self._run)
        return self._detached

    @property
    def detached(self) -> bool:
        """Whether somebody has taken the end over."""
        return self._detached is not None


class DetachedAttempt:
    """The end of an attempt whose block has been left. Somebody must call `release`, in any thread; only the first call
    counts. Where this is collected unreleased the gate takes the call as given up.
    """

    def __init__(self, held: Held, run: GateRun) -> None:
        self._held = held
        self._run = run
        self._released = False

    def release(
        self, outcome: penstock.RequestReleaseOutcome | None = None, error: BaseException | None = None
    ) -> bool:
        """Whether this was the first time: the attempt ends by an outcome, by an error, or by the facts that were
        given.
        """
        if outcome is not None and not isinstance(outcome, penstock.RequestReleaseOutcome):
            raise penstock.ConfigError(f"outcome must be a RequestReleaseOutcome, not {type(outcome).__name__}")
        if error is not None and not isinstance(error, BaseException):
            raise penstock.ConfigError(f"error must be an exception, not {type(error).__name__}")
        if self._released:
            return False
        known = None if error is None else neutral(error)
        self._released = True
        self._run.inbox.post(self._held.release, outcome, known, self._run.clock.current_time())
        return True

    def __del__(self) -> None:
        if not self._released:
            self._run.inbox.post(self._held.give_up, "its detached attempt was dropped")


def neutral(error: BaseException) -> BaseException:
    """The error in words that Penstock knows without knowing asyncio: a timeout of the caller's own (`asyncio.timeout`,
    `asyncio.wait_for`) is no timeout of the provider's. Others stay as they are.
    """
    if issubclass(type(error), TimeoutError) and issubclass(type(_CAUSE.__get__(error)), asyncio.CancelledError):
        return trio.TooSlowError("a timeout of the caller's")
    return error
