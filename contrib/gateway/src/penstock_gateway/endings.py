"""How a call ended, as a worker tells the coordinator, and as the gate there takes it: facts, usage and an error. Pure.

An error goes over as a word, and the number with which the system said what was wrong, if it did. So whoever classifies
outcomes in the coordinator gets an error of the same kind, not the same error.
"""

from __future__ import annotations

import errno
import os
import socket
from functools import lru_cache
from typing import Any, Final

import trio

from penstock import Hints, LimitHint, ResponseFacts, Usage, Verdict
from penstock_gateway.messages import Ended, Limit

__all__ = ["ended", "error_of", "facts_of", "usage_of"]

LONGEST_WORD: Final = 200
MOST_LIMITS: Final = 64
_LOOKUP: Final = 1 << 16
"""Added to the number of an error of a look-up of names, which has a range of its own."""
_DEEPEST: Final = 20


def ended(
    call: int, facts: ResponseFacts | None, usage: Usage | None, error: BaseException | None, elapsed: float
) -> Ended:
    """The message for a call that took `elapsed` seconds. What a provider wrote is cut to a length."""
    word, number = _word(error)
    used = None
    if usage is not None:
        cache = (usage.cache_read_tokens, usage.cache_write_tokens)
        used = (usage.input_tokens, usage.output_tokens, *cache, usage.reasoning_tokens)
    if facts is None:
        return Ended(call, elapsed=elapsed, usage=used, error=word, number=number)
    verdict, hints = facts.verdict, facts.hints or Hints()
    words = None
    if verdict is not None:
        code = verdict.code[:LONGEST_WORD]
        words = (verdict.kind, verdict.limited_by, verdict.of, verdict.may_pass, verdict.ended, code)
    return Ended(
        call,
        facts.status,
        words,
        None if facts.error_type is None else facts.error_type[:LONGEST_WORD],
        elapsed if facts.elapsed is None else facts.elapsed,
        hints.not_before_seconds,
        hints.said_by[:LONGEST_WORD],
        [_limit(each) for each in hints.limits[:MOST_LIMITS]],
        used,
        word,
        number,
    )


def _limit(hint: LimitHint) -> Limit:
    return Limit(
        hint.dimension[:LONGEST_WORD],
        hint.limit,
        hint.remaining,
        hint.reset,
        hint.window,
        hint.said_by[:LONGEST_WORD],
    )


def facts_of(told: Ended) -> ResponseFacts | None:
    """What came back; `None` where nothing did."""
    if told.verdict is None and told.status is None:
        return None
    limits = tuple(LimitHint(*(getattr(each, name) for name in each.__struct_fields__)) for each in told.limits)
    return ResponseFacts(
        status=told.status,
        error_type=told.error_type,
        elapsed=told.elapsed,
        hints=Hints(not_before_seconds=told.not_before, said_by=told.said_by, limits=limits),
        verdict=None if told.verdict is None else _verdict(*told.verdict),
    )


@lru_cache(256)
def _verdict(kind: Any, limited_by: Any, of: Any, may_pass: bool | None, how: Any, code: str) -> Verdict:
    return Verdict(kind=kind, limited_by=limited_by, of=of, may_pass=may_pass, ended=how, code=code)


def usage_of(told: Ended) -> Usage | None:
    """What was used, as far as that was reported."""
    return None if told.usage is None else Usage(*told.usage)


def _word(error: BaseException | None) -> tuple[str, int]:
    if error is None:
        return "", 0
    if isinstance(error, trio.TooSlowError):
        return "late", 0
    if not isinstance(error, Exception):
        return "cancelled", 0
    number = _number(error)
    if isinstance(error, TimeoutError):
        return "timeout", number
    return "connection" if isinstance(error, OSError) else "unexpected", number


def _number(error: BaseException | None) -> int:
    """What the system said, of an error or of what it was made of; 0 where it said nothing."""
    for _ in range(_DEEPEST):
        if error is None:
            break
        if isinstance(error, MemoryError):
            return errno.ENOMEM
        if isinstance(error, OSError) and error.errno:
            return error.errno + (_LOOKUP if isinstance(error, socket.gaierror) else 0)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return 0


def error_of(told: Ended) -> BaseException | None:
    """An error of the kind that ended the call; `None` where none did."""
    error: BaseException
    match told.error:
        case "":
            return None
        case "late":
            return trio.TooSlowError()
        case "cancelled":
            return GeneratorExit()
        case "timeout":
            error = TimeoutError()
        case "connection":
            error = ConnectionError()
        case _:
            error = RuntimeError("a call ended by a fault in its worker")
    if told.number > _LOOKUP // 2:
        error.__cause__ = socket.gaierror(told.number - _LOOKUP, "the look-up of a name failed")
    elif told.number:
        error.__cause__ = OSError(told.number, os.strerror(told.number))
    return error
