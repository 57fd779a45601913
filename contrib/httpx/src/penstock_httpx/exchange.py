"""One admitted call, from its lease to its release: what is told to Penstock about it, and when.

The release is taken over from the attempt at once (`detach`), since the call outlives the function that
made it: its body is read by somebody else, later, or never. Whoever ends the exchange first decides how it
ended; all who come later are not heard.

What an answer's head said (429, 500, …) stands, however its body ends. A stream that has sent its last event is
complete, also if its reader stops there, as SDKs do. An answer that was going well and is given up by us before
that says nothing about the provider: that is `local_cancelled`.
"""

from __future__ import annotations

from typing import Final

import attrs
import httpx2
import trio

from penstock import Attempt, FailureMark, RequestReleaseOutcome, ResponseFacts, mark_failure
from penstock_httpx.usage import AnswerTail

__all__ = ["Exchange", "neutral"]

FAILED_FROM: Final = 400


class Exchange:
    """Tells how one call went, and gives its lease back exactly once."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._lease = attempt.detach()
        self._token = trio.lowlevel.current_trio_token()
        self._facts: ResponseFacts | None = None
        self._tail = AnswerTail()
        self.ended = False

    def answered(self, response: httpx2.Response) -> None:
        """The head of the answer is here. Its headers are passed on before the body comes."""
        headers = {name.lower(): value for name, value in response.headers.items()}
        self._tail = AnswerTail(headers.get("content-encoding", ""))
        self._facts = ResponseFacts(status=response.status_code, headers=headers, received_at=trio.current_time())
        self._attempt.answered(self._facts)
        self._attempt.observe(headers)

    def took(self, chunk: bytes) -> None:
        """A piece of the body came by."""
        if self._facts is not None and self._facts.first_token_at is None:
            self._facts = attrs.evolve(self._facts, first_token_at=self._elapsed)
        self._tail.feed(chunk)

    def complete(self) -> None:
        """The body has ended."""
        self._end()

    def failed(self, error: BaseException) -> None:
        """Sending, waiting or reading ended with this exception, `trio.Cancelled` included."""
        if self._tail.last_event:
            self._end()
            return
        told = neutral(error)
        self._end(error=told)
        outcome = self._attempt.outcome
        if told is not error and outcome is not None:
            # The scheduler looks at the exception that reaches it to know whether the task may be tried again.
            mark_failure(error, FailureMark(outcome.kind, outcome.retryable))

    def abandoned(self, detail: str) -> None:
        """Nobody wants the rest of the body."""
        if self._was_refused or self._tail.last_event:
            self._end()
        else:
            status = None if self._facts is None else self._facts.status
            self._end(RequestReleaseOutcome(kind="local_cancelled", status=status, detail=detail))

    def dropped(self) -> None:
        """The body was collected as garbage, perhaps in the middle of a decision: end the exchange from the loop."""
        if not self.ended:
            try:
                self._token.run_sync_soon(self.abandoned, "the response was dropped unread")
            except trio.RunFinishedError:
                self.ended = True

    @property
    def _was_refused(self) -> bool:
        return self._facts is not None and self._facts.status is not None and self._facts.status >= FAILED_FROM

    @property
    def _elapsed(self) -> float:
        return trio.current_time() - self._attempt.started_at

    def _end(self, outcome: RequestReleaseOutcome | None = None, error: BaseException | None = None) -> None:
        if self.ended:
            return
        self.ended = True
        if self._facts is not None:
            word = self._tail.error_type() if self._was_refused else None
            facts = attrs.evolve(self._facts, elapsed=self._elapsed, error_type=word)
            self._attempt.answered(facts, self._tail.usage())
        self._lease.release(outcome, error)


def neutral(error: BaseException) -> BaseException:
    """The error in words that Penstock and its plugins know without knowing httpx2; others stay as they are.

    The text is the name of the kind of error alone: what a provider wrote into it must not reach the event
    streams.
    """
    if isinstance(error, httpx2.PoolTimeout):
        return trio.TooSlowError(type(error).__name__)  # the call never went out
    if isinstance(error, httpx2.TimeoutException):
        return TimeoutError(type(error).__name__)
    if isinstance(error, httpx2.NetworkError | httpx2.RemoteProtocolError | httpx2.ProxyError):
        return ConnectionError(type(error).__name__)
    return error
