"""The paths that are served: which dialect each speaks, what kind of call it is, and what may be asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

import attrs

__all__ = ["MODELS_PATH", "ROUTES", "Family", "Route"]

Family = Literal["openai", "anthropic"]
"""Whose form a call, its answer and its errors have."""


@attrs.frozen
class Route:
    """`path` is that of the provider too, below its base URL. `output` names the members that bound the tokens of an
    answer. `usage_on_request`: a stream tells its usage only if `stream_options` asks for it.
    """

    path: str
    family: Family
    domain: str
    output: tuple[str, ...] = ()
    usage_on_request: bool = False


ROUTES: Final[Mapping[str, Route]] = MappingProxyType(
    {
        "/v1/chat/completions": Route(
            "/chat/completions",
            "openai",
            "chat",
            output=("max_completion_tokens", "max_tokens"),
            usage_on_request=True,
        ),
        "/v1/completions": Route("/completions", "openai", "chat", output=("max_tokens",), usage_on_request=True),
        "/v1/embeddings": Route("/embeddings", "openai", "embedding"),
        "/v1/responses": Route("/responses", "openai", "chat", output=("max_output_tokens",)),
        "/v1/messages": Route("/messages", "anthropic", "chat", output=("max_tokens",)),
    }
)
"""By the path that clients call, which they call by POST."""

MODELS_PATH: Final = "/v1/models"
