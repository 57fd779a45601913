"""How each kind of provider is called: where, with which headers, at which path, with which body. Pure.

- `openai` and `mock`: `chat/completions` and `embeddings` behind the base URL; answers in the dialect of the host.
- `anthropic`: `v1/messages`, and no embeddings.
- `gemini`: `v1beta/models/MODEL:generateContent`, and for embeddings `:embedContent` or `:batchEmbedContents`.

Within the runner a call is a body of OpenAI's protocol; it is put into the provider's own words just before it goes
out. So what judges, repairs, counts and shows calls knows one protocol, and a call has a key before it is translated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

from penstock import Problem
from penstock_batch.providers.native import anthropic, gemini
from penstock_batch.providers.native.bodies import Speaking
from penstock_batch.providers.native.conversation import NotSaid

__all__ = ["KINDS", "PROTOCOLS", "Protocol", "Sent", "param_problems", "protocol_of", "with_defaults"]

_ANYTHING: Final = {"model": "m", "messages": [{"role": "user", "content": "?"}], "input": "?"}


@attrs.frozen
class Sent:
    """A call as it goes out: its path behind the base URL, and its body."""

    path: str
    body: Mapping[str, Any]


@attrs.frozen
class Protocol:
    """How a kind of provider is called. `make` is a call of each kind (`chat`, `embedding`) that it has; `url` is its
    base URL where a provider says none, `dialect` that of its answers where it is not the host's.
    """

    kind: str
    make: Mapping[str, Callable[[Mapping[str, Any], Speaking], Sent]]
    url: str | None = None
    version: str = ""
    """What the path of each call begins with."""
    key_header: str = "authorization"
    headers: Mapping[str, str] = MappingProxyType({})
    dialect: str | None = None
    problems: Mapping[str, Callable[[Mapping[str, Any], Speaking], Iterator[NotSaid]]] = MappingProxyType({})
    """What has no place in a body, for each kind of call."""
    defaults: Mapping[str, Any] = MappingProxyType({})
    """Parameters of a chat that says nothing of them."""


def _openai(path: str) -> Callable[[Mapping[str, Any], Speaking], Sent]:
    return lambda body, _: Sent(path, body)


def _messages(body: Mapping[str, Any], speaking: Speaking) -> Sent:
    return Sent("v1/messages", anthropic.messages_body(body, speaking))


def _content(body: Mapping[str, Any], speaking: Speaking) -> Sent:
    return Sent(f"v1beta/{gemini.resource_of(body['model'])}:generateContent", gemini.content_body(body, speaking))


def _embedding(body: Mapping[str, Any], speaking: Speaking) -> Sent:
    method = "embedContent" if isinstance(body.get("input"), str) else "batchEmbedContents"
    return Sent(f"v1beta/{gemini.resource_of(body['model'])}:{method}", gemini.embedding_body(body, speaking))


_OPENAI_CALLS: Final = {"chat": _openai("chat/completions"), "embedding": _openai("embeddings")}

PROTOCOLS: Final[Mapping[str, Protocol]] = {
    protocol.kind: protocol
    for protocol in (
        Protocol("openai", _OPENAI_CALLS),
        Protocol(
            "anthropic",
            {"chat": _messages},
            url="https://api.anthropic.com",
            version="v1",
            key_header="x-api-key",
            headers={"anthropic-version": "2023-06-01"},
            dialect="anthropic",
            problems={"chat": anthropic.KEYS.problems},
            defaults={"max_tokens": anthropic.MAX_TOKENS},
        ),
        Protocol(
            "gemini",
            {"chat": _content, "embedding": _embedding},
            url="https://generativelanguage.googleapis.com",
            version="v1beta",
            key_header="x-goog-api-key",
            dialect="gemini",
            problems={"chat": gemini.chat_problems, "embedding": gemini.EMBEDDING_KEYS.problems},
        ),
        Protocol("mock", _OPENAI_CALLS),
    )
}
"""By the kind of provider."""

KINDS: Final = tuple(PROTOCOLS)


def protocol_of(kind: str) -> Protocol:
    """The protocol of a kind of provider; that of an unknown one, which is a problem already, is OpenAI's."""
    return PROTOCOLS.get(kind, PROTOCOLS["openai"])


def with_defaults(dialect: str, kind: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a call, with those that its dialect must be told: for Anthropic `max_tokens`.

    >>> with_defaults("anthropic", "chat", {"temperature": 0})
    {'max_tokens': 4096, 'temperature': 0}
    """
    if kind != "chat" or params.keys() & {"max_tokens", "max_completion_tokens"}:
        return dict(params)
    return {**protocol_of(dialect).defaults, **params}


def param_problems(kind: str, params: Mapping[str, Any], speaking: Speaking) -> Iterator[Problem]:
    """What of a step's `params` cannot be said to its provider, before anything is called."""
    protocol = protocol_of(speaking.name)
    make = protocol.make.get(kind)
    if make is None:
        others = " or ".join(each.kind for each in PROTOCOLS.values() if kind in each.make and each.kind != "mock")
        what = (
            f"{speaking.provider} speaks {speaking.name}, which has no {kind}; name a model of one that speaks {others}"
        )
        yield Problem(("model",), what)
        return
    if kind not in protocol.problems:
        return
    found = list(protocol.problems[kind](params, speaking))
    if not found:
        try:
            make({**_ANYTHING, **params}, speaking)
        except NotSaid as problem:
            found.append(problem)
    yield from (Problem(("params", *problem.path), problem.what) for problem in found)
