"""The ASGI application: routes, keys, errors in OpenAI's shape, and answers that come when they are due.

While an answer is being waited for, the client is listened to as well: a client that goes away cancels its
answer, and so gives back the slot.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from hashlib import sha256
from typing import Any

import attrs
import trio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.testing import Refused, SimulatedModel
from penstock_mockprovider.config import MockProviderConfig
from penstock_mockprovider.endpoint import Endpoint, Running
from penstock_mockprovider.json_answers import SPOILED, Spoiled
from penstock_mockprovider.report import MockReport
from penstock_mockprovider.wire import ApiError, ChatCall, EmbeddingCall, body_of, model_listing, model_of

__all__ = ["MockApp", "key_label"]

_NO_KEY = "none"


def key_label(key: str | None) -> str:
    """How a key is named in reports: never by itself, since people do point real clients at a mock."""
    return _NO_KEY if key is None else f"sha256:{sha256(key.encode()).hexdigest()[:12]}"


class MockApp:
    """A mock provider as an ASGI application (`asgi`). `now` is trio's clock, `wall` the Unix time of the
    same moment."""

    def __init__(self, config: MockProviderConfig, now: float, wall: float) -> None:
        self.config = config
        self._wall_offset = wall - now
        self._rejected: Counter[str] = Counter()
        self._watchers = trio.lowlevel.ParkingLot()
        self.endpoints = {
            name: Endpoint(
                SimulatedModel(limits, random.Random(f"{config.seed}/{name}"), now, wall_at_start=wall),
                self._wake,
            )
            for name, limits in config.models.items()
        }
        self._spoils = random.Random(f"{config.seed}/bad json")
        routes = [
            Route("/v1/chat/completions", self._refusing(self._chat), methods=["POST"]),
            Route("/v1/embeddings", self._refusing(self._embeddings), methods=["POST"]),
            Route("/v1/models", self._refusing(self._models), methods=["GET"]),
            Route("/mock/report", self._report, methods=["GET"]),
        ]
        self.asgi: ASGIApp = self._marking(Starlette(routes=routes, exception_handlers={HTTPException: _as_api_error}))

    def report(self) -> MockReport:
        """What was seen until now."""
        models = {name: endpoint.model.report() for name, endpoint in self.endpoints.items()}
        return MockReport(models=models, rejected=dict(self._rejected))

    async def until(self, holds: Callable[[MockReport], bool]) -> MockReport:
        """The report, as soon as `holds` is true of it."""
        while not holds(report := self.report()):
            await self._watchers.park()
        return report

    def _wake(self) -> None:
        self._watchers.unpark_all()

    # -- routes --

    async def _chat(self, request: Request) -> ASGIApp:
        key = self._key(request)
        call = ChatCall.parse(await _json(request), self._spoiled)
        endpoint = self._endpoint(call.model)
        if call.stream:
            return _Admitted(endpoint, key, call.tokens, lambda running, send: _stream(call, running, send))
        return _Admitted(endpoint, key, call.tokens, lambda running, send: _answer(call.body, running, send))

    def _spoiled(self) -> Spoiled | None:
        """How the next answer in JSON is spoiled, if it is."""
        return self._spoils.choice(SPOILED) if self._spoils.random() < self.config.bad_json_share else None

    async def _embeddings(self, request: Request) -> ASGIApp:
        key = self._key(request)
        call = EmbeddingCall.parse(await _json(request), self.config.dimensions)
        endpoint = self._endpoint(call.model)
        return _Admitted(endpoint, key, call.tokens, lambda running, send: _answer(call.body, running, send))

    async def _models(self, request: Request) -> ASGIApp:
        self._key(request)
        return JSONResponse(model_listing(list(self.endpoints)))

    async def _report(self, request: Request) -> Response:
        return JSONResponse(attrs.asdict(self.report()))

    def _endpoint(self, model: str) -> Endpoint:
        endpoint = self.endpoints.get(model)
        if endpoint is None:
            message = f"The model '{model}' does not exist; this mock serves {', '.join(self.endpoints)}."
            raise ApiError(404, message, code="model_not_found", param="model")
        return endpoint

    def _key(self, request: Request) -> str:
        """The label of the caller's key. Raises `ApiError` if it is not accepted."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        key = given.strip() if scheme.lower() == "bearer" and given.strip() else None
        if self.config.keys and key not in self.config.keys:
            what = "You did not provide an API key." if key is None else "Incorrect API key provided."
            raise ApiError(401, what, code="invalid_api_key")
        return key_label(key)

    def _refusing(self, route: Callable[[Request], Awaitable[ASGIApp]]) -> Callable[[Request], Awaitable[ASGIApp]]:
        """`route` with its `ApiError`s answered in OpenAI's shape, and counted."""

        async def refusing(request: Request) -> ASGIApp:
            try:
                return await route(request)
            except ApiError as error:
                self._reject(error.code)
                return JSONResponse(error.body(), error.status)
            except ClientDisconnect:
                self._reject("client_disconnect")
                return Response(status_code=400)  # nobody is there to read it

        return refusing

    def _reject(self, code: str) -> None:
        self._rejected[code] += 1
        self._wake()

    def _marking(self, app: ASGIApp) -> ASGIApp:
        """`app` with headers on every answer that say that it comes from a mock, and when."""

        async def marking(scope: Scope, receive: Receive, send: Send) -> None:
            async def marked(message: Message) -> None:
                if message["type"] == "http.response.start":
                    headers = [*message.get("headers", ()), (b"x-penstock-mock", b"1")]
                    if not any(name == b"date" for name, _ in headers):
                        date = formatdate(trio.current_time() + self._wall_offset, usegmt=True)
                        headers.append((b"date", date.encode()))
                    message = {**message, "headers": headers}
                await send(message)

            await app(scope, receive, marked)

        return marking


