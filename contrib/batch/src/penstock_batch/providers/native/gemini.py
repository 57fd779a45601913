"""Gemini's calls, made of a chat or an embedding in OpenAI's protocol. Pure.

Source: the API reference at ai.google.dev/api, the types of python-genai (August 2026).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

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
    in_json,
)

__all__ = ["EMBEDDING_KEYS", "chat_problems", "content_body", "embedding_body", "resource_of"]

_NEVER: Final = "Gemini has nothing like it: leave it out"
_AS_IS: Final = {
    "temperature": "temperature",
    "top_p": "topP",
    "seed": "seed",
    "frequency_penalty": "frequencyPenalty",
    "presence_penalty": "presencePenalty",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
}
"""Of `generationConfig`: as OpenAI calls it, and as Gemini does."""

_WRITTEN: Final = {"maxOutputTokens": "max_tokens", "stopSequences": "stop"} | {own: key for key, own in _AS_IS.items()}

CHAT_KEYS: Final = Keys(
    translated=frozenset(
        {*_AS_IS, "max_tokens", "max_completion_tokens", "stop", "tools", "tool_choice", "response_format"}
    ),
    own=frozenset(
        {"generationConfig", "safetySettings", "toolConfig", "cachedContent", "labels", "serviceTier", "store"}
    ),
    instead={
        "contents": "write prompt of the step, or messages",
        "systemInstruction": "write system of the step, or a message of that role",
        "reasoning_effort": 'write generationConfig = { thinkingConfig = { thinkingLevel = "low" } }',
        "parallel_tool_calls": "Gemini decides by itself: leave it out",
        "service_tier": "write serviceTier",
        "metadata": "write labels",
        "modalities": 'write generationConfig = { responseModalities = ["TEXT"] }',
        "audio": "write generationConfig = { speechConfig = { … } }",
        "web_search_options": "write its search among tools, in Gemini's words: { googleSearch = {} }",
        **dict.fromkeys(("user", "safety_identifier", "logit_bias", "prediction", "verbosity"), _NEVER),
        **dict.fromkeys(("stream_options", "prompt_cache_key", "prompt_cache_retention"), _NEVER),
        "functions": "write tools",
        "function_call": "write tool_choice",
    },
)

EMBEDDING_KEYS: Final = Keys(
    translated=frozenset({"dimensions"}),
    own=frozenset({"taskType", "title"}),
    instead={"outputDimensionality": "write dimensions, as for every provider", "user": _NEVER},
)

_OWN_PARTS: Final = frozenset({"inlineData", "fileData", "functionCall", "functionResponse", "executableCode"})
_MODES: Final = {"auto": "AUTO", "none": "NONE", "required": "ANY", "function": "ANY"}
_FORMATS: Final = ("responseSchema", "responseJsonSchema", "responseMimeType")


def resource_of(model_id: str) -> str:
    """The name of a model in a path.

    >>> resource_of("gemini-2.5-flash"), resource_of("tunedModels/mine")
    ('models/gemini-2.5-flash', 'tunedModels/mine')
    """
    named = model_id if model_id.startswith(("models/", "tunedModels/")) else f"models/{model_id}"
    return quote(named, safe="/")


def content_body(body: Mapping[str, Any], speaking: Speaking) -> dict[str, Any]:
    """The body of a call that generates content. Raises `NotSaid`."""
    for problem in chat_problems(body, speaking):
        raise problem
    said = conversation_of(body.get("messages"), _OWN_PARTS)
    made: dict[str, Any] = {
        "contents": [
            {"role": "model" if turn.role == "assistant" else "user", "parts": [_part(part) for part in turn.parts]}
            for turn in said.turns
        ]
    }
    if said.system:
        made["systemInstruction"] = {"parts": [{"text": text.text} for text in said.system]}
    made |= {key: body[key] for key in body if key in CHAT_KEYS.own or key in speaking.more}
    if body.get("tools") is not None:
        made["tools"] = _tools(listed(body["tools"], "tools"))
    if body.get("tool_choice") is not None:
        made["toolConfig"] = _tool_config(body)
    if config := _config(body):
        made["generationConfig"] = config
    return made


def chat_problems(body: Mapping[str, Any], speaking: Speaking) -> Iterator[NotSaid]:
    """The keys that have no place, and those of `generationConfig` for which OpenAI's protocol has a name."""
    yield from CHAT_KEYS.problems(body, speaking)
    config = body.get("generationConfig", {})
    if not isinstance(config, Mapping):
        yield NotSaid(("generationConfig",), f"must be a table, not {in_json(config)}")
        return
    for key, written in _WRITTEN.items():
        if key in config:
            yield NotSaid(("generationConfig", key), f"is written {written} here, as for every provider")
    if "candidateCount" in config:
        yield NotSaid(("generationConfig", "candidateCount"), "is set by the step itself; write samples of the step")


