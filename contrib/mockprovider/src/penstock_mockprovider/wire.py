"""OpenAI's wire format: requests in, checked; answers, chunks and errors out. No I/O and no clock.

Source: the API reference at platform.openai.com/docs/api-reference. What a mock cannot honour (more than
one choice, tools, token arrays as input) is either refused with a clear error, or, where an answer is none
the worse, ignored. Ids come from the request and `created` is 0: the same call gets the same bytes.
"""

from __future__ import annotations

import json
import re
import struct
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from attrs import frozen

from penstock_mockprovider.answers import chat_answer, count_tokens, cut_to_tokens, embedding
from penstock_mockprovider.config import MAX_DIMENSIONS
from penstock_mockprovider.json_answers import Spoiled, json_answer, spoiled, wanted_schema

__all__ = ["FINGERPRINT", "ApiError", "ChatCall", "EmbeddingCall", "body_of", "model_listing", "model_of"]

FINGERPRINT = "penstock-mock"
_WORDS = re.compile(r"\S+\s*|\s+")
_MOST_INPUTS = 2048  # OpenAI's own limit


class ApiError(Exception):
    """A call that is answered with an error, in OpenAI's shape."""

    def __init__(self, status: int, message: str, *, code: str, kind: str = "", param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind or ("server_error" if status >= 500 else "invalid_request_error")
        self.code = code
        self.param = param

    def body(self) -> dict[str, Any]:
        return {
            "error": {"message": str(self), "type": self.kind, "param": self.param, "code": self.code},
            "system_fingerprint": FINGERPRINT,
        }


def _wrong(param: str, wanted: str) -> ApiError:
    return ApiError(400, f"'{param}' must be {wanted}.", code="invalid_value", param=param)


def body_of(raw: bytes) -> dict[str, Any]:
    """The JSON object of a request. Raises `ApiError`."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise ApiError(400, "The body of the request is not valid JSON.", code="invalid_json") from None
    if not isinstance(body, dict):
        raise ApiError(400, "The body of the request must be a JSON object.", code="invalid_json")
    return body


def _needed(body: Mapping[str, Any], name: str) -> Any:
    if body.get(name) is None:
        message = f"Missing required parameter: '{name}'."
        raise ApiError(400, message, code="missing_required_parameter", param=name)
    return body[name]


def model_of(body: Mapping[str, Any]) -> str:
    """The model that is asked for. Raises `ApiError`."""
    model = _needed(body, "model")
    if not isinstance(model, str):
        raise _wrong("model", "a string")
    return model


def _whole(body: Mapping[str, Any], name: str, least: int, most: int) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise _wrong(name, f"a whole number from {least} to {most}")
    return value


def _text_of(content: object, where: str) -> str:
    """The text of a message: a string, or parts of which the text ones count."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        texts = [part.get("text") for part in content if part.get("type") == "text"]
        if all(isinstance(text, str) for text in texts):
            return "\n".join(str(text) for text in texts)
    raise _wrong(where, "a string or a list of parts")


@frozen
class ChatCall:
    """A chat completion, with the answer that it will get."""

    id: str
    model: str
    answer: str
    finish_reason: str
    stream: bool
    include_usage: bool
    prompt_tokens: int
    completion_tokens: int

    @classmethod
    def parse(cls, body: Mapping[str, Any], spoiled_how: Callable[[], Spoiled | None] = lambda: None) -> ChatCall:
        """The call that a request's body asks for; `spoiled_how` is asked where it wants JSON. Raises `ApiError` for
        what is missing or wrong.
        """
        model = model_of(body)
        messages = _needed(body, "messages")
        if not isinstance(messages, list) or not messages:
            raise _wrong("messages", "a list of at least one message")
        texts: dict[str, list[str]] = {}
        for i, message in enumerate(messages):
            if not isinstance(message, dict) or not isinstance(message.get("role"), str):
                raise _wrong(f"messages[{i}]", "an object with a role")
            text = _text_of(message.get("content"), f"messages[{i}].content")
            texts.setdefault(message["role"], []).append(text)
        stream = body.get("stream") or False
        if not isinstance(stream, bool):
            raise _wrong("stream", "true or false")
        options = body.get("stream_options") or {}
        if not isinstance(options, dict):
            raise _wrong("stream_options", "an object")
        if options and not stream:
            raise _wrong("stream_options", "left out when 'stream' is not true")
        _whole(body, "n", 1, 1)
        most = _whole(body, "max_completion_tokens", 1, 10**9) or _whole(body, "max_tokens", 1, 10**9)
        said = [text for role in texts.values() for text in role]
        asked = texts.get("user", said)
        schema = wanted_schema(body.get("response_format"))
        if schema is None:
            whole = chat_answer("\n".join(texts.get("system", []) + texts.get("developer", [])), asked[-1])
        else:  # whatever is said of earlier answers, the first message has what it is about
            whole = _json_text(json_answer(schema, asked[0]), spoiled_how())
        answer = whole if most is None else cut_to_tokens(whole, most)
        return cls(
            id=_id("chatcmpl", body),
            model=model,
            answer=answer,
            finish_reason="stop" if answer == whole else "length",
            stream=stream,
            include_usage=options.get("include_usage") is True,
            prompt_tokens=sum(count_tokens(text) for text in said),
            completion_tokens=count_tokens(answer),
        )

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def _usage(self) -> dict[str, int]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.tokens,
        }

    def body(self) -> dict[str, Any]:
        """The whole answer."""
        message = {"role": "assistant", "content": self.answer, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.finish_reason}
        return {**self._head("chat.completion"), "choices": [choice], "usage": self._usage()}

    def chunks(self) -> Iterator[dict[str, Any]]:
        """The answer word by word, then the reason why it ended, then the usage if it was asked for."""
        first = {"role": "assistant", "content": ""}
        words = _WORDS.findall(self.answer)
        for delta in [first, *({"content": word} for word in words)]:
            yield self._chunk([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}])
        yield self._chunk([{"index": 0, "delta": {}, "logprobs": None, "finish_reason": self.finish_reason}])
        if self.include_usage:
            yield {**self._chunk([]), "usage": self._usage()}

    def _chunk(self, choices: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        chunk = {**self._head("chat.completion.chunk"), "choices": list(choices)}
        return {**chunk, "usage": None} if self.include_usage else chunk

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": 0,
            "model": self.model,
            "system_fingerprint": FINGERPRINT,
        }


