"""What the dialects say alike of a body in OpenAI's protocol: which of its keys have a place, its tools, its format.

The rule, for every dialect: what OpenAI's protocol has a name for is written by that name, and translated; what it has
no name for is the provider's own, and goes as it is, by the name that the provider gives it. All else is refused, with
what would be right. `body_keys` in the options of a provider are further keys of its own, for those that are newer than
the table here. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import attrs

from penstock import did_you_mean
from penstock_batch.providers.native.conversation import NotSaid, in_json

__all__ = ["Function", "Keys", "Speaking", "function_of", "listed", "mode_of", "schema_of", "stops", "whole"]

OURS: Final = frozenset({"model", "messages", "input", "stream", "n", "encoding_format"})
"""What a step sets by itself."""

_AS_ONE: Final = "write max_tokens or max_completion_tokens, and not both"


@attrs.frozen
class Keys:
    """The keys of a body that one dialect has a place for: those that are `translated`, those that are its `own`, and
    what is to be written `instead` of others that somebody may expect.
    """

    translated: frozenset[str]
    own: frozenset[str] = frozenset()
    instead: Mapping[str, str] = attrs.field(factory=dict)

    def problems(self, body: Mapping[str, Any], speaking: Speaking) -> Iterator[NotSaid]:
        """What has no place, key by key."""
        for key in body:
            if key in OURS or key in self.translated or key in self.own or key in speaking.more:
                continue
            known = {*self.translated, *self.own}
            right = self.instead.get(key) or did_you_mean(key, known, otherwise="there are")
            yield NotSaid(
                (key,), f"has no place in a call to {speaking.provider}, which speaks {speaking.name}; {right}"
            )
        if "max_tokens" in body and "max_completion_tokens" in body and "max_tokens" in self.translated:
            yield NotSaid(("max_completion_tokens",), _AS_ONE)


@attrs.frozen
class Speaking:
    """The dialect that is spoken, the provider's name, and `more` keys that its options name."""

    name: str
    provider: str
    more: Collection[str] = ()


@attrs.frozen
class Function:
    """A tool that is a function."""

    name: str
    description: str | None
    parameters: Mapping[str, Any] | None


def function_of(tool: object, number: int) -> Function | Mapping[str, Any]:
    """A tool of the list, or as it is where it is none of OpenAI's. Raises `NotSaid`."""
    place = ("tools", number)
    if not isinstance(tool, Mapping):
        raise NotSaid(place, f"must be an object, not {in_json(tool)}")
    if tool.get("type") != "function":
        return tool
    function = tool.get("function")
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise NotSaid((*place, "function"), "must be an object with a name, a description and parameters")
    parameters, description = function.get("parameters"), function.get("description")
    if parameters is not None and not isinstance(parameters, Mapping):
        raise NotSaid((*place, "function", "parameters"), "must be a JSON Schema, which is an object")
    return Function(function["name"], description if isinstance(description, str) else None, parameters)


def mode_of(choice: object) -> tuple[str, str | None]:
    """What a `tool_choice` says: `auto`, `none`, `required`, or `function` and its name. Raises `NotSaid`."""
    if choice in ("auto", "none", "required"):
        return str(choice), None
    if isinstance(choice, Mapping) and choice.get("type") == "function":
        function = choice.get("function")
        if isinstance(function, Mapping) and isinstance(function.get("name"), str):
            return "function", function["name"]
    what = 'must be "auto", "none", "required" or { type = "function", function = { name = "…" } }'
    raise NotSaid(("tool_choice",), f"{what}, not {in_json(choice)}")


def schema_of(wanted: object) -> Mapping[str, Any] | bool:
    """What a `response_format` asks for: the schema, whether it is JSON at all. Raises `NotSaid`."""
    kind = wanted.get("type") if isinstance(wanted, Mapping) else None
    if kind == "text":
        return False
    if kind == "json_object":
        return True
    if isinstance(wanted, Mapping) and kind == "json_schema":
        described = wanted.get("json_schema")
        schema = described.get("schema") if isinstance(described, Mapping) else None
        if isinstance(schema, Mapping):
            return dict(schema)
        raise NotSaid(("response_format", "json_schema", "schema"), "must be a JSON Schema, which is an object")
    raise NotSaid(("response_format",), 'must be an object with the type "text", "json_object" or "json_schema"')


def listed(value: object, key: str) -> list[Any]:
    """The value, which must be a list. Raises `NotSaid`."""
    if not isinstance(value, list):
        raise NotSaid((key,), f"must be a list, not {in_json(value)}")
    return value


def whole(body: Mapping[str, Any]) -> int | None:
    """The most tokens that the answer may have, if the body says. Raises `NotSaid`."""
    for key in ("max_completion_tokens", "max_tokens"):
        most = body.get(key)
        if most is None:
            continue
        if not isinstance(most, int) or isinstance(most, bool) or most < 1:
            raise NotSaid((key,), f"must be a number of tokens, from 1 on, not {in_json(most)}")
        return most
    return None


def stops(body: Mapping[str, Any]) -> list[str] | None:
    """The texts at which the answer is to stop. Raises `NotSaid`."""
    stop = body.get("stop")
    if stop is None:
        return None
    found = [stop] if isinstance(stop, str) else stop
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise NotSaid(("stop",), f"must be a text or a list of texts, not {in_json(stop)}")
    return found
