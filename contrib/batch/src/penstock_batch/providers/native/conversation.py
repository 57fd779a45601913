"""The messages of a body in OpenAI's protocol, read and checked: what is said by whom, free of any protocol. Pure.

What `system` and `developer` say is told apart from the turns, since other protocols have a place of its own for it;
turns of one role that follow each other are one, and what tools answered is a part of a turn of the user. Messages may
come from a row's data, so whatever they are is either read or refused in one line that says where it stands.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from mimetypes import guess_type
from typing import Any, Final, Literal
from urllib.parse import unquote_to_bytes

import attrs

from penstock import did_you_mean

__all__ = [
    "Conversation",
    "Media",
    "NotSaid",
    "Own",
    "Part",
    "Text",
    "ToolResult",
    "ToolUse",
    "Turn",
    "conversation_of",
]

Place = tuple[str | int, ...]

_ROLES: Final = ("system", "developer", "user", "assistant", "tool")
_PARTS: Final = ("text", "image_url", "file", "input_audio", "refusal")
_DATA_URL: Final = re.compile(r"data:([^;,]*)((?:;[^;,]*)*),", re.IGNORECASE)
_BASE64: Final = ";base64"
_SHOWN: Final = 60


class NotSaid(ValueError):
    """What a dialect has no words for, in one line; `path` is where it stands in the body."""

    def __init__(self, path: Place, what: str) -> None:
        where = "".join(f"[{name}]" if isinstance(name, int) else f".{name}" for name in path).lstrip(".")
        super().__init__(f"{where}: {what}" if where else what)
        self.path = path
        self.what = what


def in_json(value: object) -> str:
    """A JSON value in a few words, on one line.

    >>> in_json("two words"), in_json([1]), in_json(None)
    ('"two words"', 'a list', 'null')
    """
    if isinstance(value, str):
        return json.dumps(value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…", ensure_ascii=False)
    if isinstance(value, int | float) or value is None:
        return json.dumps(value)
    return "an object" if isinstance(value, Mapping) else "a list"


@attrs.frozen
class Text:
    """A text; `cache_control` is Anthropic's mark on it, if there is one."""

    text: str
    cache_control: Any = None


@attrs.frozen
class Media:
    """An image, a file or a sound: `data` in base64, or the `url` or the `file_id` by which the provider has it."""

    media_type: str | None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    name: str | None = None
    place: Place = ()


@attrs.frozen
class ToolUse:
    """A call of a tool by the model; `signature` is that of Gemini's thoughts, if it was kept."""

    id: str
    name: str
    arguments: dict[str, Any]
    signature: str | None = None


@attrs.frozen
class ToolResult:
    """What a tool answered to the call with this id; `name` is the tool's."""

    id: str
    name: str
    text: str


@attrs.frozen
class Own:
    """A part in the provider's own words, which goes as it is."""

    part: Mapping[str, Any]


Part = Text | Media | ToolUse | ToolResult | Own


@attrs.frozen
class Turn:
    """What one side says before the other does."""

    role: Literal["user", "assistant"]
    parts: tuple[Part, ...]


@attrs.frozen
class Conversation:
    """What is said: by the system, wherever it stood, and turn by turn."""

    system: tuple[Text, ...]
    turns: tuple[Turn, ...]


def conversation_of(messages: object, own: frozenset[str] = frozenset()) -> Conversation:
    """What these messages say. A part is the provider's own if its `type`, or where it has none one of its members, is
    among `own`. Raises `NotSaid`.
    """
    if not isinstance(messages, list) or not messages:
        raise NotSaid(("messages",), f"must be a list of messages, not {in_json(messages)}")
    system: list[Text] = []
    turns: list[Turn] = []
    tools: dict[str, str] = {}
    for number, message in enumerate(messages):
        place: Place = ("messages", number)
        role = _role(message, place)
        parts = list(_parts(message, role, place, own, tools))
        if not parts:
            raise NotSaid(place, "says nothing: its content is empty")
        if role in ("system", "developer"):
            if not all(isinstance(part, Text) for part in parts):
                raise NotSaid(place, f"is of the role {role!r}, which can only hold text")
            system += [part for part in parts if isinstance(part, Text)]
            continue
        side: Literal["user", "assistant"] = "assistant" if role == "assistant" else "user"
        if turns and turns[-1].role == side:
            turns[-1] = Turn(side, (*turns[-1].parts, *parts))
        else:
            turns.append(Turn(side, tuple(parts)))
    if not turns:
        raise NotSaid(("messages",), "hold no message of the user, and a system's alone asks nothing")
    return Conversation(tuple(system), tuple(turns))


def _role(message: object, place: Place) -> str:
    if not isinstance(message, Mapping):
        raise NotSaid(place, f"must be an object with role and content, not {in_json(message)}")
    role = message.get("role")
    if role not in _ROLES:
        known = did_you_mean(role if isinstance(role, str) else "", _ROLES, otherwise="there are")
        raise NotSaid((*place, "role"), f"must be the role of a message, not {in_json(role)}; {known}")
    return str(role)


