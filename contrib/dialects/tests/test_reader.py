"""The reader against what nobody should send: too much, broken, packed in odd ways, split anywhere, in any order."""

from __future__ import annotations

import gzip
import json
import zlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, strategies as st

from penstock import OUTCOME_KINDS, Usage
from penstock_dialects import ANY, AnswerReader, Memory, find_dialect
from penstock_dialects.testing import read_answer

OPENAI = find_dialect("openai")
USAGE = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}


def chat(content: Any = "hi", finish: str = "stop", **more: Any) -> bytes:
    message = {"role": "assistant", "content": content, **more.pop("message", {})}
    return json.dumps(
        {"choices": [{"index": 0, "message": message, "finish_reason": finish, **more}], "usage": USAGE}
    ).encode()


def read(body: bytes, status: int = 200, **headers: str) -> AnswerReader:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_answer(OPENAI, status, named, body)


# -- too much --


def test_an_answer_beyond_its_bound_is_an_error_of_that_call_and_gives_its_memory_back() -> None:
    memory = Memory(per_call=1000, total=5000)
    reader = AnswerReader(OPENAI, 200, {}, memory=memory)
    for _ in range(20):
        reader.feed(b" " * 100)
    reader.end()
    verdict = reader.verdict
    assert (verdict.kind, verdict.of, verdict.ended, verdict.code) == (
        "provider_failure",
        "call",
        "error",
        "answer_too_large",
    )
    assert reader.too_large == "the answer is larger than 1,000 bytes"
    assert memory.taken == 1000
    reader.close()
    reader.close()
    assert memory.taken == 0


def test_all_answers_together_are_bounded_and_those_that_came_first_are_read() -> None:
    memory = Memory(per_call=1000, total=1500)
    first, second = (AnswerReader(OPENAI, 200, {}, memory=memory) for _ in range(2))
    body = chat()
    first.feed(b" " * 800 + body)
    second.feed(b" " * 800)
    first.end()
    assert (first.verdict.kind, first.text) == ("success", "hi")
    assert "together" in second.too_large
    with second:
        first.close()
        assert memory.taken == 0


def test_a_packed_answer_is_unpacked_no_further_than_its_bound() -> None:
    memory = Memory(per_call=1_000_000)
    reader = AnswerReader(OPENAI, 200, {"content-encoding": "gzip"}, memory=memory)
    reader.feed(gzip.compress(b" " * 100_000_000))
    assert reader.too_large
    assert memory.taken <= 1_000_000


def test_memory_that_nobody_took_cannot_be_given_back() -> None:
    with pytest.raises(AssertionError):
        Memory().give_back(1)


# -- packed --


class Backwards:
    def decompress(self, data: bytes, /) -> bytes:
        return data[::-1]


class Bomb:
    """A decoder of which each byte becomes ten thousand."""

    def decompress(self, data: bytes, /) -> bytes:
        return b" " * (10_000 * len(data))


def test_a_clients_decoder_is_given_little_at_once_so_that_its_answer_is_bounded_too() -> None:
    memory = Memory(per_call=30_000_000)
    with AnswerReader(OPENAI, 200, {"content-encoding": "br"}, decoders={"br": Bomb}, memory=memory) as reader:
        reader.feed(b"x" * 1_000_000)
        assert reader.verdict.code == "answer_too_large"
        assert memory.taken <= 30_000_000


class Broken:
    def decompress(self, data: bytes, /) -> bytes:
        raise ValueError("no such stream")


def test_an_encoding_that_nobody_can_read_passes_by_and_is_told() -> None:
    reader = read_answer(OPENAI, 200, {"content-encoding": "br"}, chat())
    assert (reader.unreadable, reader.verdict.kind, reader.usage) == ("br", "success", None)
    assert read_answer(OPENAI, 429, {"content-encoding": "br"}, b"?").verdict.kind == "rate_limited"


