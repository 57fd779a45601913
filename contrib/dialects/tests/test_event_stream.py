"""Amazon's binary event stream: events, chunks and exceptions, and whatever is not as it should be."""

from __future__ import annotations

import base64
import json
from random import Random
from struct import pack
from typing import Any
from zlib import crc32

import pytest

from penstock import OUTCOME_KINDS, Usage
from penstock_dialects import ANY, AnswerReader, Memory, find_dialect
from penstock_dialects.testing import read_answer

BEDROCK = find_dialect("bedrock")
HEADERS = {"content-type": "application/vnd.amazon.eventstream"}


def message(payload: Any, headers: dict[str, Any]) -> bytes:
    """One message of the stream. A header that is no text is a timestamp."""
    packed = b""
    for name, value in headers.items():
        packed += pack(">B", len(name)) + name.encode()
        packed += pack(">Bq", 8, value) if isinstance(value, int) else pack(">BH", 7, len(value)) + value.encode()
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    prelude = pack(">II", 16 + len(packed) + len(body), len(packed))
    start = prelude + pack(">I", crc32(prelude)) + packed + body
    return start + pack(">I", crc32(start))


def event(kind: str, payload: Any) -> bytes:
    return message(
        payload, {":event-type": kind, ":content-type": "application/json", ":at": 7, ":message-type": "event"}
    )


def exception(kind: str, text: str) -> bytes:
    return message({"message": text}, {":exception-type": kind, ":message-type": "exception"})


def chunk(data: Any) -> bytes:
    return event("chunk", {"bytes": base64.b64encode(json.dumps(data).encode()).decode(), "p": "abcdef"})


START = event("messageStart", {"role": "assistant", "p": "ab"})
SAID = [
    event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": text}, "p": "abc"}) for text in ("Hel", "lo")
]
STOP = event("contentBlockStop", {"contentBlockIndex": 0}) + event("messageStop", {"stopReason": "end_turn"})
METADATA = event(
    "metadata",
    {
        "usage": {"inputTokens": 11, "outputTokens": 5, "cacheReadInputTokens": 100, "totalTokens": 116},
        "metrics": {"latencyMs": 400},
    },
)
STREAM = START + b"".join(SAID) + STOP + METADATA


def read(body: bytes, *, step: int = 7, strict: bool = False) -> AnswerReader:
    with AnswerReader(BEDROCK, 200, HEADERS, memory=Memory(), strict=strict) as reader:
        for at in range(0, len(body), step):
            reader.feed(body[at : at + step])
        reader.end()
    return reader


@pytest.mark.parametrize("step", [1, 3, 12, 10_000])
def test_a_conversation_is_read_however_it_is_split(step: int) -> None:
    for dialect in (BEDROCK, ANY):
        reader = read_answer(dialect, 200, HEADERS, STREAM, step=step)
        assert (reader.verdict.kind, reader.verdict.ended, reader.text) == ("success", "stop", "Hello")
        assert reader.usage == Usage(111, 5, cache_read_tokens=100)
        assert reader.complete


def test_tools_and_reasoning_are_read() -> None:
    start = {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "t1", "name": "look"}}}
    pieces = [
        event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "hm"}}}),
        event("contentBlockStart", start),
        *(
            event("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": text}}})
            for text in ('{"q":', '"x"}')
        ),
        event("messageStop", {"stopReason": "tool_use"}),
    ]
    reader = read(START + b"".join(pieces) + METADATA)
    assert (reader.verdict.ended, reader.reasoning) == ("tool_calls", "hm")
    assert [(call.id, call.name, call.arguments) for call in reader.tool_calls] == [("t1", "look", '{"q":"x"}')]


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("throttlingException", "Too many tokens, please wait", ("rate_limited", "tokens", None)),
        ("throttlingException", "Too many requests", ("rate_limited", "requests", None)),
        ("throttlingException", "Too many tokens per day", ("rate_limited", "day", "account")),
        ("validationException", "Input is too long", ("provider_failure", None, "call")),
        ("modelTimeoutException", "x", ("provider_timeout", None, None)),
        ("modelStreamErrorException", "x", ("provider_failure", None, None)),
        ("internalServerException", "x", ("provider_failure", None, None)),
        ("serviceUnavailableException", "x", ("rate_limited", "overload", None)),
    ],
)
def test_an_exception_in_a_stream_is_an_error(kind: str, text: str, said: tuple[str, str | None, str | None]) -> None:
    for dialect in (BEDROCK, ANY):
        reader = read_answer(dialect, 200, HEADERS, START + SAID[0] + exception(kind, text))
        verdict = reader.verdict
        assert (verdict.kind, verdict.limited_by, verdict.of) == said
        assert (verdict.ended, reader.text) == ("error", "Hel")


