"""What an answer counts for, where it does not say: a stream tells its usage with its last event, and one that broke
off, or that its client has left, has been paid for up to there all the same. Pure.
"""

from __future__ import annotations

from msgspec.structs import replace

from penstock import ResponseFacts, Usage, Verdict
from penstock_dialects import AnswerReader
from penstock_gateway.call_body import BYTES_PER_TOKEN

__all__ = ["counted"]


def counted(reader: AnswerReader, elapsed: float | None = None) -> tuple[ResponseFacts, Usage | None]:
    """The facts of an answer, and its usage: as told, and its output by the length of its text where that is not told,
    or was told before the end. What has no text, and tells nothing, has no usage, and neither has an answer that was
    not read to its end, but where its usage stands beside what was too much: its estimate stands. `elapsed`: the
    seconds that it took.
    """
    facts, usage = reader.facts(elapsed), reader.usage
    # One that is read no further was passed on all the same, and is no failure, unless it has said by then that it is.
    if reader.too_large and reader.status < 400 and reader.error is None:
        return replace(facts, verdict=Verdict(kind="success")), usage if reader.skimmed else None
    if usage is not None and usage.output_tokens is not None and not _broke_off(reader, facts):
        return facts, usage
    text = (reader.text, reader.reasoning, *(call.arguments for call in reader.tool_calls))
    seen = sum(len(part.encode("utf-8", "replace")) for part in text) // BYTES_PER_TOKEN
    if not seen:
        return facts, usage
    told = usage or Usage()
    usage = replace(told, output_tokens=max(seen, told.output_tokens or 0), reasoning_tokens=None)
    verdict = facts.verdict
    return replace(facts, verdict=None if verdict is None else replace(verdict, usage=usage)), usage


def _broke_off(reader: AnswerReader, facts: ResponseFacts) -> bool:
    """Whether it is a stream whose end has not come: what it has told of its output was told before the output."""
    if reader.complete or reader.status >= 400 or "event-stream" not in reader.headers.get("content-type", ""):
        return False
    return facts.verdict is None or facts.verdict.ended in (None, "cut")