@attrs.frozen
class _Admitted:
    """A call on its way through the true limits of `endpoint`, as the ASGI application that answers it."""

    endpoint: Endpoint
    key: str
    tokens: int
    answer: Callable[[Running, Send], Awaitable[None]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_until_the_client_goes, receive, nursery.cancel_scope)
            async with self.endpoint.call(self.key, self.tokens) as call:
                if isinstance(call, Refused):
                    await _refusal(call)(scope, receive, send)
                else:
                    await self.answer(call, send)
            nursery.cancel_scope.cancel()


async def _until_the_client_goes(receive: Receive, scope: trio.CancelScope) -> None:
    await receive()  # the question has been read to its end, so the one message left is that the client is gone
    scope.cancel()


async def _answer(body: Callable[[], Mapping[str, Any]], running: Running, send: Send) -> None:
    content = json.dumps(body(), ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
    await trio.sleep_until(running.due)
    running.finish()
    headers = {**running.headers, "content-type": "application/json", "content-length": str(len(content))}
    await send(_start(200, headers))
    await send({"type": "http.response.body", "body": content})


async def _stream(call: ChatCall, running: Running, send: Send) -> None:
    """Server-sent events: the first at once, the last when the answer is due, the others evenly between."""
    await send(_start(200, {**running.headers, "content-type": "text/event-stream; charset=utf-8"}))
    events = [f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n".encode(errors="replace") for chunk in call.chunks()]
    takes = running.due - running.started_at
    last = len(events) - 1
    for i, event in enumerate(events[:last]):
        await trio.sleep_until(running.started_at + takes * i / last)
        await send({"type": "http.response.body", "body": event, "more_body": True})
    await trio.sleep_until(running.due)
    running.finish()
    await send({"type": "http.response.body", "body": events[last] + b"data: [DONE]\n\n"})


def _start(status: int, headers: Mapping[str, str]) -> Message:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": raw}


def _refusal(refused: Refused) -> Response:
    if refused.reason == "error":
        error = ApiError(refused.status, "The mock fails, as it was configured to.", code="server_error")
    else:
        message = f"Rate limit reached on {refused.reason}. This is a mock's true limit."
        kind = refused.reason if refused.reason in ("requests", "tokens") else "rate_limit_error"
        error = ApiError(refused.status, message, code=refused.code or "rate_limit_exceeded", kind=kind)
    return JSONResponse(error.body(), error.status, headers=dict(refused.headers))


async def _as_api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path}: {error.detail}."
    code = "unknown_url" if error.status_code == 404 else "method_not_allowed"
    return JSONResponse(ApiError(error.status_code, message, code=code).body(), error.status_code, error.headers)


async def _json(request: Request) -> dict[str, Any]:
    body = body_of(await request.body())
    model_of(body)
    return body
