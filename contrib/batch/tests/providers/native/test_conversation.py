"""Messages as a row may hold them: read, or refused in one line that says where it stands."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, strategies as st

from penstock_batch.providers.native.conversation import (
    Media,
    NotSaid,
    Text,
    ToolResult,
    ToolUse,
    Turn,
    conversation_of,
)

ASKED = {"role": "user", "content": "?"}
CALLS: dict[str, Any] = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"at": "Ulm"}'}}],
}


def test_what_the_system_says_is_told_apart_wherever_it_stands() -> None:
    said = conversation_of(
        [{"role": "system", "content": "a"}, ASKED, {"role": "developer", "content": [{"type": "text", "text": "b"}]}]
    )
    assert said.system == (Text("a"), Text("b"))
    assert said.turns == (Turn("user", (Text("?"),)),)


def test_turns_of_one_role_that_follow_each_other_are_one() -> None:
    said = conversation_of([ASKED, {"role": "user", "content": "!"}, {"role": "assistant", "content": "A"}, ASKED])
    assert [turn.role for turn in said.turns] == ["user", "assistant", "user"]
    assert said.turns[0].parts == (Text("?"), Text("!"))


def test_what_tools_answered_is_said_by_the_user_under_the_name_of_the_tool() -> None:
    results = [{"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "rain"}]}, ASKED]
    said = conversation_of([ASKED, CALLS, *results])
    assert said.turns[1].parts == (ToolUse("c1", "weather", {"at": "Ulm"}),)
    assert said.turns[2] == Turn("user", (ToolResult("c1", "weather", "rain"), Text("?")))


@pytest.mark.parametrize(
    ("url", "media_type", "data"),
    [
        ("data:image/png;base64,iVBO", "image/png", "iVBO"),
        ("DATA:image/PNG;name=a;BASE64,iVBO", "image/png", "iVBO"),
        ("data:text/plain,a%20b", "text/plain", "YSBi"),
        ("data:,a", "text/plain", "YQ=="),
    ],
)
def test_a_data_url_is_read(url: str, media_type: str, data: str) -> None:
    part = {"type": "image_url", "image_url": {"url": url}}
    (media,) = conversation_of([{"role": "user", "content": [part]}]).turns[0].parts
    assert isinstance(media, Media)
    assert (media.media_type, media.data) == (media_type, data)


def test_an_image_elsewhere_keeps_its_url_and_has_the_type_of_its_name() -> None:
    part = {"type": "image_url", "image_url": {"url": "https://a.example/cat.jpg?x=1"}}
    (media,) = conversation_of([{"role": "user", "content": [part]}]).turns[0].parts
    assert isinstance(media, Media)
    assert (media.media_type, media.url) == ("image/jpeg", "https://a.example/cat.jpg?x=1")


def part_of(part: object) -> list[Any]:
    return [{"role": "user", "content": [part]}]


WRONG: list[tuple[object, str]] = [
    (None, "messages: must be a list of messages, not null"),
    ([], "messages: must be a list of messages"),
    ("hello", "messages: must be a list of messages"),
    ([3], "messages[0]: must be an object with role and content, not 3"),
    ([{}], "messages[0].role: must be the role of a message"),
    ([{"role": "usr", "content": "?"}], "did you mean 'user'"),
    ([{"role": ["user"]}], "messages[0].role: must be the role of a message"),
    ([ASKED, {"role": "user"}], "messages[1]: says nothing"),
    ([{"role": "user", "content": ""}], "messages[0]: says nothing"),
    ([{"role": "user", "content": 3}], "messages[0].content: must be a text or a list of parts, not 3"),
    ([{"role": "system", "content": "x"}], "messages: hold no message of the user"),
    (part_of("a"), "messages[0].content[0]: must be an object with a type"),
    (part_of({"type": "txt"}), 'messages[0].content[0].type: must be a part that can be sent, not "txt"'),
    (part_of({"text": "a"}), "messages[0].content[0].type"),
    (part_of({"type": "text"}), "messages[0].content[0].text: must be a text"),
    (part_of({"type": "image_url", "image_url": {}}), "messages[0].content[0].image_url.url: must be a text"),
    (part_of({"type": "image_url", "image_url": "cat.png"}), "must be a URL"),
    (part_of({"type": "image_url", "image_url": "data:image/png;base64"}), "is no whole data URL"),
    (part_of({"type": "file", "file": None}), "messages[0].content[0].file.file_data: must be a text"),
    (part_of({"type": "input_audio"}), "messages[0].content[0].input_audio.format: must be a text"),
    ([{"role": "system", "content": [{"type": "image_url", "image_url": "https://a"}]}], "can only hold text"),
    ([{"role": "assistant", "tool_calls": {}}], "messages[0].tool_calls: must be a list"),
    ([{"role": "assistant", "tool_calls": [{}]}], "messages[0].tool_calls[0]: must be the call of a function"),
    (
        [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}],
        "messages[0].tool_calls[0].function.arguments: is no JSON",
    ),
    (
        [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[1]"}}]}],
        "messages[0].tool_calls[0].function.arguments: must be a JSON object",
    ),
    ([ASKED, {"role": "tool", "content": "x"}], "messages[1].tool_call_id: must be a text"),
    ([ASKED, {"role": "tool", "tool_call_id": "c1", "content": "x"}], "messages[1].tool_call_id: names no call"),
    ([ASKED, CALLS, {"role": "tool", "tool_call_id": "c1"}], "messages[2].content: must be a text"),
]


@pytest.mark.parametrize(("messages", "says"), WRONG)
def test_what_is_no_message_is_refused_with_its_place(messages: object, says: str) -> None:
    with pytest.raises(NotSaid) as refused:
        conversation_of(messages)
    assert says in str(refused.value)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["user", "tool", "assistant"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "type", "text", "image_url", "url", "tool_calls", "function", "file"]),
            inner | st.sampled_from(["text", "image_url", "file", "input_audio", "data:", "https://a", "user"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.lists(ANYTHING, max_size=4) | ANYTHING)
def test_whatever_messages_are_nothing_else_is_raised(messages: object) -> None:
    with suppress(NotSaid):
        conversation_of(messages)
