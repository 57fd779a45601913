"""Anthropic's Messages, made of a chat in OpenAI's protocol. Pure.

Source: the API reference at platform.claude.com, the types of anthropic-sdk-python (August 2026).
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NoBase64
from collections.abc import Mapping
from typing import Any, Final

from penstock_batch.providers.native.bodies import (
    Function,
    Keys,
    Speaking,
    function_of,
    listed,
    mode_of,
    schema_of,
    stops,
    whole,
)
from penstock_batch.providers.native.conversation import (
    Media,
    NotSaid,
    Own,
    Part,
    Text,
    ToolUse,
    conversation_of,
)

__all__ = ["KEYS", "MAX_TOKENS", "messages_body"]

MAX_TOKENS: Final = 4096
"""The most tokens of an answer where nothing says how many: Anthropic wants to be told."""

_SCHEMA: Final = "write schema of the step"
_NEVER: Final = "Anthropic has nothing like it: leave it out"

KEYS: Final = Keys(
    translated=frozenset(
        {
            *("max_tokens", "max_completion_tokens", "temperature", "top_p", "stop", "tools", "tool_choice"),
            *("parallel_tool_calls", "user", "response_format"),
        }
    ),
    own=frozenset(
        {
            *("thinking", "top_k", "output_config", "service_tier", "container", "mcp_servers"),
            *("context_management", "cache_control", "inference_geo"),
        }
    ),
    instead={
        "system": "write system of the step, or a message of that role",
        "stop_sequences": "write stop, as for every provider",
        "metadata": "write user, which goes as metadata.user_id",
        "safety_identifier": "write user, which goes as metadata.user_id",
        "output_format": f'{_SCHEMA}, or output_config = {{ format = {{ type = "json_schema", … }} }}',
        "reasoning_effort": 'write output_config = { effort = "low" }, or thinking',
        "verbosity": 'write output_config = { effort = "low" }',
        "web_search_options": "write its web search among tools, in Anthropic's words",
        **dict.fromkeys(("frequency_penalty", "presence_penalty", "logit_bias", "seed"), _NEVER),
        **dict.fromkeys(("logprobs", "top_logprobs", "modalities", "audio", "prediction"), _NEVER),
        **dict.fromkeys(("store", "stream_options", "prompt_cache_retention"), _NEVER),
        "prompt_cache_key": "write cache_control",
        "functions": "write tools",
        "function_call": "write tool_choice",
    },
)

_OWN_PARTS: Final = frozenset({"image", "document", "search_result", "thinking", "redacted_thinking"})
_CHOICES: Final = {"auto": "auto", "none": "none", "required": "any", "function": "tool"}
_EMPTY: Final[Mapping[str, Any]] = {"type": "object", "properties": {}}


def messages_body(body: Mapping[str, Any], speaking: Speaking) -> dict[str, Any]:
    """The body of a call of Messages. Raises `NotSaid`."""
    for problem in KEYS.problems(body, speaking):
        raise problem
    said = conversation_of(body.get("messages"), _OWN_PARTS)
    turns = [{"role": turn.role, "content": [_block(part) for part in turn.parts]} for turn in said.turns]
    made: dict[str, Any] = {"model": body["model"], "max_tokens": whole(body) or MAX_TOKENS, "messages": turns}
    if any(text.cache_control is not None for text in said.system):
        made["system"] = [_block(text) for text in said.system]
    elif said.system:
        made["system"] = "\n\n".join(text.text for text in said.system)
    made |= {key: body[key] for key in body if key in KEYS.own or key in speaking.more}
    made |= {key: body[key] for key in ("temperature", "top_p") if body.get(key) is not None}
    if (found := stops(body)) is not None:
        made["stop_sequences"] = found
    if body.get("user") is not None:
        made["metadata"] = {"user_id": body["user"]}
    if body.get("tools") is not None:
        made["tools"] = [_tool(function_of(each, number)) for number, each in enumerate(listed(body["tools"], "tools"))]
    if (choice := _choice(body)) is not None:
        made["tool_choice"] = choice
    if body.get("response_format") is not None:
        made |= _format(body)
    return made


def _format(body: Mapping[str, Any]) -> dict[str, Any]:
    schema = schema_of(body["response_format"])
    if schema is False:
        return {}
    config = body.get("output_config", {})
    if schema is True:
        what = f'is "json_object", and Anthropic knows a schema alone; {_SCHEMA}, or the type "json_schema"'
        raise NotSaid(("response_format",), what)
    if not isinstance(config, Mapping) or "format" in config:
        raise NotSaid(("response_format",), "says the same as output_config.format; write one of them")
    return {"output_config": {**config, "format": {"type": "json_schema", "schema": schema}}}


def _choice(body: Mapping[str, Any]) -> dict[str, Any] | None:
    choice = body.get("tool_choice")
    alone = body.get("parallel_tool_calls") is False
    if choice is None and not (alone and body.get("tools")):
        return None
    mode, name = mode_of("auto" if choice is None else choice)
    made: dict[str, Any] = {"type": _CHOICES[mode]}
    if name is not None:
        made["name"] = name
    return {**made, "disable_parallel_tool_use": True} if alone and mode != "none" else made


def _tool(tool: Function | Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(tool, Function):
        return tool
    described = {} if tool.description is None else {"description": tool.description}
    return {"name": tool.name, **described, "input_schema": tool.parameters or _EMPTY}


def _block(part: Part) -> Mapping[str, Any]:
    if isinstance(part, Own):
        return part.part
    if isinstance(part, Text):
        marked = {} if part.cache_control is None else {"cache_control": part.cache_control}
        return {"type": "text", "text": part.text, **marked}
    if isinstance(part, Media):
        return _media(part)
    if isinstance(part, ToolUse):
        return {"type": "tool_use", "id": part.id, "name": part.name, "input": part.arguments}
    return {"type": "tool_result", "tool_use_id": part.id, "content": part.text}


def _media(media: Media) -> Mapping[str, Any]:
    kind = media.media_type or ""
    if kind.startswith(("audio/", "video/")):
        raise NotSaid(media.place, f"is {kind}, and Anthropic takes images, PDF and text")
    if media.url is not None:
        return {
            "type": "document" if kind == "application/pdf" else "image",
            "source": {"type": "url", "url": media.url},
        }
    if media.file_id is not None:
        return {"type": "image" if kind.startswith("image/") else "document", **_named(media), "source": _kept(media)}
    if kind.startswith("image/"):
        return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": media.data}}
    if kind == "application/pdf":
        return {
            "type": "document",
            **_named(media),
            "source": {"type": "base64", "media_type": kind, "data": media.data},
        }
    if kind.startswith("text/"):
        try:
            text = b64decode(media.data or "", validate=True).decode()
        except (NoBase64, UnicodeDecodeError):
            raise NotSaid(media.place, "is no text in UTF-8 and base64") from None
        return {
            "type": "document",
            **_named(media),
            "source": {"type": "text", "media_type": "text/plain", "data": text},
        }
    raise NotSaid(media.place, f"is {kind or 'of no known type'}, and Anthropic takes images, PDF and text")


def _named(media: Media) -> dict[str, str]:
    return {} if media.name is None else {"title": media.name}


def _kept(media: Media) -> dict[str, Any]:
    return {"type": "file", "file_id": media.file_id}
