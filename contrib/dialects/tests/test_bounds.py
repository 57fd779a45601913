"""What an answer makes of work, however it is packed and cut: bounded by the bytes of it that came."""

from __future__ import annotations

import gzip
import inspect
import json
from random import Random
from typing import Any

import pytest

from penstock import Usage
from penstock_dialects import AnswerReader, Memory, find_dialect, framing

OPENAI = find_dialect("openai")
MIB = 1024 * 1024


@pytest.mark.parametrize("text", [b" ", b"data: {}\n\n", b"\n", b"\r", b":\n", b"data:\r\n", b"[],"])
def test_what_one_piece_of_a_packed_answer_makes_of_work_is_bounded_by_its_bytes(text: bytes) -> None:
    memory = Memory(growth=128)
    packed = gzip.compress(b"data: {}\n\n" + text * (40_000_000 // len(text)))
    with AnswerReader(OPENAI, 200, {"content-encoding": "gzip"}, memory=memory) as reader:
        reader.feed(packed[:2048])
        assert reader.too_large == "the answer unpacks to more than 128 times what came of it"
        lines = sum(text.count(sign) for sign in (b"\n", b"\r", b"[", b"{"))
        assert memory.taken / len(text) * (len(text) + 64 * lines) <= 1.4 * MIB


def test_an_answer_that_is_packed_as_answers_are_is_read() -> None:
    memory = Memory(growth=128)
    chunk = b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[%s]}\n\n'
    letters = Random(1)
    words = [bytes(letters.choices(b"etaoinshrdlu", k=letters.randint(1, 8))) for _ in range(50_000)]
    pieces = [chunk % (b'{"index":0,"delta":{"content":" %s"},"finish_reason":null}' % word) for word in words]
    body = gzip.compress(b"".join(pieces))
    with AnswerReader(OPENAI, 200, {"content-encoding": "gzip"}, memory=memory) as reader:
        for at in range(0, len(body), 1000):
            reader.feed(body[at : at + 1000])
        assert not reader.too_large
        assert reader.text.endswith(words[-1].decode())


@pytest.mark.parametrize("begin", [b"data: ", b"data: 1\n", b'{"a": ', b"["])
def test_a_value_without_an_end_is_held_no_further_than_its_bound(begin: bytes) -> None:
    memory = Memory(per_value=100_000)
    with AnswerReader(OPENAI, 200, {}, memory=memory) as reader:
        reader.feed(begin)
        for _ in range(200):
            reader.feed(b"data: %s\n" % (b"1" * 1000) if begin.endswith(b"\n") else b"1" * 1000)
        assert reader.too_large == "the answer has a value that is larger than 100,000 bytes"
        assert memory.taken <= 110_000


def test_values_that_are_small_may_be_many() -> None:
    with AnswerReader(OPENAI, 200, {}, memory=Memory(per_value=1000)) as reader:
        for _ in range(1000):
            reader.feed(b'data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n')
        assert (reader.too_large, len(reader.text)) == ("", 2000)


def test_lines_that_end_with_a_carriage_return_are_not_each_looked_for_to_the_end() -> None:
    looked = 0

    class Counting(bytearray):
        def find(self, sub: Any, start: Any = 0, end: Any = None) -> int:
            nonlocal looked
            found = super().find(sub, start, len(self) if end is None else end)
            looked += (found if found >= 0 else len(self) if end is None else end) - start
            return found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(framing, "bytearray", Counting, raising=False)
        lines = framing.Framing(Memory(), events=True)
    for tail in (b"", b"\n\n"):
        looked = 0
        assert len(list(lines.feed(b"data: {}\r\r" * 2000 + tail))) >= 1999
        assert looked < 200_000


MANY = "the answer has a value of more than 1,000 parts"
USED = b'"usage":{"prompt_tokens":3,"completion_tokens":2}'
INSIDE = [b"[]", b"{}", b"[[[]]]", b'{"a":1}', b'{"a":{}}', b'{"n%d":0}' % 1]


@pytest.mark.parametrize("value", INSIDE)
@pytest.mark.parametrize("ending", [b"", b"\n", b"\n\n"])
def test_of_a_whole_answer_of_very_many_parts_usage_and_error_are_read_and_nothing_else(
    value: bytes, ending: bytes
) -> None:
    for tells in (USED, b'"error":{"message":"no","code":"overloaded"}'):
        text = b'{"object":"chat.completion","choices":[%s],%s}' % (b",".join([value] * 1001), tells)
        with AnswerReader(OPENAI, 200, {}, memory=Memory(parts=1000)) as reader:
            for at in range(0, len(text), 700):
                reader.feed(text[at : at + 700])
            reader.feed(ending)
            reader.end()
        assert reader.too_large == MANY
        if tells is USED:
            assert reader.usage == Usage(3, 2)
        else:
            assert reader.error is not None
            assert reader.error.message == "no"


@pytest.mark.parametrize(
    "text",
    [
        b"[" + b"[]," * 1001 + b"0]",
        b"data: [" + b"[]," * 1001 + b"0]\n\ndata: {}\n\n",
        b"event: error\ndata: [" + b"[]," * 1001 + b"0]\n\n",
        b'{"choices": [' + b"[]," * 1001 + b"]}",
        b'{"choices": [' + b"[]," * 1001,
        b"{}\n" + b"[" + b"[]," * 1001 + b"0]\n{}\n",
        b"[" + b"0," * 1001 + b"NaN]",
        b"[" + b"0," * 1001,
    ],
)
def test_what_has_very_many_parts_and_is_no_object_is_not_read(text: bytes) -> None:
    with AnswerReader(OPENAI, 200, {}, memory=Memory(parts=1000)) as reader:
        reader.feed(text)
        reader.end()
    assert (reader.too_large, reader.usage) == (MANY, None)


@pytest.mark.parametrize(("parts", "told"), [(1000, ""), (1001, MANY)])
def test_an_answer_has_as_many_parts_as_it_may_and_none_more(parts: int, told: str) -> None:
    text = b'{"odd":[%s],%s}' % (b",".join([b"{}"] * (parts - 7)), USED)  # and two objects, a list and four members
    with AnswerReader(OPENAI, 200, {}, memory=Memory(parts=1000)) as reader:
        reader.feed(text)
        reader.end()
    assert reader.too_large == told


def test_after_an_event_of_very_many_parts_nothing_is_read() -> None:
    with AnswerReader(OPENAI, 200, {}, memory=Memory(parts=1000)) as reader:
        reader.feed(b"data: [" + b"[]," * 1001 + b"0]\n\n")
        assert reader.too_large == MANY
        reader.feed(b"data: {%s}\n\n" % USED)
        reader.end()
    assert (reader.too_large, reader.usage) == (MANY, None)


@pytest.mark.parametrize(
    "error",
    [
        b'"errors":[{"message":"no"}]',
        b'"error":{"message":"no","of":"%s"}' % (b":" * 20_000),
        b'"error":"%s"' % (b"no" * 10_000),
        b'"errors":["%s"]' % (b"no" * 10_000),
    ],
)
def test_an_error_inside_an_answer_of_very_many_parts_is_one_however_it_is_told(error: bytes) -> None:
    text = b'{"object":"chat.completion","choices":[%s],%s}' % (b",".join([b"[]"] * 1001), error)
    with AnswerReader(OPENAI, 200, {}, memory=Memory(parts=1000)) as reader:
        reader.feed(text)
        reader.end()
    assert (reader.too_large, reader.verdict.kind, reader.verdict.ended) == (MANY, "provider_failure", "error")
    assert reader.error is not None


def test_the_text_of_an_error_with_very_many_parts_is_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    monkeypatch.setattr(json, "loads", lambda text: looked.append(len(text)))
    with AnswerReader(OPENAI, 200, {}, memory=Memory(parts=1000)) as reader:
        reader.feed(b"event: error\ndata: [" + b"[]," * 100_000 + b"0]\n\n")
    assert reader.verdict.kind == "provider_failure"
    assert max(looked, default=0) < 20_000


def test_an_answer_of_many_texts_and_numbers_has_few_parts() -> None:
    text = b'{"object":"list","data":[{"embedding":[%s]}],%s}' % (b",".join([b"0.5"] * 100_000), USED)
    with AnswerReader(OPENAI, 200, {}, memory=Memory(parts=1000)) as reader:
        reader.feed(text)
        reader.end()
    assert (reader.too_large, len(reader.vectors[0])) == ("", 100_000)


@pytest.mark.skipif(not inspect.isfunction(Memory.many), reason="a compiled class has no class of a test below it")
def test_the_first_of_many_lines_is_read_once() -> None:
    class Counting(Memory):
        texts = 0

        def many(self, text: bytes, signs: bytes = b"") -> bool:
            self.texts += 1
            return False

    memory = Counting(parts=0)
    lines = framing.Framing(memory)
    assert [*lines.feed(b"{}"), *lines.feed(b"\n{}\n{"), *lines.feed(b"}"), *lines.end()] == [{}, {}, {}]
    assert memory.texts == 3