def test_the_client_brings_the_decoder_of_an_encoding() -> None:
    with AnswerReader(OPENAI, 200, {"content-encoding": "br"}, decoders={"br": Backwards}, memory=Memory()) as reader:
        reader.feed(chat()[::-1])
        reader.end()
        assert (reader.text, reader.unreadable) == ("hi", "")
    with AnswerReader(OPENAI, 200, {"content-encoding": "br"}, decoders={"br": Broken}, memory=Memory()) as reader:
        reader.feed(b"x")
        reader.end()
        assert (reader.unreadable, reader.verdict.kind) == ("br", "success")


@pytest.mark.parametrize("step", [1, 2, 3, 1000])
@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(chat()[:20]) + gzip.compress(chat()[20:])),
        ("deflate", zlib.compress(chat())),
        ("deflate", zlib.compress(chat(), wbits=-zlib.MAX_WBITS)),
        ("GZIP ", gzip.compress(chat())),
    ],
    ids=["two members", "deflate", "deflate without its frame", "odd letters"],
)
def test_every_way_of_packing_is_read(encoding: str, packed: bytes, step: int) -> None:
    assert read_answer(OPENAI, 200, {"content-encoding": encoding}, packed, step=step).text == "hi"


def test_what_is_not_packed_as_it_says_has_a_verdict() -> None:
    reader = read_answer(OPENAI, 200, {"content-encoding": "gzip"}, chat())
    assert (reader.verdict.kind, reader.unreadable) == ("success", "gzip")


# -- content, for who asks --


def test_text_in_parts_is_joined_and_other_parts_are_kept() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}, {"type": "image", "url": "u"}, "c"]
    reader = read(chat(parts))
    assert (reader.text, reader.parts) == ("abc", [{"type": "image", "url": "u"}])