def test_an_error_that_stands_in_the_headers_alone_is_an_error() -> None:
    body = message(b"", {":message-type": "error", ":error-code": "InternalServerError", ":error-message": "busy"})
    reader = read(body)
    assert reader.error is not None
    assert (reader.verdict.kind, reader.verdict.ended, reader.error.message) == ("provider_failure", "error", "busy")


def test_the_chunks_of_a_model_are_read_in_its_own_dialect_and_its_metrics_where_it_tells_none() -> None:
    metrics = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 9, "outputTokenCount": 4}}
    anthropic = [
        {"type": "message_start", "message": {"usage": {"input_tokens": 25, "output_tokens": 1}}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
        {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 12}},
        {"type": "message_stop", **metrics},
    ]
    reader = read(b"".join(map(chunk, anthropic)))
    assert (reader.text, reader.verdict.ended, reader.usage) == ("hi", "length", Usage(25, 12))

    titan = [
        {"outputText": "hi", "completionReason": None},
        {"outputText": "!", "completionReason": "FINISH", **metrics},
    ]
    reader = read(b"".join(map(chunk, titan)))
    assert (reader.text, reader.verdict.ended, reader.usage) == ("hi!", "stop", Usage(9, 4))

    llama = [
        {"generation": "hi", "prompt_token_count": 7, "generation_token_count": 1, "stop_reason": None},
        {"generation": "", "prompt_token_count": None, "generation_token_count": 3, "stop_reason": "stop", **metrics},
    ]
    reader = read(b"".join(map(chunk, llama)))
    assert (reader.text, reader.verdict.ended, reader.usage) == ("hi", "stop", Usage(7, 3))


def test_a_stream_that_breaks_off_anywhere_is_cut_unless_it_had_ended() -> None:
    stopped = len(STREAM) - len(METADATA)
    for end in range(1, len(STREAM)):
        reader = read(STREAM[:end], step=100)
        assert (reader.verdict.ended == "cut") == (end < stopped), end
        assert reader.usage is None or reader.usage.output_tokens is None


def test_a_flipped_bit_is_found_wherever_it_is() -> None:
    body = START + SAID[0]
    for place in range(len(body)):
        spoilt = bytearray(body + SAID[1] + STOP + METADATA)
        spoilt[place] ^= 1 << place % 8
        verdict = read(bytes(spoilt), step=100).verdict
        assert (verdict.kind, verdict.ended) == ("provider_failure", "cut"), place


def sized(total: int, headers: int) -> bytes:
    prelude = pack(">II", total, headers)
    return prelude + pack(">I", crc32(prelude))


@pytest.mark.parametrize(
    ("total", "headers"), [(0, 0), (15, 0), (2**32 - 1, 0), (25 * 2**20, 0), (2**20, 2**18), (20, 5), (16, 2**32 - 1)]
)
def test_lengths_that_cannot_be_end_the_reading_at_once(total: int, headers: int) -> None:
    memory = Memory()
    with AnswerReader(BEDROCK, 200, HEADERS, memory=memory) as reader:
        reader.feed(sized(total, headers))
        reader.feed(STREAM)
        reader.end()
        assert (reader.text, reader.verdict.ended) == ("", "cut")


def test_headers_and_payloads_that_make_no_sense_have_a_verdict() -> None:
    raw = b"\x05:even\x09"  # a name, and a type of which nothing follows
    prelude = sized(16 + len(raw), len(raw))
    bad = prelude + raw
    assert read(bad + pack(">I", crc32(bad))).verdict.ended == "cut"
    for payload in (b"{", b"[]", b"7", b"\xff", b'{"bytes": "!"}', b'{"bytes": 3}', b""):
        for kind in ("chunk", "metadata", "messageStop"):
            assert read(event(kind, payload)).verdict.kind in OUTCOME_KINDS
    assert read(b"", strict=True).verdict.kind == "provider_failure"
    assert read(b"<html>busy</html>").verdict.kind == "provider_failure"


def test_noise_has_a_verdict() -> None:
    rng = Random("noise")
    for _ in range(300):
        body = bytearray(STREAM)
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(body))
            body[at : at + rng.randrange(4)] = rng.randbytes(rng.randrange(4))
        assert read(bytes(body), step=rng.randrange(1, 200)).verdict.kind in OUTCOME_KINDS


def test_an_event_stream_is_unpacked_no_further_than_its_bound() -> None:
    large = event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "x" * 3000}})
    with AnswerReader(BEDROCK, 200, HEADERS, memory=Memory(per_call=2000)) as reader:
        reader.feed(large)
        assert reader.verdict.code == "answer_too_large"


def test_a_payload_of_very_many_parts_is_not_read() -> None:
    many: dict[str, Any] = {"x": [[]] * 1001}
    for body in (event("metadata", many), chunk(many)):
        with AnswerReader(BEDROCK, 200, HEADERS, memory=Memory(parts=1000)) as reader:
            reader.feed(START + body + METADATA)
            reader.end()
        assert reader.too_large == "the answer has a value of more than 1,000 parts"
