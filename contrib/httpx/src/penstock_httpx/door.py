"""Where a request asks for its place: the same for the transport of the run and for that of its worker threads."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final

import httpx2
import trio

import penstock
from penstock_httpx.description import NO_MODEL, RequestDescription, apply_extension, describe_openai

__all__ = ["Describe", "Door"]

NO_MODEL_CAP: Final = 8
"""How many requests that name no model may be out at once to one provider, unless the configuration has a model `-`."""

Describe = Callable[[httpx2.Request], RequestDescription]


class Door:
    """Describes requests, and asks the executor for their attempts. The parameters are those of the transports."""

    def __init__(
        self, provider: str | None, describe: Describe | None, executor: penstock.ModelRequestExecutor | None
    ) -> None:
        self._describe = describe or partial(describe_openai, provider=provider)
        self._executor = executor

    def describe(self, request: httpx2.Request) -> RequestDescription:
        """What a request is admitted as. Raises `ConfigError` for an extension that no description has."""
        return apply_extension(self._describe(request), request)

    def executor(self) -> penstock.ModelRequestExecutor:
        """The request gate to ask; a worker thread of trio's has the context of the task that it works for."""
        return penstock.current_executor() if self._executor is None else self._executor

    def attempt(
        self, wanted: RequestDescription, executor: penstock.ModelRequestExecutor
    ) -> AbstractAsyncContextManager[penstock.Attempt]:
        """The attempt of one call. For the thread of the run."""
        key = executor.resolver.resolve(wanted.resource, wanted.domain)
        if key.model_id == NO_MODEL and executor.pressure.snapshot(key, trio.current_time()) is None:
            # No configuration can be expected to know it, and an unknown model is refused.
            executor.register(key.provider_name, NO_MODEL, cap=NO_MODEL_CAP)
        return executor.attempt(
            key, cost=wanted.cost, group=wanted.group, timeout=wanted.timeout, deadline=wanted.deadline
        )