def test_tool_calls_of_a_stream_are_joined_by_their_index() -> None:
    pieces = [
        [{"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x"'}}],
        [{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}],
        [{"index": 0, "function": {"arguments": ": 1}"}}],
    ]
    events = [{"choices": [{"index": 0, "delta": {"tool_calls": calls}}]} for calls in pieces]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    reader = read(b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events))
    assert [(call.id, call.name, call.arguments) for call in reader.tool_calls] == [
        ("a", "f", '{"x": 1}'),
        ("b", "g", "{}"),
    ]
    assert (reader.verdict.kind, reader.verdict.ended) == ("success", "tool_calls")


def test_reasoning_log_probabilities_and_vectors_are_kept() -> None:
    reader = read(chat(message={"reasoning_content": "hm"}, logprobs={"content": [{"token": "hi", "logprob": -0.1}]}))
    assert (reader.reasoning, reader.logprobs) == ("hm", [{"token": "hi", "logprob": -0.1}])
    several = read(b'{"data": [{"embedding": [1.0], "index": 1}, {"embedding": [2.0]}, 3]}')
    assert (several.vectors, several.places) == ([[1.0], [2.0], None], [1, None, None])


def test_a_refusal_of_the_model_is_of_the_call_with_its_words_and_its_usage() -> None:
    reader = read(chat(None, message={"refusal": "I cannot."}))
    assert (reader.verdict.kind, reader.verdict.of, reader.verdict.ended) == ("provider_failure", "call", "refusal")
    assert (reader.refusal, reader.verdict.usage) == ("I cannot.", Usage(11, 5))


def test_a_filtered_text_is_kept() -> None:
    reader = read(chat("half", "content_filter"))
    assert (reader.verdict.of, reader.verdict.ended, reader.text) == ("call", "content_filter", "half")


# -- endings --


def test_tokens_paid_without_a_text_are_empty_and_without_tokens_a_failure() -> None:
    assert (read(chat("")).verdict.kind, read(chat("")).verdict.ended) == ("success", "empty")
    unpaid = b'{"choices": [{"message": {"content": ""}, "finish_reason": "stop"}], "usage": {"completion_tokens": 0}}'
    assert read(unpaid).verdict.kind == "provider_failure"
    untold = b'{"choices": [{"message": {"content": ""}, "finish_reason": "stop"}]}'
    assert read(untold).verdict.kind == "success", "not told is not nothing"


def test_a_stream_that_goes_well_is_a_success_until_it_breaks_off() -> None:
    reader = AnswerReader(OPENAI, 200, {}, memory=Memory())
    reader.feed(b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n')
    assert (reader.verdict.kind, reader.complete) == ("success", False)
    reader.end()
    assert (reader.verdict.kind, reader.verdict.ended) == ("provider_failure", "cut")


def test_the_last_event_completes_a_stream_though_its_connection_stays_open() -> None:
    for end in (
        b"data: [DONE]\n\n",
        b'data: {"type": "message_stop"}\n\n',
        b'data: {"type": "response.completed"}\n\n',
    ):
        reader = AnswerReader(ANY, 200, {}, memory=Memory())
        reader.feed(end)
        assert reader.complete


@pytest.mark.parametrize("body", [b"", b"hi", b"null", b"[]", b'"hi"', b"7", b"{}"])
def test_what_is_no_answer_is_a_failure_only_to_those_who_asked_for_one(body: bytes) -> None:
    for strict, kind in ((False, "success"), (True, "provider_failure")):
        with AnswerReader(OPENAI, 200, {}, memory=Memory(), strict=strict) as reader:
            reader.feed(body)
            reader.end()
            assert reader.verdict.kind == kind


def test_a_json_body_that_breaks_off_is_cut() -> None:
    assert read(chat()[:-5]).verdict.ended == "cut"


# -- framing --

EVENTS = [
    b'data: {"choices": [{"delta": {"content": "a"}}]}',
    b'data: {"choices": [{"delta": {"content": "b"},',
    b'data: "finish_reason": "stop"}]}',
]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("step", [1, 3, 1000])
def test_every_end_of_line_and_data_over_several_lines(end: bytes, step: int) -> None:
    stream = b": ping" + end + EVENTS[0] + end + end + b"event: x" + end + EVENTS[1] + end + EVENTS[2] + end + end
    reader = read_answer(OPENAI, 200, {}, stream, step=step)
    assert (reader.text, reader.verdict.ended) == ("ab", "stop")


def test_an_error_line_of_an_older_llama_cpp_is_an_error() -> None:
    reader = read(EVENTS[0] + b'\n\nerror: {"code": 500, "message": "x", "type": "server_error"}\n\ndata: [DONE]\n\n')
    assert (reader.verdict.kind, reader.verdict.ended) == ("provider_failure", "error")


def test_a_large_body_in_small_pieces_is_read_in_time_that_grows_with_its_length() -> None:
    vector = [0.123456] * 200_000
    body = json.dumps({"data": [{"embedding": vector}], "usage": {"prompt_tokens": 3, "total_tokens": 3}}).encode()
    reader = read_answer(OPENAI, 200, {}, body, step=100)  # over 20,000 pieces: quadratic work would take minutes
    assert (len(reader.vectors[0]), reader.usage) == (200_000, Usage(3, 0))


# -- headers --


def test_a_wait_in_the_text_counts_from_the_providers_own_time() -> None:
    body = b'{"type": "error", "error": {"message": "You will regain access on 2026-12-01 at 00:00 UTC."}}'
    reader = AnswerReader(
        find_dialect("anthropic"), 429, {}, wall_now=datetime(2026, 11, 30, 23, tzinfo=UTC), memory=Memory()
    )
    reader.feed(body)
    reader.end()
    assert reader.hints.not_before_seconds == 3600.0


def test_the_structured_fields_of_the_draft() -> None:
    reader = read(chat(), ratelimit='"api";r=999;t=295', ratelimit_policy='"fixed window";"api";q=1000;w=300')
    (limit,) = reader.hints.limits
    assert (limit.dimension, limit.limit, limit.remaining, limit.reset, limit.window) == (
        "requests",
        1000.0,
        999.0,
        295.0,
        300.0,
    )


@pytest.mark.parametrize(
    ("ratelimit", "policy", "told"),
    [
        ("limit=100, remaining=50, reset=5", "100;w=60", (100.0, 50.0, 5.0, 60.0)),
        ("limit=100, remaining=0,reset=5", "", (100.0, 0.0, 5.0, None)),
        ("limit=100, remaining=500, reset=5", "10;w=1, 100;w=60", (100.0, None, 5.0, 60.0)),
        ("api;r=9;t=3", "api;q=10;w=60", (10.0, 9.0, 3.0, 60.0)),
        (f'"api";pk=:{"x" * 90}:;r=9;t=3', '"api";q=10;w=60', (10.0, 9.0, 3.0, 60.0)),
        ('"api";r=0;t=999999999999999', '"api";q=10;w=999999999', (10.0, 0.0, None, None)),
    ],
)
def test_the_draft_in_every_version(ratelimit: str, policy: str, told: tuple[float | None, ...]) -> None:
    (limit,) = read(chat(), ratelimit=ratelimit, ratelimit_policy=policy).hints.limits
    assert (limit.limit, limit.remaining, limit.reset, limit.window) == told


def test_azures_resets_are_milliseconds_and_groqs_requests_are_per_day() -> None:
    headers = {"x-ratelimit-limit-requests": "120", "x-ratelimit-reset-requests": "500"}
    (azure,) = read_answer(find_dialect("azure"), 200, headers, chat()).hints.limits
    (groq,) = read_answer(find_dialect("groq"), 200, headers, chat()).hints.limits
    assert (azure.reset, azure.window, groq.reset, groq.window) == (0.5, None, 500.0, 86400.0)


def test_usage_in_headers_counts_where_the_body_tells_none() -> None:
    headers = {"x-amzn-bedrock-input-token-count": "17", "x-amzn-bedrock-output-token-count": "8"}
    assert read_answer(find_dialect("bedrock"), 200, headers, b'{"generation": "ok"}').usage == Usage(17, 8)


HEADERS = st.dictionaries(
    st.sampled_from(
        [
            *("retry-after", "retry-after-ms", "x-ratelimit-reset", "x-ratelimit-remaining", "ratelimit", "date"),
            *("ratelimit-policy", "content-type", "content-encoding", "x-amzn-errortype", "x-should-retry"),
            *("x-ratelimit-remaining-requests-day", "x-rate-limit-reset-tokens", "x-amzn-bedrock-input-token-count"),
        ]
    ),
    st.text(max_size=30)
    | st.sampled_from(
        ["1, 1", "9" * 400, "1e999", "nan", "-5", '"a";r=99999999999999;t=1, "a";r=1', "gzip", "6m0s, 6m0s"]
    ),
)


@given(st.integers(100, 599), HEADERS, st.binary(max_size=80), st.sampled_from([1, 7, 1000]))
def test_whatever_comes_has_a_verdict(status: int, headers: dict[str, str], body: bytes, step: int) -> None:
    reader = read_answer(ANY, status, headers, body, step=step)
    assert reader.verdict.kind in OUTCOME_KINDS
    asked = reader.hints.not_before_seconds
    assert asked is None or asked >= 0
    assert reader.facts().verdict == reader.verdict


def test_the_providers_word_on_another_try_counts_where_the_status_says_little() -> None:
    body = b'{"error": {"type": "conflict_error"}}'
    assert read(body, 409, x_should_retry="true").verdict.may_pass is True
    assert read(body, 409).verdict.may_pass is None
    assert read(b'{"error": {"code": "invalid_api_key"}}', 401, x_should_retry="true").verdict.of == "account"
