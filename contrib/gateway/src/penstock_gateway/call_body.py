"""The body of a call: what it says to a gateway, and the same bytes with another model in them.

The value of a member is found by a JSON decoder that keeps it as it stands, so the members of a body are walked in a
step each, however much they hold, and nothing large is copied or built: all others wait meanwhile. A body in which a
member stands twice at the top is refused: which of the two counts is decided by whoever reads it next, and one `model`
might be allowed and the other not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from penstock import MOST_TOKENS
from penstock_gateway.body_member import Member
from penstock_gateway.refusal import Refusal
from penstock_gateway.routes import Route

__all__ = ["BYTES_PER_TOKEN", "CallBody", "members_of"]

_values_of: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode: Final = msgspec.json.Decoder().decode
_SPACE: Final = rb"[ \t\n\r]*+"
_BEGIN: Final = re.compile(_SPACE + rb"\{" + _SPACE)
_NAME: Final = re.compile(_SPACE + rb"[{,]" + _SPACE + rb'("[^"\\]*+(?:\\.[^"\\]*+)*+")' + _SPACE + rb":" + _SPACE)
_END: Final = re.compile(_SPACE + rb"(?:\{" + _SPACE + rb")?\}" + _SPACE)

MOST_MEMBERS: Final = 1000
"""At the top of a body. Each is looked at here, while all others wait: of millions that would be for many seconds."""
LARGEST_READ: Final = 64 * 1024
"""Bytes of a member that is read here, for the same reason."""
BYTES_PER_TOKEN: Final = 4
"""Rough, and right enough: the usage of the answer corrects it."""


def members_of(body: bytes) -> Mapping[str, Member]:
    """The members at the top of a JSON object. Raises `ValueError` with what is wrong with it, in words.

    >>> {name: bytes(member.value) for name, member in members_of(b'{"model": "m", "n": [1, 2]}').items()}
    {'model': b'"m"', 'n': b'[1, 2]'}
    """
    try:
        if not body.isascii():
            body.decode()  # the decoder passes over the values without looking into them
        found = _values_of(body)
    except msgspec.ValidationError:
        raise ValueError("the body must be a JSON object") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"the body is no JSON: {error}") from None
    except RecursionError:
        raise ValueError("the body is nested too deeply") from None
    if len(found) > MOST_MEMBERS:
        raise ValueError(f"the body has more than {MOST_MEMBERS} members")
    values = {name: memoryview(value) for name, value in found.items()}
    members, end = _without_space(values)
    # No shorter body has these members. So one of this length has no more, none twice, and each where it is said.
    return members if end == len(body) else _looked_for(values, body)


def _without_space(values: dict[str, memoryview]) -> tuple[dict[str, Member], int]:
    """The members of an object where there is nothing between them, and names are written as they are; and where it
    ends.
    """
    members: dict[str, Member] = {}
    end = 1
    for name, value in values.items():
        start = end + len(name) + 3
        end = start + len(value) + 1
        members[name] = Member(value, start, end - 1)
    return members, end


def _looked_for(values: dict[str, memoryview], body: bytes) -> dict[str, Member]:
    members: dict[str, Member] = {}
    name, at = "", 0
    while (found := _NAME.match(body, at)) is not None:
        name = msgspec.json.decode(found[1])
        value, start = values[name], found.end()
        at = start + len(value)
        if name in members or not body.startswith(value, start):
            raise ValueError(f"the body has the member {name[:64]!r} twice")
        members[name] = Member(value, start, at)
    if not _END.fullmatch(body, at):  # the value that was found is the beginning of another one
        raise ValueError(f"the body has the member {name[:64]!r} twice")
    return members


class CallBody:
    """What a gateway reads of a call. `hides_usage`: the usage of its stream has to be asked for by the gateway, and
    the client has not asked for it.
    """

    __slots__ = ("hides_usage", "members", "model", "output_tokens", "raw", "stream")

    def __init__(
        self,
        raw: bytes,
        members: Mapping[str, Member],
        model: str,
        *,
        stream: bool,
        output_tokens: int,
        hides_usage: bool,
    ) -> None:
        self.raw = raw
        self.members = members
        self.model = model
        self.stream = stream
        self.output_tokens = output_tokens
        self.hides_usage = hides_usage

    @staticmethod
    def read(raw: bytes, route: Route) -> CallBody:
        """The call in a body. Raises `Refusal`, of status 400."""
        try:
            members = members_of(raw)
        except ValueError as error:
            raise Refusal(400, "invalid_body", str(error)) from None
        model = _value(members, "model")
        if not isinstance(model, str) or not model:
            raise Refusal(400, "model_missing", "model must name a model, as a text")
        stream = _value(members, "stream") if "stream" in members else None
        if stream is not None and not isinstance(stream, bool):
            raise Refusal(400, "invalid_body", "stream must be true or false")
        hides_usage = False
        if stream and route.usage_on_request:
            options = _value(members, "stream_options")
            if options is not None and not isinstance(options, dict):
                raise Refusal(400, "invalid_body", "stream_options must be an object")
            hides_usage = options is None or options.get("include_usage") is not True
            if options is not None:
                _check_once(bytes(members["stream_options"].value))
        output = 0
        for name in route.output:
            if not output and name in members:
                output = _count(_value(members, name))
        return CallBody(raw, members, model, stream=bool(stream), output_tokens=output, hides_usage=hides_usage)

    @property
    def input_tokens(self) -> int:
        """An estimate, by the length of the body."""
        return min(len(self.raw) // BYTES_PER_TOKEN, MOST_TOKENS)

    def rewritten(self, model: str, *, ask_usage: bool) -> bytes:
        """The body for a provider's `model`; every other byte is as it came, but that with `ask_usage` the usage of a
        stream is asked for.
        """
        if not ask_usage and model == self.model:
            return self.raw
        member = self.members["model"]
        changes = []
        if model != self.model:
            changes.append((member.start, member.end, msgspec.json.encode(model)))
        if ask_usage:
            options = self.members.get("stream_options")
            if options is None or bytes(options.value) == b"null":
                wanted = b'{"include_usage":true}'
                if options is None:
                    changes.append((member.end, member.end, b',"stream_options":' + wanted))
                else:
                    changes.append((options.start, options.end, wanted))
            else:
                changes.append((options.start, options.end, _with_usage(bytes(options.value))))
        body, parts, at = memoryview(self.raw), list[bytes | memoryview](), 0
        for start, end, value in sorted(changes):
            parts += body[at:start], value
            at = end
        return b"".join([*parts, body[at:]])


def _check_once(options: bytes) -> None:
    try:
        members_of(options)
    except ValueError as error:
        raise Refusal(400, "invalid_body", f"stream_options: {error}") from None


def _with_usage(options: bytes) -> bytes:
    inner = members_of(options)
    asked = inner.get("include_usage")
    if asked is not None:
        return options[: asked.start] + b"true" + options[asked.end :]
    begin = _BEGIN.match(options)
    assert begin is not None
    return options[: begin.end()] + b'"include_usage":true' + (b"," if inner else b"") + options[begin.end() :]


def _value(members: Mapping[str, Member], name: str) -> Any:
    member = members.get(name)
    if member is None:
        return None
    if len(member.value) > LARGEST_READ:
        raise Refusal(400, "invalid_body", f"the member {name!r} must not have more than {LARGEST_READ} bytes")
    try:
        return _decode(member.value)
    except (msgspec.DecodeError, RecursionError):
        raise Refusal(400, "invalid_body", f"the member {name!r} cannot be read") from None


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST_TOKENS else 0
