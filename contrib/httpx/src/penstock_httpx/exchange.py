"""One admitted call, from its lease to its release: what Penstock learns of it, when, and who ends it.

The release is taken over from the attempt at once (`detach`), since the call outlives the function that
made it: its body is read by somebody else, later, or never. Whoever ends the exchange first decides how it
ended; whoever comes later changes nothing.

What an answer means is read in its dialect (`penstock_dialects`) while it passes by; nothing is held back. What its
head said (429, 500, …) stands, however its body ends. A stream that has sent its last event is complete, also if its
reader stops there, as SDKs do. An answer that was going well and is given up by us before that says nothing about the
provider: that is `local_cancelled`.

The request gate belongs to its run, and the call may be made and its body read in any thread. The answer is read where
it comes; what the gate is told of its head, and its end, cross into the thread of the run (`crossing.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Final

import httpx2
from msgspec.structs import replace

from penstock import (
    Attempt,
    FailureMark,
    Hints,
    RequestReleaseOutcome,
    ResponseFacts,
    mark_failure,
    own_shortage,
    read_hints,
)
from penstock_dialects import AnswerReader, Decoder, Dialect
from penstock_httpx.crossing import Crossing
from penstock_httpx.description import same_request

__all__ = ["Exchange"]

FAILED_FROM: Final = 400
MOST_TOLD: Final = 20
"""Warnings, of one transport: what an answer says may stand in them."""
_log: Final = logging.getLogger("penstock.httpx")


class Exchange:
    """The lease of one call, which comes back exactly once, whatever happens to the call and in whichever thread.

    Made in the thread of the run. Its methods may be called in any thread; when the gate knows of it then, the crossing
    says.
    """

    def __init__(
        self,
        attempt: Attempt,
        asked_at: float,
        dialect: Dialect | None,
        decoders: Mapping[str, Callable[[], Decoder]],
        told: set[str],
        crossing: Crossing,
    ) -> None:
        """`dialect`: what the provider speaks; `None` where no model is called. `told`: what was logged already."""
        self.asked_at = asked_at
        """When a place was first asked for."""
        self._attempt = attempt
        self._dialect = dialect
        self._decoders = decoders
        self._told = told
        self._lease = attempt.detach()
        self._crossing = crossing
        self._facts: ResponseFacts | None = None
        self._reader: AnswerReader | None = None
        self._ended = False

    def answered(self, response: httpx2.Response) -> None:
        """The head of the answer is here, and the body too if it came with it."""
        headers = {name.lower(): value for name, value in response.headers.items()}
        self._facts = ResponseFacts(status=response.status_code, headers=headers, received_at=self._crossing.now())
        wall_now = datetime.now(UTC)
        if self._dialect is None:
            hints = read_hints(headers, refused=response.status_code >= FAILED_FROM, wall_now=wall_now)
        else:
            self._reader = AnswerReader(
                self._dialect, response.status_code, headers, wall_now=wall_now, decoders=self._decoders
            )
            hints = self._reader.hints
            packed = self._reader.unreadable
            alone = f"answers packed as {packed} are judged by their status and headers alone: no decoder"
            self._tell(alone if packed else "")
        self._in_run(partial(self._note_head, self._facts, hints))
        if response.is_closed:
            with suppress(httpx2.ReadError):  # it is here already
                self.took(response.content)
            self.complete()

    def took(self, chunk: bytes) -> None:
        """A piece of the body came by. Raises `httpx2.ReadError` for an answer that is larger than it may be."""
        if self._facts is not None and self._facts.first_token_at is None:
            self._facts = replace(self._facts, first_token_at=self._elapsed)
        if self._reader is not None:
            self._reader.feed(chunk)
            if self._reader.too_large:
                raise httpx2.ReadError(self._reader.too_large)

    def complete(self) -> None:
        """The body has ended."""
        if self._reader is not None:
            self._reader.end()
        self._end()

    def failed(self, error: BaseException) -> None:
        """Sending, waiting or reading ended with this exception, `trio.Cancelled` included."""
        self._end(error=error)

    def tries_again(self, request: httpx2.Request, error: BaseException) -> bool:
        """Whether the same request is to ask for a place again: it was not sent, for want of something of our own, and
        can be.
        """
        return self._facts is None and bool(own_shortage(error)) and same_request(request) is not None

    def abandoned(self, detail: str) -> None:
        """Nobody wants the rest of the body."""
        self._end(detail=detail)

    def __del__(self) -> None:
        # Its answer was collected as garbage, in whatever thread, and perhaps in the middle of a decision.
        if not self._ended:
            self._crossing.post(partial(self.abandoned, "the response was dropped unread"))

    def _end(self, error: BaseException | None = None, detail: str | None = None) -> None:
        if not self._ended:
            self._in_run(partial(self._release, error, detail))

    def _in_run(self, step: Callable[[], None]) -> None:
        if not self._crossing.do(step):
            self._ended = True  # there is no gate any more that the lease could be given back to

    def _tell(self, warning: str) -> None:
        if warning and len(self._told) < MOST_TOLD and warning not in self._told:
            self._told.add(warning)
            _log.warning("%s", warning)

    # -- in the thread of the run --

    def _note_head(self, facts: ResponseFacts, hints: Hints) -> None:
        if not self._ended:
            self._attempt.answered(facts)
            self._attempt.observe(hints)

    def _release(self, error: BaseException | None, detail: str | None) -> None:
        if self._ended:
            return  # another thread was first
        self._ended = True
        status = None if self._facts is None else self._facts.status
        failed = status is not None and status >= FAILED_FROM
        reader = self._reader
        if reader is not None and reader.complete:
            error = detail = None
        outcome = None
        if detail is not None and not failed:
            outcome = RequestReleaseOutcome(kind="local_cancelled", status=status, detail=detail)
        try:
            if self._facts is not None:
                self._attempt.answered(self._all_facts(self._facts))
        finally:  # what a dialect of a third party makes of the answer may raise
            self._lease.release(outcome, None if error is None else neutral(error))
        if error is not None and self._attempt.outcome is not None:
            # The scheduler looks at the exception that reaches it to know whether the task may be tried again.
            mark_failure(error, FailureMark(self._attempt.outcome.kind, self._attempt.outcome.retryable))

    def _all_facts(self, facts: ResponseFacts) -> ResponseFacts:
        reader = self._reader
        if reader is not None:
            reader.close()
            read = reader.facts()
            facts = replace(read, first_token_at=facts.first_token_at, received_at=facts.received_at)
            self._tell(f"{reader.fault}; refusals are judged without it" if reader.fault else "")
        return replace(facts, elapsed=self._elapsed)

    @property
    def _elapsed(self) -> float:
        return self._crossing.now() - self._attempt.started_at


def neutral(error: BaseException) -> BaseException:
    """The error in words that Penstock and its plugins know without knowing httpx2; others stay as they are.

    The text is the name of the kind of error alone: what a provider wrote into it must not reach the event
    streams.
    """
    if own_shortage(error):
        return error  # of which nothing but what we are short of is told; a `PoolTimeout` is one of them
    if isinstance(error, httpx2.TimeoutException):
        return TimeoutError(type(error).__name__)
    if isinstance(error, httpx2.NetworkError | httpx2.RemoteProtocolError | httpx2.ProxyError):
        return ConnectionError(type(error).__name__)
    return error
