"""Errors in places where nobody looks for them, figures that are none, and bodies that are not what they seem."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from time import process_time
from typing import Any

import pytest

from penstock import Usage, error_fields
from penstock_dialects import ANY, AnswerReader, dialect_names, find_dialect
from penstock_dialects.testing import read_answer
from penstock_dialects.unpacking import Unpacker

ROWS: list[dict[str, Any]] = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "answers.jsonl").read_text(encoding="utf-8").splitlines()
]
CHAT = {"choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]}
PIECE = {"choices": [{"index": 0, "delta": {"content": "hi"}}]}
STOP = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
DIALECTS = ("any", "openai", "anthropic", "gemini", "bedrock", "ollama", "cohere", "openrouter")


def read(body: Any, status: int = 200, dialect: str = "any", **headers: str) -> AnswerReader:
    said = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_answer(ANY if dialect == "any" else find_dialect(dialect), status, named, said)


def events(*data: Any, end: str = "\n", done: bool = True) -> bytes:
    said = [each if isinstance(each, str) else f"data: {json.dumps(each)}" for each in data]
    return "".join(f"{each}{end}{end}" for each in (*said, *(["data: [DONE]"] if done else []))).encode()


def ending(reader: AnswerReader) -> tuple[str, str | None, str | None]:
    verdict = reader.verdict
    return verdict.kind, verdict.ended, verdict.of


# -- an error inside a 200, wherever it stands


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": "busy"}, "provider_failure"),
        ({"error": [{"code": 429, "message": "x"}]}, "rate_limited"),
        ({"error": ["slow down"]}, "provider_failure"),
        ({"error": True}, "provider_failure"),
        ({"error": 429}, "rate_limited"),
        ({"error": {}}, "provider_failure"),
        ({"error": {"error": {"code": 429}}}, "rate_limited"),
        ({"error": json.dumps({"error": {"code": 429}})}, "rate_limited"),
        ({"error": {"code": 502, "message": json.dumps({"error": {"code": 429}})}}, "rate_limited"),
        ({"errors": [{"code": 429, "message": "x"}], "success": False}, "rate_limited"),
        ({"success": False, "message": "busy"}, "provider_failure"),
        ({"status": "error", "message": "busy"}, "provider_failure"),
        ({"statusCode": 429, "message": "x"}, "rate_limited"),
        ({"status": 503, "message": "busy"}, "provider_failure"),
        ([{"error": {"code": 429}}], "rate_limited"),
        ({"Error": {"code": 429}}, "rate_limited"),
        ({"fault": {"faultstring": "x", "detail": {"errorcode": "policies.ratelimit"}}}, "provider_failure"),
    ],
    ids=lambda value: json.dumps(value)[:60] if not isinstance(value, str) else value,
)
def test_an_error_in_a_good_answer_is_an_error_in_whatever_shape(dialect: str, body: Any, kind: str) -> None:
    reader = read(body, dialect=dialect)
    assert (reader.verdict.kind, reader.verdict.ended) == (kind, "error")


@pytest.mark.parametrize("nothing", [None, False, "", 0, [], {}])
def test_a_field_for_errors_that_holds_none_is_no_error(nothing: object) -> None:
    assert ending(read({**CHAT, "error": nothing, "errors": nothing})) == ("success", "stop", None)


NAMED = [
    ('event: error\ndata: {"message": "overloaded", "code": 529}', "rate_limited"),
    ('event: error\ndata: {"detail": "x"}', "provider_failure"),
    ('event: error\ndata: "busy"', "provider_failure"),
    ('event: Error\ndata: {"message": "too many requests"}', "rate_limited"),
    ("event: error\ndata: Internal failure", "provider_failure"),
    ("event: error\ndata: {bad", "provider_failure"),
    ('event:error\ndata: {"error": {"status_code": 429}}', "rate_limited"),
    ('data: {"error": [{"code": 429}]}', "rate_limited"),
    ('data: {"error": "busy"}', "provider_failure"),
    ('{"error": {"code": 429}}', "rate_limited"),
]


@pytest.mark.parametrize(("event", "kind"), NAMED)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("finished", [False, True], ids=["before the end", "after the last piece"])
def test_an_error_event_is_an_error_though_the_stream_goes_on(event: str, kind: str, end: str, finished: bool) -> None:
    stream = events(PIECE, *([STOP] if finished else []), event.replace("\n", end), end=end)
    reader = read(stream)
    assert (reader.verdict.kind, reader.verdict.ended, reader.text) == (kind, "error", "hi")


def test_the_name_of_an_event_holds_for_that_event_alone() -> None:
    assert ending(read(events("event: error", PIECE, STOP))) == ("success", "stop", None)
    assert ending(read(events(f"event: error\nevent: message\ndata: {json.dumps(PIECE)}", STOP)))[0] == "success"


def test_a_page_is_no_answer_whatever_its_status() -> None:
    for page in (b"<!DOCTYPE html><html>Sign in", b"\n <html>", b"<?xml version='1.0'?><Error/>"):
        for content_type in ("text/html", "application/json", "text/event-stream"):
            assert read(page, content_type=content_type).verdict.kind == "provider_failure"


BARE = [
    ({"error": {"message": "x", "type": "invalid_request_error", "code": None}}, "provider_failure", None, "call"),
    ({"error": {"message": "x", "type": "unknown", "code": "invalid_request_error"}}, "provider_failure", None, None),
    ({"error": "Too many requests"}, "rate_limited", "unknown", None),
    ({"error": {"message": "Requests rate limit exceeded"}}, "rate_limited", "requests", None),
    ({"error": {"type": "too_many_requests_error"}}, "rate_limited", "unknown", None),
    (
        {"message": "x", "type": "too_many_requests_error", "code": "request_quota_exceeded"},
        *["rate_limited", "requests"],
        None,
    ),
    ({"message": "x", "__type": "ThrottlingException"}, "provider_failure", None, None),
    ({"message": "x", "type": "error"}, "provider_failure", None, None),
]


@pytest.mark.parametrize(("body", "kind", "by", "of"), BARE, ids=lambda value: json.dumps(value)[:60])
def test_an_error_that_states_no_status_is_judged_by_its_words(
    body: dict[str, Any], kind: str, by: str | None, of: str | None
) -> None:
    for said in (body, events(body, done=False)):
        verdict = read(said).verdict
        assert (verdict.kind, verdict.limited_by, verdict.of, verdict.ended) == (kind, by, of, "error")


def test_a_message_that_is_no_error_is_none() -> None:
    for value in (
        {"message": "hello", "type": "greeting"},
        {"type": "validation_error"},
        {"message": 3, "code": "some_error"},
    ):
        assert ending(read(value)) == ("success", None, None)


def test_an_answer_of_one_piece_need_not_say_how_it_ended() -> None:
    chat = {"choices": [{"index": 0, "message": {"content": "hi"}}]}
    message = {"type": "message", "content": [{"type": "text", "text": "hi"}], "stop_reason": None}
    for whole in (chat, {"choices": [{**chat["choices"][0], "finish_reason": None}]}, message):
        for body in (whole, json.dumps(whole).encode() + b"\n", json.dumps(whole, indent=1).encode()):
            assert ending(read(body)) == ("success", "stop", None)
        assert ending(read(json.dumps(whole).encode()[:-9])) == ("provider_failure", "cut", None)
    assert ending(read(events(PIECE, done=False))) == ("provider_failure", "cut", None), "a stream says so"


def test_what_ends_without_a_text_and_without_a_paid_token_is_no_answer_however_it_ended() -> None:
    unpaid = {"prompt_tokens": 3, "completion_tokens": 0}
    for finish in ("stop", "length", "tool_calls"):
        choice = {"index": 0, "message": {"content": None}, "finish_reason": finish}
        assert ending(read({"choices": [choice], "usage": unpaid})) == ("provider_failure", finish, None)
        paid = read({"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 2}})
        assert ending(paid) == ("success", "empty" if finish == "stop" else finish, None)
    assert ending(read(events())) == ("provider_failure", "stop", None), "a stream that says nothing but DONE"
    assert ending(read(events({"of": "a shape that nobody knows"})))[0] == "success"


def test_a_response_that_is_still_made_is_neither_an_answer_nor_a_failure() -> None:
    for status in ("queued", "in_progress"):
        assert ending(read({"object": "response", "status": status, "output": []})) == ("success", None, None)


# -- what is lost in the middle


def test_an_event_that_cannot_be_read_costs_the_answer_its_end() -> None:
    assert ending(read(events(PIECE, 'data: {"choices": [{"ind', STOP)))[:2] == ("provider_failure", "cut")
    assert ending(read(events(PIECE, "data: ping", STOP)))[:2] == ("success", "stop")
    assert ending(read(events(PIECE, STOP, "data: {broken")))[:2] == ("success", "stop")


def test_half_a_character_and_a_number_of_thousands_of_digits_cost_nothing_else() -> None:
    body = json.dumps({**CHAT, "usage": {"prompt_tokens": 3, "completion_tokens": 1}}).encode()
    reader = read(body.replace(b"hi", b"h\xff\xfei"))
    assert (ending(reader), reader.text) == (("success", "stop", None), "h\ufffd\ufffdi")
    huge = read(body.replace(b"3", b"9" * 6000))
    assert (ending(huge), huge.usage) == (("success", "stop", None), Usage(None, 1))


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"prompt_tokens": -3, "completion_tokens": 1}, Usage(None, 1)),
        ({"prompt_tokens": "3", "completion_tokens": "1"}, None),
        ({"prompt_tokens": 3.0, "completion_tokens": 1.5}, Usage(3)),
        ({"prompt_tokens": float("nan"), "completion_tokens": float("inf")}, None),
        ({"prompt_tokens": True, "completion_tokens": 1}, Usage(None, 1)),
        ({"prompt_tokens": 10**30, "completion_tokens": 1}, Usage(None, 1)),
        ({"prompt_tokens": 30, "completion_tokens": 10, "total_tokens": 5}, Usage(30, 10)),
        ([3], None),
        ("3", None),
        (None, None),
    ],
    ids=str,
)
def test_a_figure_that_cannot_be_is_not_told(told: Any, usage: Usage | None) -> None:
    reader = read({**CHAT, "usage": told})
    assert (reader.verdict.kind, reader.usage) == ("success", usage)


def test_a_stream_that_is_cut_anywhere_is_never_taken_for_a_whole_one() -> None:
    for row in ROWS:
        if row["status"] != 200 or "sse" not in row:
            continue
        body = "\n".join([*row["sse"], ""]).encode()
        for dialect in {row["provider"], "any"} & {*dialect_names()}:
            whole = read(body, dialect=dialect, content_type="text/event-stream")
            for end in range(len(body)):
                cut = read(body[:end], dialect=dialect, content_type="text/event-stream")
                if cut.verdict.kind == "success":
                    assert (whole.verdict.kind, whole.text) == ("success", cut.text), (row["name"], end)


def test_a_stream_of_comments_alone_is_no_answer() -> None:
    for body in (b": keep-alive\n\n: keep-alive\n\n", b": ping\r\n\r\n"):
        assert ending(read(body))[:2] == ("provider_failure", "cut")
    assert ending(read(b"", content_type="text/event-stream"))[:2] == ("provider_failure", "cut")


# -- refusals in other words


@pytest.mark.parametrize(
    "body",
    [
        {"error": "insufficient_quota"},
        {"error": {"code": "INSUFFICIENT_QUOTA"}},
        {"errors": [{"code": "insufficient_quota"}]},
        {"error": [{"type": "insufficient_quota"}]},
        {"error": {"message": json.dumps({"error": {"code": "insufficient_quota"}})}},
        {"error": json.dumps({"code": "insufficient_quota"})},
        {"error": {"code": 429, "error": {"type": "insufficient_quota", "message": "x"}}},
    ],
    ids=lambda body: json.dumps(body)[:60],
)
def test_a_code_is_found_wherever_a_gateway_puts_it(body: Any) -> None:
    for dialect in DIALECTS:
        assert ending(read(body, 429, dialect)) == ("provider_failure", None, "account")
    assert "insufficient_quota" in error_fields(json.dumps(body)).words


def test_errors_in_errors_are_followed_only_so_far() -> None:
    body: Any = {"code": "insufficient_quota"}
    for _ in range(200):
        body = {"error": body}
    assert read(body, 429).verdict.kind == "rate_limited"
    text = json.dumps({"code": "x"})
    for _ in range(8):
        text = json.dumps({"error": text})
    assert read(text.encode(), 429).verdict.kind == "rate_limited"


def test_a_delay_is_read_where_a_gateway_puts_it() -> None:
    info = "type.googleapis.com/google.rpc.RetryInfo"
    for delay, seconds in (({"seconds": 26}, 26.0), ("26s", 26.0), ("-5s", None), ({"seconds": -1}, None), (7, None)):
        body = {"error": {"code": 429, "details": [{"@type": info, "retryDelay": delay}]}}
        assert read(body, 429).hints.not_before_seconds == seconds
    headers = {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1795867230000"}
    upstream = {"error": {"code": 429, "message": "x", "metadata": {"headers": headers}}}
    reader = read(upstream, 429, "openrouter", date="Sat, 28 Nov 2026 12:00:00 GMT")
    assert reader.hints.not_before_seconds == pytest.approx(1795867230 - 1795867200)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Please wait 20 seconds.", 20.0),
        ("please wait for 1m", 60.0),
        ("Try again in 3 days", 3 * 86400.0),
        ("retry after 5sec, or later", 5.0),
        ("try again in 2 mins", 120.0),
        ("You may retry 3 times", None),
        ("try again in NaN", None),
        ("try again in -5s", None),
        ("try again in 1e400s", None),
        (f"try again in {'9' * 40}s", None),
    ],
)
def test_a_wait_in_words_is_read_in_any_unit(text: str, seconds: float | None) -> None:
    assert read({"error": {"message": text}}, 429).hints.not_before_seconds == seconds


def test_an_encoding_that_is_none_is_not_in_the_way_of_one_that_is() -> None:
    packed = gzip.compress(json.dumps({"error": {"code": 429}}).encode())
    for encoding in ("identity, gzip", "gzip, identity", " , GZip"):
        assert read(packed, content_encoding=encoding).verdict.kind == "rate_limited"
    assert read(b"{}", content_encoding="identity").unreadable == ""
    assert read(gzip.compress(packed), content_encoding="gzip, gzip").unreadable == "gzip, gzip"


@pytest.mark.parametrize(
    "value",
    ["5, 5", "5;q=1", "\u0665", "0x10", "1_000", "+5", "5s\r\nx: y", "\x00", " ", "5" * 500, "Infinity", "1e3"],
)
def test_a_header_with_junk_in_it_is_no_wait_and_no_limit(value: str) -> None:
    for name in ("retry-after", "retry-after-ms", "x-ratelimit-reset-requests", "x-ratelimit-remaining-requests"):
        headers = {name: value, "x-ratelimit-limit-requests": "10"}
        asked = read_answer(ANY, 429, headers, b"{}").hints.not_before_seconds
        assert asked is None or asked <= 5.0


# -- embeddings of Gemini


@pytest.mark.parametrize("dialect", ["any", "gemini"])
@pytest.mark.parametrize(
    ("body", "vectors"),
    [
        ({"embedding": {"values": [0.5, 0.25]}}, [[0.5, 0.25]]),
        ({"embeddings": [{"values": [1.0]}, {"values": [2.0]}]}, [[1.0], [2.0]]),
    ],
)
def test_geminis_embeddings_are_vectors(dialect: str, body: dict[str, Any], vectors: list[list[float]]) -> None:
    reader = read({**body, "usageMetadata": {"promptTokenCount": 7}}, dialect=dialect)
    assert (reader.vectors, reader.verdict.kind, reader.usage) == (vectors, "success", Usage(7, 0))
    assert read(body, dialect=dialect).usage is None


# -- what stands before an answer, and how it is packed


@pytest.mark.parametrize("step", [None, 4096, 7000])
@pytest.mark.parametrize("blank", [b"\n" * 9000, b"\xef\xbb\xbf", b"\x00\r\n"], ids=["lines", "mark", "zeros"])
@pytest.mark.parametrize("body", [json.dumps(CHAT).encode(), events(PIECE, STOP)], ids=["whole", "events"])
def test_what_keeps_a_connection_alive_before_an_answer_is_no_part_of_it(body: bytes, blank: bytes, step: Any) -> None:
    reader = read_answer(ANY, 200, {}, blank + body, step=step)
    assert (reader.text, reader.verdict.ended) == ("hi", "stop")


def test_a_page_behind_the_mark_of_its_encoding_is_no_answer() -> None:
    assert read(b"\xef\xbb\xbf<html>busy</html>").verdict.code == "no_answer"


@pytest.mark.parametrize("first", ["x-trace: 7", "data", "keepalive"])
def test_a_stream_may_begin_with_a_field_that_nobody_knows(first: str) -> None:
    body = first.encode() + b"\n\n" + events(PIECE, STOP)
    reader = read(body, content_type="text/event-stream")
    assert (reader.text, reader.verdict.ended) == ("hi", "stop")


def test_the_content_type_of_a_stream_makes_no_stream_of_json() -> None:
    assert read({"error": {"code": 429}}, content_type="text/event-stream").verdict.kind == "rate_limited"


class Turns:
    """A decoder that gives what is no bytes."""

    def decompress(self, data: bytes, /) -> Any:
        return None


def fails() -> Any:
    raise RuntimeError("no library")


@pytest.mark.parametrize("decoder", [Turns, fails])
def test_a_decoder_that_does_not_work_leaves_the_answer_to_its_status(decoder: Any) -> None:
    with AnswerReader(ANY, 429, {"content-encoding": "br"}, decoders={"br": decoder}) as reader:
        reader.feed(b"packed")
        reader.end()
        assert (reader.verdict.kind, reader.unreadable) == ("rate_limited", "br")


def test_members_of_gzip_that_hold_nothing_are_no_answer_and_no_work() -> None:
    empty, body = gzip.compress(b""), gzip.compress(json.dumps(CHAT).encode())
    begin = process_time()
    few = b"".join(Unpacker("gzip", {}).feed(empty * 2000 + body))
    middle = process_time()
    many = b"".join(Unpacker("gzip", {}).feed(empty * 40_000 + body))
    assert few == many == json.dumps(CHAT).encode()
    assert process_time() - middle < 100 * max(middle - begin, 0.001), "twenty times as many are twenty times the work"


def test_a_day_is_read_in_the_names_of_quotas_however_deep_the_details_lie() -> None:
    day = {"violations": [{"quotaId": "GenerateRequestsPerDayPerProject"}]}
    delay = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}
    waits = [
        read({"error": {"code": 429, "details": [delay, *more]}}, status=429).hints.not_before_seconds
        for more in ([], [day], [{"text": "PerDay"}])
    ]
    assert waits == [7.0, None, 7.0]