@frozen
class EmbeddingCall:
    """An embedding call."""

    model: str
    texts: tuple[str, ...]
    dimensions: int
    base64: bool
    tokens: int

    @classmethod
    def parse(cls, body: Mapping[str, Any], default_dimensions: int) -> EmbeddingCall:
        """The call that a request's body asks for. Raises `ApiError` for what is missing or wrong."""
        model = model_of(body)
        given = _needed(body, "input")
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise _wrong("input", "a string or a list of strings")
        if not 1 <= len(texts) <= _MOST_INPUTS or not all(texts):
            raise _wrong("input", f"one to {_MOST_INPUTS} strings, none of them empty")
        encoding = body.get("encoding_format") or "float"
        if encoding not in ("float", "base64"):
            raise _wrong("encoding_format", "'float' or 'base64'")
        return cls(
            model=model,
            texts=tuple(texts),
            dimensions=_whole(body, "dimensions", 1, MAX_DIMENSIONS) or default_dimensions,
            base64=encoding == "base64",
            tokens=sum(count_tokens(text) for text in texts),
        )

    def body(self) -> dict[str, Any]:
        """The whole answer."""
        data = []
        for i, text in enumerate(self.texts):
            vector: list[float] | str = embedding(text, self.dimensions)
            if self.base64:
                vector = b64encode(struct.pack(f"<{self.dimensions}f", *vector)).decode()
            data.append({"object": "embedding", "index": i, "embedding": vector})
        return {
            "object": "list",
            "data": data,
            "model": self.model,
            "usage": {"prompt_tokens": self.tokens, "total_tokens": self.tokens},
            "system_fingerprint": FINGERPRINT,
        }


def _json_text(value: Any, how: Spoiled | None) -> str:
    return json.dumps(value, ensure_ascii=False) if how is None else spoiled(value, how)


def model_listing(names: Sequence[str]) -> dict[str, Any]:
    """The answer to `GET /v1/models`."""
    data = [{"id": name, "object": "model", "created": 0, "owned_by": FINGERPRINT} for name in names]
    return {"object": "list", "data": data, "system_fingerprint": FINGERPRINT}


def _id(prefix: str, body: Mapping[str, Any]) -> str:
    exact = json.dumps(body, sort_keys=True).encode()
    return f"{prefix}-mock-{blake2b(exact, digest_size=10).hexdigest()}"
