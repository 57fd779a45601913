"""What a call costs by itself: the two clients of a batch, asked in one way, against a server in another process.

A batch takes `penstock-wire` where the way is straight, and httpx2 where a proxy stands in it. Here both go straight.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import httpx2
import trio

from penstock import PenstockError
from penstock_batch.providers.clients import CONNECT_TIMEOUT, ModelClient, ProxiedClient, StraightClient
from penstock_bench.batch.cells import IN_FLIGHT, serving
from penstock_bench.measuring.records import Sample

__all__ = ["by_httpx2", "by_the_wire"]

_HEADERS: Final = {"content-type": "application/json", "accept": "application/json", "authorization": "Bearer key"}
_MESSAGES: Final = [{"role": "user", "content": "Summarise: a row of a table about rivers, weirs and mills"}]
_BODY: Final = json.dumps({"model": "m", "max_tokens": 20, "messages": _MESSAGES}).encode()


def by_the_wire(calls: int) -> Sample:
    """The processor's time of so many calls by `penstock-wire`, each read to its end."""
    return _measured(lambda url: StraightClient(url, _HEADERS, None), calls)


def by_httpx2(calls: int) -> Sample:
    """That of the same calls by httpx2."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    timeout = httpx2.Timeout(None, connect=CONNECT_TIMEOUT)
    make = partial(httpx2.AsyncClient, headers=_HEADERS, limits=limits, timeout=timeout, trust_env=False)
    return _measured(lambda url: ProxiedClient(url, partial(make, base_url=url)), calls)


def _measured(client_of: Callable[[str], ModelClient], calls: int) -> Sample:
    with serving() as url:
        return Sample(calls, trio.run(_calls, client_of, url, calls))


async def _calls(client_of: Callable[[str], ModelClient], url: str, calls: int) -> float:
    """The processor's time of calls, in seconds, without that of their connections."""
    client = client_of(url)
    left = iter(range(calls))

    async def one() -> None:
        async with client.post("chat/completions", _BODY) as answer:
            body = b"".join([piece async for piece in answer.pieces()])
            if answer.status != 200 or not body:
                raise PenstockError(f"the server answered {answer.status}: {body[:200]!r}")

    async def work() -> None:
        for _ in left:
            await one()

    try:
        async with trio.open_nursery() as nursery:
            for _ in range(IN_FLIGHT):  # each opens a connection
                nursery.start_soon(one)
        began = time.process_time()
        async with trio.open_nursery() as nursery:
            for _ in range(IN_FLIGHT):
                nursery.start_soon(work)
        return time.process_time() - began
    finally:
        await client.aclose()
