"""How a request is admitted: described from itself, and held up until the request gate has a place for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import httpx2
import trio

import penstock
from penstock_dialects import Decoder, Dialect, dialect_at, find_dialect
from penstock_httpx.crossing import Crossing
from penstock_httpx.description import NO_MODEL, RequestDescription, apply_extension, describe_openai, same_request
from penstock_httpx.door import Admit
from penstock_httpx.exchange import Exchange

__all__ = ["Admission", "Describe"]

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

    def admit(self, request: httpx2.Request, before: Exchange | None = None) -> Admit:
        """What waits in the thread of the run for a place for this request. Raises as `describe`.

        `before`: the exchange of the same request when it could not be sent for want of something of our own; what it
        waited counts. It raises `RequestAdmissionError` if the call is refused.
        """
        return partial(self._open, self.describe(request), request, before)

    async def _open(
        self,
        wanted: RequestDescription,
        request: httpx2.Request,
        before: Exchange | None,
        executor: penstock.ModelRequestExecutor,
        crossing: Crossing,
    ) -> Exchange:
        asked_at = trio.current_time() if before is None else before.asked_at
        key = executor.resolver.key_of(wanted.resource, wanted.domain)
        dialect: Dialect | None = self._dialect or dialect_at(request.url.host)
        if key.model_id == NO_MODEL:
            dialect = None  # what comes is no answer of a model
            # No configuration can be expected to know it, and an unknown model is refused.
            executor.register_unconfigured(key.provider_name, NO_MODEL, cap=NO_MODEL_CAP)
        timeout = wanted.timeout
        if timeout is not None and before is not None:
            timeout = max(0.0, asked_at + timeout - trio.current_time())
        async with executor.attempt(
            key,
            repeats=same_request(request),
            cost=wanted.cost,
            group=wanted.group,
            timeout=timeout,
            deadline=wanted.deadline,
            labels=wanted.labels,
        ) as attempt:
            return Exchange(attempt, asked_at, dialect, self._decoders, self._told, crossing)
