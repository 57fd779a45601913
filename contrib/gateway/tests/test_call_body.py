"""What a gateway reads of a call's body, and that it changes nothing else of it."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, strategies as st

from penstock_gateway import CallBody, Refusal
from penstock_gateway.call_body import members_of
from penstock_gateway.routes import ROUTES

CHAT, MESSAGES = ROUTES["/v1/chat/completions"], ROUTES["/v1/messages"]

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
SIGNS = st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " :")])
"""Between members, and between a name and its value."""
NAMES = st.text(max_size=6).filter(lambda name: name not in ("model", "stream", "stream_options"))


@given(st.dictionaries(NAMES, VALUES, max_size=4), st.sampled_from([None, 2]), st.booleans(), st.booleans(), SIGNS)
def test_another_model_is_put_in_and_every_other_byte_stays(
    others: dict[str, Any], indent: int | None, ascii_only: bool, first: bool, signs: tuple[str, str]
) -> None:
    body = {"model": "mödel", **others} if first else {**others, "model": "mödel"}
    raw = json.dumps(body, indent=indent, ensure_ascii=ascii_only, separators=signs).encode()
    call = CallBody.read(raw, CHAT)
    assert call.model == "mödel"
    old, name = bytes(call.members["model"].value), b'"model"' + signs[1].encode()
    assert call.rewritten("other", ask_usage=False) == raw.replace(name + old, name + b'"other"', 1)
    assert call.rewritten("mödel", ask_usage=False) is raw


@given(st.dictionaries(st.text(max_size=6), VALUES, max_size=5), SIGNS)
def test_the_members_are_those_of_the_object_each_as_it_stands(value: dict[str, Any], signs: tuple[str, str]) -> None:
    raw = json.dumps(value, separators=signs).encode()
    members = members_of(raw)
    assert {name: json.loads(bytes(member.value)) for name, member in members.items()} == value
    assert all(raw[member.start : member.end] == member.value for member in members.values())


@pytest.mark.parametrize(
    "raw",
    [
        b'{"model": "a", "model": "b"}',
        b'{"model": "a", "model": "a"}',
        rb'{"model": "a", "mod\u0065l": "b"}',
        b'{"x": {}, "model": "a", "x": {}}',
        b'{"model":"a","x":1,"x":1}',
        b'{"x":"","model":"a","x":""}',
        b'{"x": 1, "x": 11, "model": "a"}',
        b'{"model": "a", "x": 12, "x": 1, "stream": true}',
        b'{"model": "a", "x": 12, "x": 1, "model": "b", "model": "a"}',
        b'{"model": "a", "stream": true, "stream_options": {"include_usage": true, "include_usage": false}}',
    ],
)
def test_a_member_that_stands_twice_is_refused(raw: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        CallBody.read(raw, CHAT)
    assert (caught.value.status, caught.value.code) == (400, "invalid_body")
    assert "twice" in caught.value.message


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "invalid_body"),
        (b"[]", "invalid_body"),
        (b'"model"', "invalid_body"),
        (b'{"model": "a"', "invalid_body"),
        (b'{"model": "a"} x', "invalid_body"),
        (b"\xff\xfe", "invalid_body"),
        (b'{"model": "\xff"}', "invalid_body"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "invalid_body"),
        (b"{}", "model_missing"),
        (b'{"model": 7}', "model_missing"),
        (b'{"model": ""}', "model_missing"),
        (b'{"model": "a", "stream": 1}', "invalid_body"),
        (b'{"model": "a", "stream": true, "stream_options": []}', "invalid_body"),
        (b'{"model": "%s"}' % (b"a" * 65536), "invalid_body"),
        (b'{"model": "a", "stream": true, "stream_options": {"a": [%s1]}}' % (b"1, " * 30_000), "invalid_body"),
        (b'{"model": "a", "max_tokens": [%s1]}' % (b"{}, " * 30_000), "invalid_body"),
    ],
)
def test_what_is_no_call_is_refused(raw: bytes, code: str) -> None:
    with pytest.raises(Refusal) as caught:
        CallBody.read(raw, CHAT)
    assert (caught.value.status, caught.value.code) == (400, code)


@pytest.mark.parametrize(
    ("options", "hides", "asked"),
    [
        ("", True, b', "n": 1, "model": "m","stream_options":{"include_usage":true}}'),
        (', "stream_options": null', True, b"null"),
        (', "stream_options": {}', True, b'{"include_usage":true}'),
        (', "stream_options": {"x": 1}', True, b'{"include_usage":true,"x": 1}'),
        (', "stream_options": {"include_usage": false}', True, b'{"include_usage": true}'),
        (', "stream_options": {"include_usage": true}', False, b""),
    ],
)
def test_the_usage_of_a_stream_is_asked_for_and_hidden_from_who_did_not_ask(
    options: str, hides: bool, asked: bytes
) -> None:
    raw = f'{{"stream": true{options}, "n": 1, "model": "m"}}'.encode()
    call = CallBody.read(raw, CHAT)
    assert call.hides_usage == hides
    if hides:
        sent = json.loads(call.rewritten("m", ask_usage=True))
        assert sent["stream_options"]["include_usage"] is True
        assert {**sent, "stream_options": 0} == {**json.loads(raw), "stream_options": 0}
        assert asked == b"null" or asked in call.rewritten("m", ask_usage=True)


def test_only_streams_of_a_dialect_that_takes_it_are_asked_for_their_usage() -> None:
    assert not CallBody.read(b'{"model": "m"}', CHAT).hides_usage
    assert not CallBody.read(b'{"model": "m", "stream": true}', MESSAGES).hides_usage


@pytest.mark.parametrize(
    ("members", "tokens"),
    [('"max_tokens": 7', 7), ('"max_completion_tokens": 5, "max_tokens": 7', 5), ('"max_tokens": "7"', 0), ("", 0)],
)
def test_the_tokens_are_estimated_from_the_body(members: str, tokens: int) -> None:
    raw = f'{{"model": "m"{", " + members if members else ""}}}'.encode()
    call = CallBody.read(raw, CHAT)
    assert call.output_tokens == tokens
    assert call.input_tokens == len(raw) // 4


def test_a_body_of_more_members_than_anybody_needs_is_refused() -> None:
    many = b'{"model": "m"%s}' % b"".join(b', "a%d": 1' % number for number in range(1000))
    with pytest.raises(Refusal, match="more than 1000 members"):
        CallBody.read(many, CHAT)
    assert CallBody.read(many.replace(b', "a999": 1', b""), CHAT).model == "m"


def test_of_a_large_body_nothing_large_is_copied_but_what_goes_out() -> None:
    raw = b'{"model": "m", "messages": ["%s"], "stream": true}' % (b"a" * 4_000_000)
    tracemalloc.start()
    call = CallBody.read(raw, CHAT)
    _, read = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    call.rewritten("other", ask_usage=True)
    _, rewritten = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert read < len(raw) / 10
    assert rewritten < 1.1 * len(raw)
