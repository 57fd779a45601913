"""What a request asks a place for: read out of the request itself.

The default reading is that of OpenAI-compatible endpoints: the model is named in the JSON body, the domain
follows from the path. Gemini, Vertex and Bedrock name the model in the path, Azure its deployment. It looks only at
bodies that are in memory already; a body that is streamed up is never held back to be read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Mapping
from typing import Any, Final

import attrs
import httpx2

from penstock import MOST_TOKENS, ConfigError, RequestCost, RequestDomain, RequestGroupSpec

__all__ = ["NO_MODEL", "RequestDescription", "apply_extension", "describe_openai", "same_request"]

NO_MODEL: Final = "-"
"""Stands for the model of a request that names none (a list of models, an upload): it still counts for its provider."""

BYTES_PER_TOKEN: Final = 4
"""Rough, and right enough: the release corrects it by what the provider says was used."""

_OUTPUT_LIMITS: Final = ("max_completion_tokens", "max_output_tokens", "max_tokens", "maxOutputTokens", "maxTokens")
_LIMITS_UNDER: Final = ("generationConfig", "inferenceConfig")
"""Where Gemini and Bedrock put theirs."""

_MODEL_IN_PATH: Final = re.compile(
    r"/(?:models/(?P<gemini>[^/:]+):[A-Za-z]+|deployments/(?P<azure>[^/]+)/.+"
    r"|model/(?P<bedrock>[^/]+)/(?:converse|invoke)[a-z-]*)$",
    re.ASCII,
)


@attrs.frozen(kw_only=True)
class RequestDescription:
    """What one outbound request is admitted as.

    `resource` is `provider/model` as `penstock.request` takes it, `domain` one that the provider has.
    `group` is who it is for (default: the resource), `timeout` how long it may wait for its place in
    seconds, `deadline` the moment of the run's clock by which it must have started. `cost` holds estimates,
    which the release corrects. `labels` come beside those of the task, or in their place. All are checked when the
    request is made: what is wrong is a `ConfigError` to that request alone.
    """

    resource: str
    domain: str = RequestDomain.CHAT
    cost: RequestCost = attrs.field(factory=RequestCost)
    group: str | RequestGroupSpec | None = None
    timeout: float | None = None
    deadline: float | None = None
    labels: Mapping[str, str] | None = None


def describe_openai(request: httpx2.Request, provider: str | None = None) -> RequestDescription:
    """The description of a request to an OpenAI-compatible endpoint.

    `provider` defaults to the host that the request goes to. A path that ends in `/embeddings` is the
    domain `embedding`, one with `/images/` in it `image`, any other with a model `chat`; a request that
    names no model, neither in its body nor in its path, is `NO_MODEL` in `healthcheck`.
    """
    provider = provider or request.url.host
    body = _json_body(request)
    model = body.get("model")
    if not (isinstance(model, str) and model):
        model = _model_in_path(request)
    if not model:
        return RequestDescription(resource=f"{provider}/{NO_MODEL}", domain=RequestDomain.HEALTHCHECK)
    cost = RequestCost(
        input_tokens=_input_tokens(request),
        output_tokens=_output_limit(body),
    )
    return RequestDescription(resource=f"{provider}/{model}", domain=_domain(request.url.path), cost=cost)


def apply_extension(description: RequestDescription, request: httpx2.Request) -> RequestDescription:
    """The description with what the caller said about this request in `extensions={"penstock": {...}}`.

    Raises `ConfigError` for a key that no description has.
    """
    said = request.extensions.get("penstock")
    if said is None:
        return description
    known = {field.name for field in attrs.fields(RequestDescription)}
    if not isinstance(said, Mapping) or any(key not in known for key in said):
        raise ConfigError(
            f'extensions["penstock"]: must be a mapping with keys out of {", ".join(sorted(known))}, not {said!r}'
        )
    return attrs.evolve(description, **said)


def same_request(request: httpx2.Request) -> Hashable:
    """What is equal for a request that is sent again, as by an SDK; `None` for one whose body is streamed up, which
    cannot be sent again.
    """
    try:
        return request.method, str(request.url), hash(request.content)
    except httpx2.RequestNotRead:
        return None


def _model_in_path(request: httpx2.Request) -> str:
    found = _MODEL_IN_PATH.search(request.url.path) if request.method == "POST" else None
    return "" if found is None else next(filter(None, found.groups()))


def _input_tokens(request: httpx2.Request) -> int:
    try:
        return len(request.content) // BYTES_PER_TOKEN
    except httpx2.RequestNotRead:
        return 0


def _output_limit(body: Mapping[str, Any]) -> int:
    places = [body, *(body.get(name) for name in _LIMITS_UNDER)]
    limits = (_count(place.get(key)) for place in places if isinstance(place, dict) for key in _OUTPUT_LIMITS)
    return next(filter(None, limits), 0)


def _domain(path: str) -> str:
    if path.rstrip("/").endswith(("/embeddings", ":embedContent", ":batchEmbedContents")):
        return RequestDomain.EMBEDDING
    return RequestDomain.IMAGE if "/images/" in path else RequestDomain.CHAT


def _json_body(request: httpx2.Request) -> Mapping[str, Any]:
    if "json" not in request.headers.get("content-type", ""):
        return {}
    try:
        body = json.loads(request.content)
    except (ValueError, httpx2.RequestNotRead):
        return {}
    return body if isinstance(body, dict) else {}


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST_TOKENS else 0
