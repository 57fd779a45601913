"""What an answer counts for: as told, and by its text where that was not told, or too early."""

from __future__ import annotations

import pytest

from penstock import Usage
from penstock_dialects import AnswerReader, Memory, find_dialect
from penstock_gateway.counted_usage import counted

LONG = b"x" * 4000
CHAT = b'{"object":"chat.completion","choices":[{"message":{"content":"%s"},"finish_reason":"stop"}]%%s}' % LONG
TOLD = b',"usage":{"prompt_tokens":3,"completion_tokens":2}'
PIECE = b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % LONG
FINISH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
BEGIN = (
    b"event: message_start\n"
    b'data: {"type":"message_start","message":{"usage":{"input_tokens":30,"output_tokens":1}}}\n\n'
    b"event: content_block_delta\n"
    b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%s"}}\n\n' % LONG
)
END = (
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"}'
    b',"usage":{"output_tokens":7}}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n'
)


@pytest.mark.parametrize(
    ("dialect", "kind", "body", "ends", "usage"),
    [
        ("openai", "application/json", CHAT % TOLD, True, Usage(3, 2)),
        ("openai", "application/json", CHAT % b"", True, Usage(None, 1000)),
        ("openai", "text/event-stream", PIECE, False, Usage(None, 1000)),
        ("openai", "text/event-stream", PIECE, True, Usage(None, 1000)),
        ("openai", "text/event-stream", PIECE + FINISH, False, Usage(None, 1000)),
        ("openai", "text/event-stream", PIECE + FINISH + USAGE, True, Usage(3, 2)),
        ("anthropic", "text/event-stream", BEGIN, False, Usage(30, 1000)),
        ("anthropic", "text/event-stream", BEGIN, True, Usage(30, 1000)),
        ("anthropic", "text/event-stream", BEGIN + END, True, Usage(30, 7)),
        ("openai", "application/json", b'{"object":"list","data":[],"usage":{"prompt_tokens":3}}', True, Usage(3)),
        ("openai", "text/event-stream", b"", False, None),
    ],
)
def test_an_answer_counts_as_told_or_by_its_text(
    dialect: str, kind: str, body: bytes, ends: bool, usage: Usage | None
) -> None:
    with AnswerReader(find_dialect(dialect), 200, {"content-type": kind}) as reader:
        reader.feed(body)
        if ends:
            reader.end()
        facts, found = counted(reader)
    assert found == usage
    assert facts.verdict is not None
    assert facts.verdict.usage == usage


def test_an_answer_that_is_read_no_further_is_no_failure_and_its_estimate_stands() -> None:
    with AnswerReader(find_dialect("openai"), 200, {}, memory=Memory(per_call=len(PIECE))) as reader:
        reader.feed(PIECE)
        reader.feed(FINISH + USAGE)
        reader.end()
        facts, usage = counted(reader)
    assert facts.verdict is not None
    assert (facts.verdict.kind, facts.verdict.usage, usage) == ("success", None, None)


def test_an_error_that_came_before_an_answer_is_read_no_further_is_an_error_all_the_same() -> None:
    refused = b'data: {"error":{"message":"slow down","type":"rate_limit_error","code":"rate_limit_exceeded"}}\n\n'
    kind = {"content-type": "text/event-stream"}
    with AnswerReader(find_dialect("openai"), 200, kind, memory=Memory(per_call=len(refused))) as reader:
        reader.feed(refused)
        reader.feed(PIECE)
        reader.end()
        facts, _ = counted(reader)
    assert reader.too_large
    assert facts.verdict is not None
    assert facts.verdict.kind == "rate_limited"
