"""How a request is admitted: described from itself, and held up until the request gate has a place for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import httpx2

import penstock
from penstock_dialects import Decoder, Dialect, dialect_at, find_dialect
from penstock_httpx.crossing import Crossing
from penstock_httpx.description import NO_MODEL, RequestDescription, apply_extension, describe_openai
from penstock_httpx.door import Admit
from penstock_httpx.exchange import Exchange

__all__ = ["NO_POOL_LIMITS", "Admission", "Describe"]

NO_POOL_LIMITS: Final = httpx2.Limits(max_connections=None, max_keepalive_connections=100)
"""The gate bounds the calls; a pool that bounded them too would be a second, hidden queue."""

NO_MODEL_CAP: Final = 8
"""How many requests that name no model may be out at once to one provider, unless the configuration has a model `-`."""

Describe = Callable[[httpx2.Request], RequestDescription]


class Admission:
    """The admission of a transport's requests. The parameters are those of the transports."""

    def __init__(
        self,
        provider: str | None,
        describe: Describe | None,
        dialect: str | None,
        decoders: Mapping[str, Callable[[], Decoder]] | None,
    ) -> None:
        self._describe = describe or partial(describe_openai, provider=provider)
        self._dialect = None if dialect is None else find_dialect(dialect)
        self._decoders = {} if decoders is None else decoders
        self._told: set[str] = set()

    def describe(self, request: httpx2.Request) -> RequestDescription:
        """What a request is admitted as. Raises `ConfigError` for an extension that no description has."""
        return apply_extension(self._describe(request), request)

    def admit(self, request: httpx2.Request) -> Admit:
        """What waits in the thread of the run for a place for this request. Raises as `describe`.

        It raises `RequestAdmissionError` if the call is refused.
        """
        return partial(self._open, self.describe(request), request.url.host)

    async def _open(
        self, wanted: RequestDescription, host: str, executor: penstock.ModelRequestExecutor, crossing: Crossing
    ) -> Exchange:
        key = executor.resolver.key_of(wanted.resource, wanted.domain)
        dialect: Dialect | None = self._dialect or dialect_at(host)
        if key.model_id == NO_MODEL:
            dialect = None  # what comes is no answer of a model
            # No configuration can be expected to know it, and an unknown model is refused.
            executor.register_unconfigured(key.provider_name, NO_MODEL, cap=NO_MODEL_CAP)
        async with executor.attempt(
            key,
            cost=wanted.cost,
            group=wanted.group,
            timeout=wanted.timeout,
            deadline=wanted.deadline,
            labels=wanted.labels,
        ) as attempt:
            return Exchange(attempt, dialect, self._decoders, self._told, crossing)