def _parts(
    message: Mapping[str, Any], role: str, place: Place, own: frozenset[str], tools: dict[str, str]
) -> Iterator[Part]:
    content = message.get("content")
    if role == "tool":
        yield _result(message, place, tools)
        return
    if isinstance(content, str):
        if content:
            yield Text(content)
    elif isinstance(content, list):
        for number, part in enumerate(content):
            yield from _part(part, (*place, "content", number), own)
    elif content is not None:
        raise NotSaid((*place, "content"), f"must be a text or a list of parts, not {in_json(content)}")
    calls = message.get("tool_calls")
    if role == "assistant" and calls is not None:
        if not isinstance(calls, list):
            raise NotSaid((*place, "tool_calls"), f"must be a list, not {in_json(calls)}")
        for number, call in enumerate(calls):
            use = _use(call, (*place, "tool_calls", number))
            tools[use.id] = use.name
            yield use
    refusal = message.get("refusal")
    if role == "assistant" and isinstance(refusal, str) and refusal:
        yield Text(refusal)


def _part(part: object, place: Place, own: frozenset[str]) -> Iterator[Part]:
    if not isinstance(part, Mapping):
        raise NotSaid(place, f"must be an object with a type, not {in_json(part)}")
    kind = part.get("type")
    if kind == "text":
        text = _text(part.get("text"), (*place, "text"))
        if text:
            yield Text(text, part.get("cache_control"))
    elif kind == "refusal":
        yield Text(_text(part.get("refusal"), (*place, "refusal")))
    elif kind == "image_url":
        image = part.get("image_url")
        url = image.get("url") if isinstance(image, Mapping) else image
        yield _media(_text(url, (*place, "image_url", "url")), (*place, "image_url", "url"))
    elif kind == "file":
        yield _file(part.get("file"), (*place, "file"))
    elif kind == "input_audio":
        sound = part.get("input_audio")
        given = sound if isinstance(sound, Mapping) else {}
        form = _text(given.get("format"), (*place, "input_audio", "format"))
        yield Media(f"audio/{form}", _text(given.get("data"), (*place, "input_audio", "data")), place=place)
    elif kind in own if isinstance(kind, str) else kind is None and own.intersection(part):
        yield Own(part)
    else:
        hint = did_you_mean(kind if isinstance(kind, str) else "", _PARTS, otherwise="there are")
        raise NotSaid((*place, "type"), f"must be a part that can be sent, not {in_json(kind)}; {hint}")


def _text(value: object, place: Place) -> str:
    if not isinstance(value, str):
        raise NotSaid(place, f"must be a text, not {in_json(value)}")
    return value


def _file(file: object, place: Place) -> Media:
    given = file if isinstance(file, Mapping) else {}
    name = given.get("filename")
    name = name if isinstance(name, str) and name else None
    if isinstance(given.get("file_id"), str):
        return Media(guess_type(name or "")[0], file_id=given["file_id"], name=name, place=place)
    url = _text(given.get("file_data"), (*place, "file_data"))
    return attrs.evolve(_media(url, (*place, "file_data"), name), name=name)


def _media(url: str, place: Place, name: str | None = None) -> Media:
    if url[:5].lower() != "data:":
        if not url.lower().startswith(("http://", "https://", "gs://")):
            raise NotSaid(place, "must be a URL: data:MEDIA/TYPE;base64,… or https://…")
        return Media(guess_type(url.partition("?")[0].partition("#")[0])[0], url=url, place=place)
    head = _DATA_URL.match(url)
    if head is None:
        raise NotSaid(place, "is no whole data URL; it is written data:MEDIA/TYPE;base64,…")
    data = url[head.end() :]
    if not head[2].lower().endswith(_BASE64):
        data = b64encode(unquote_to_bytes(data)).decode("ascii")
    return Media(head[1].lower() or guess_type(name or "")[0] or "text/plain", data, place=place)


def _use(call: object, place: Place) -> ToolUse:
    given = call if isinstance(call, Mapping) else {}
    function = given.get("function")
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise NotSaid(place, "must be the call of a function, with its name and arguments")
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except (ValueError, RecursionError):
            raise NotSaid((*place, "function", "arguments"), "is no JSON") from None
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        raise NotSaid((*place, "function", "arguments"), "must be a JSON object")
    identity = given.get("id")
    google = given.get("extra_content")
    google = google.get("google") if isinstance(google, Mapping) else None
    signature = google.get("thought_signature") if isinstance(google, Mapping) else None
    return ToolUse(
        identity if isinstance(identity, str) else "",
        function["name"],
        arguments,
        signature if isinstance(signature, str) else None,
    )


def _result(message: Mapping[str, Any], place: Place, tools: Mapping[str, str]) -> ToolResult:
    identity = _text(message.get("tool_call_id"), (*place, "tool_call_id"))
    if identity not in tools:
        what = "names no call of a tool that a message of the assistant before it has"
        raise NotSaid((*place, "tool_call_id"), what)
    content = message.get("content")
    if isinstance(content, list):
        found = [
            part for number, each in enumerate(content) for part in _part(each, (*place, "content", number), _NONE)
        ]
        if not all(isinstance(part, Text) for part in found):
            raise NotSaid((*place, "content"), "must be text: it is what a tool answered")
        content = "".join(part.text for part in found if isinstance(part, Text))
    return ToolResult(identity, tools[identity], _text(content, (*place, "content")))


_NONE: Final = frozenset[str]()
