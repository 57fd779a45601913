"""Calls through the request gate of the run that the code is in, which a context variable knows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Final, TypeVar

from penstock.executor.attempt import Attempt, AttemptContext
from penstock.executor.call_items import Resources
from penstock.executor.executor import ModelRequestExecutor
from penstock.executor.under_trio import under_asyncio
from penstock.requests.items import ONE_REQUEST, RequestCost, RequestGroupSpec
from penstock.words.checks import a_name
from penstock.words.identity import RequestDomain

__all__ = ["CURRENT", "current_executor", "execute", "execute_from_thread", "request", "set_no_gate"]

R = TypeVar("R")

CURRENT: Final[ContextVar[ModelRequestExecutor | None]] = ContextVar("penstock_run", default=None)
"""The request gate of the run that this code is in."""


_no_gate: str | None = None
"""Why there is no request gate in this process, if somebody has said so."""


def set_no_gate(why: str) -> None:
    """Set what `penstock.request` says in this process outside of runs; for runners, whose processes have no gate."""
    global _no_gate
    _no_gate = a_name(why, "why")


def current_executor() -> ModelRequestExecutor:
    """The request gate of the run that this code is in. Raises `RuntimeError` outside `open_scheduler`."""
    executor = CURRENT.get()
    if executor is None:
        raise RuntimeError(_no_gate or under_asyncio("penstock.request") or _no_run())
    return executor


def _no_run() -> str:
    from multiprocessing import parent_process  # where it is asked for, which is outside of all runs

    if parent_process() is not None:
        return "there is no gate in this process: call before or after, in the process of the run"
    return "there is no run here: call this inside `async with penstock.open_scheduler(...)`"


def request(
    resource: Resources,
    *,
    domain: str = RequestDomain.CHAT,
    cost: RequestCost = ONE_REQUEST,
    group: RequestGroupSpec | str | None = None,
    timeout: float | None = None,
    deadline: float | None = None,
    labels: Mapping[str, str] | None = None,
    priority: int = 0,
) -> AttemptContext:
    """One admitted call: `async with penstock.request("provider/model", domain="chat") as attempt`; in a thread that
    works for a task, `with` in the place of `async with`.

    Waits for the lease, and gives it back with the classified outcome at the end of the block. Where several resources
    serve the call alike, `["provider/model", "other/model"]`, it waits at all of them and is made at the first where
    its turn comes, in this order where several are free: `attempt.lease.item.resource` says which.

    `domain`    what of the model is called, where it has several
    `cost`      what the call is expected to use
    `group`     whom it is for: a name or a `RequestGroupSpec`; inside a task it is the task's group with weight 1 if
                nothing is said, outside the resource
    `timeout`   how long it waits for its lease at most, in seconds; 0: now or never
    `deadline`  moment of the run's clock by which it must have started
    `labels`    name to value, text, beside those of the task or in their place: at most 8, of at most 64 bytes each
    `priority`  -100 to 100, the larger first among the waiting calls of its group, with `[plugins.fair] within_group =
                "priority"`

    Raises `ConfigError` for a wrong option, `RequestAdmissionError` if admission refuses."""
    return current_executor().attempt(
        resource,
        domain=domain,
        cost=cost,
        group=group,
        timeout=timeout,
        deadline=deadline,
        labels=labels,
        priority=priority,
    )


async def execute(
    call: Callable[[Attempt], Awaitable[R]],
    resource: Resources | Callable[[], Resources],
    *,
    domain: str = RequestDomain.CHAT,
    cost: RequestCost = ONE_REQUEST,
    group: RequestGroupSpec | str | None = None,
    timeout: float | None = None,
    deadline: float | None = None,
    max_attempts: int | None = None,
    idempotency_key: str | None = None,
    labels: Mapping[str, str] | None = None,
    priority: int = 0,
) -> R:
    """What `call(attempt)` returns, tried again where that may help, each attempt under a lease of its own.

    Options as `request`, and `max_attempts`, how often it is tried at most, and `idempotency_key`, which every attempt
    carries; `resource` may also be a function without arguments, which is asked for each attempt. Raises as
    `ModelRequestExecutor.execute`."""
    return await current_executor().execute(
        call,
        resource,
        domain=domain,
        cost=cost,
        group=group,
        timeout=timeout,
        deadline=deadline,
        max_attempts=max_attempts,
        idempotency_key=idempotency_key,
        labels=labels,
        priority=priority,
    )


def execute_from_thread(
    call: Callable[[Attempt], R],
    resource: Resources | Callable[[], Resources],
    *,
    domain: str = RequestDomain.CHAT,
    cost: RequestCost = ONE_REQUEST,
    group: RequestGroupSpec | str | None = None,
    timeout: float | None = None,
    deadline: float | None = None,
    max_attempts: int | None = None,
    idempotency_key: str | None = None,
    labels: Mapping[str, str] | None = None,
    priority: int = 0,
) -> R:
    """`execute` for code in a thread that works for a task: `call` is a plain function, and runs in this thread."""
    return current_executor().execute_from_thread(
        call,
        resource,
        domain=domain,
        cost=cost,
        group=group,
        timeout=timeout,
        deadline=deadline,
        max_attempts=max_attempts,
        idempotency_key=idempotency_key,
        labels=labels,
        priority=priority,
    )