def _config(body: Mapping[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = dict(body.get("generationConfig", {}))
    config |= {own: body[key] for key, own in _AS_IS.items() if body.get(key) is not None}
    if (most := whole(body)) is not None:
        config["maxOutputTokens"] = most
    if (found := stops(body)) is not None:
        config["stopSequences"] = found
    if body.get("response_format") is not None and (schema := schema_of(body["response_format"])) is not False:
        if any(key in config for key in _FORMATS):
            raise NotSaid(("response_format",), f"says the same as one of generationConfig's {', '.join(_FORMATS)}")
        config["responseMimeType"] = "application/json"
        if schema is not True:
            config["responseJsonSchema"] = schema
    return config


def _tools(tools: list[Any]) -> list[Mapping[str, Any]]:
    found = [function_of(tool, number) for number, tool in enumerate(tools)]
    functions = [_declared(tool) for tool in found if isinstance(tool, Function)]
    own = [tool for tool in found if not isinstance(tool, Function)]
    return [{"functionDeclarations": functions}, *own] if functions else own


def _declared(function: Function) -> dict[str, Any]:
    made: dict[str, Any] = {"name": function.name}
    if function.description is not None:
        made["description"] = function.description
    if function.parameters is not None:
        made["parametersJsonSchema"] = function.parameters
    return made


def _tool_config(body: Mapping[str, Any]) -> dict[str, Any]:
    mode, name = mode_of(body["tool_choice"])
    config = body.get("toolConfig", {})
    if not isinstance(config, Mapping) or "functionCallingConfig" in config:
        raise NotSaid(("tool_choice",), "says the same as toolConfig.functionCallingConfig; write one of them")
    calling: dict[str, Any] = {"mode": _MODES[mode]}
    if name is not None:
        calling["allowedFunctionNames"] = [name]
    return {**config, "functionCallingConfig": calling}


def _part(part: Part) -> Mapping[str, Any]:
    if isinstance(part, Own):
        return part.part
    if isinstance(part, Text):
        return {"text": part.text}
    if isinstance(part, Media):
        return _media(part)
    named = {"id": part.id} if part.id else {}
    if isinstance(part, ToolUse):
        signed = {} if part.signature is None else {"thoughtSignature": part.signature}
        return {"functionCall": {**named, "name": part.name, "args": part.arguments}, **signed}
    return {"functionResponse": {**named, "name": part.name, "response": _object(part.text)}}


def _object(text: str) -> dict[str, Any]:
    """What a tool answered, as the object that Gemini wants."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    return value if isinstance(value, dict) else {"result": value}


def _media(media: Media) -> Mapping[str, Any]:
    if media.data is not None:
        return {"inlineData": {"mimeType": media.media_type, "data": media.data}}
    typed = {} if media.media_type is None else {"mimeType": media.media_type}
    return {"fileData": {**typed, "fileUri": media.url or media.file_id}}


def embedding_body(body: Mapping[str, Any], speaking: Speaking) -> dict[str, Any]:
    """The body of a call that embeds a text, or several where the input is a list. Raises `NotSaid`."""
    for problem in EMBEDDING_KEYS.problems(body, speaking):
        raise problem
    texts = body.get("input")
    own = {key: body[key] for key in body if key in EMBEDDING_KEYS.own or key in speaking.more}
    if body.get("dimensions") is not None:
        own["outputDimensionality"] = body["dimensions"]
    if isinstance(texts, str):
        return {"content": {"parts": [{"text": texts}]}, **own}
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise NotSaid(("input",), f"must be a text or a list of texts, not {in_json(texts)}")
    model = resource_of(body["model"])
    return {"requests": [{"model": model, "content": {"parts": [{"text": text}]}, **own} for text in texts]}
