"""A proxy as one writes it with Starlette and httpx2, on uvicorn: `python starlette_proxy.py PORT UPSTREAM`. Runs in an
environment of its own.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

STOPS = {"host", "connection", "content-length", "transfer-encoding"}


def main(port: int, upstream: str) -> None:
    """Passes every call on, and its answer back as it comes."""
    client = httpx2.AsyncClient(base_url=upstream, limits=httpx2.Limits(max_connections=None), timeout=None)

    async def passed_on(request: Request) -> StreamingResponse:
        headers = [(name, value) for name, value in request.headers.items() if name not in STOPS]
        call = client.build_request(request.method, request.url.path, content=await request.body(), headers=headers)
        answer = await client.send(call, stream=True)

        async def body() -> AsyncIterator[bytes]:
            try:
                async for piece in answer.aiter_raw():
                    yield piece
            finally:
                await answer.aclose()

        kept = {name: value for name, value in answer.headers.items() if name not in STOPS}
        return StreamingResponse(body(), answer.status_code, headers=kept)

    @asynccontextmanager
    async def closing(_: Starlette) -> AsyncIterator[None]:
        yield
        await client.aclose()

    app = Starlette(routes=[Route("/{path:path}", passed_on, methods=["POST"])], lifespan=closing)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
