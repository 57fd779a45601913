"""What a gateway answers to one request: who asks, what for, and whether now.

    request ── key ── path ── body ── model ── in line for a lease ── `exchange.py` ── perhaps in line again, elsewhere

Everything before the line is plain code that refuses by raising `Refusal`. The line is the request gate's: the group of
a call is its key.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from typing import Any, Final

import attrs
import msgspec
import trio

from penstock import PenstockError, RequestCost, RequestGroupSpec, RequestResourceKey
from penstock_gateway.admission import refusal_of
from penstock_gateway.answer_writer import whole_answer
from penstock_gateway.call_body import CallBody
from penstock_gateway.call_line import CallLine
from penstock_gateway.call_log import CallLog
from penstock_gateway.config import KeyConfig
from penstock_gateway.exchange import CallFailed, Exchange, OutOfTime, Send
from penstock_gateway.gate import Admission, Gate, NotAdmitted, admitted
from penstock_gateway.headers import presented_key
from penstock_gateway.loading import ANYBODY, Deployment, Serving
from penstock_gateway.metrics import Metrics
from penstock_gateway.refusal import Refusal
from penstock_gateway.request_parser import ClientRequest
from penstock_gateway.routes import MODELS_PATH, ROUTES, Family, Route
from penstock_gateway.timing import seconds_left
from penstock_gateway.upstreams import Upstream

__all__ = ["CLIENT_LEFT", "Front"]

_log: Final = logging.getLogger("penstock.gateway")
CLIENT_LEFT: Final = (trio.BrokenResourceError, trio.ClosedResourceError)
"""What is raised to whoever writes to a client that is not there any more."""

_JSON: Final = (b"content-type", b"application/json")
_REMEMBERED: Final = 0.9
"""Of the usual wait, with each call."""


class Front:
    """The answers of one gateway."""

    def __init__(
        self,
        serving: Serving,
        upstreams: dict[str, Upstream],
        gate: Gate,
        metrics: Metrics,
        log: CallLog,
    ) -> None:
        self.serving: Serving
        self.metrics = metrics
        self.draining = False
        self._upstreams = upstreams
        self._gate = gate
        self._log = log
        self.use(serving)
        self._usual_wait: dict[str, float] = {}
        self._numbered = 0

    def use(self, serving: Serving) -> None:
        """Answer by this configuration from now on."""
        self.serving = serving
        self._places: dict[tuple[str, str], Sequence[RequestResourceKey]] = {
            (deployment.name, domain): serving.resources(deployment, domain)
            for deployment in serving.models.values()
            for domain in {route.domain for route in ROUTES.values() if route.family == deployment.family}
        }

    async def answer(self, request: ClientRequest, send: Send) -> bool:
        """Whether the client's connection is of use afterwards. Raises `CallFailed` in the middle of an answer."""
        line = CallLine(f"{self._numbered:x}", trio.current_time())
        self._numbered += 1

        async def noted(data: bytes) -> None:
            line.begun = True
            await send(data)

        try:
            try:
                reusable = await self._answer(request, noted, line)
            except (Refusal, CallFailed, OSError, trio.TooSlowError, *CLIENT_LEFT):
                raise
            except Exception as error:  # a plugin's, or a fault of ours: it is this call's alone
                refusal = Refusal(500, "internal_error", "the gateway could not carry the call out")
                if not isinstance(error, PenstockError):
                    _log.exception("a call ended by a fault of the gateway's own")
                if line.begun:
                    raise CallFailed(refusal) from error
                raise refusal from error
        except Refusal as refusal:
            self.metrics.refused[line.key, refusal.code] += 1
            line.status, line.refused, line.waited = refusal.status, refusal.code, refusal.waited
            reusable = request.keep_alive and not self.draining
            await send(self.refused(request, refusal, line, close=not reusable))
        finally:
            self._note(request, line)
        return reusable and not self.draining

    def check_head(self, request: ClientRequest) -> None:
        """Whether whoever sends a body may: who has no key is not listened to. Raises `Refusal`."""
        self._whose(request)

    def refused(
        self, request: ClientRequest | None, refusal: Refusal, line: CallLine | None = None, *, close: bool
    ) -> bytes:
        """The answer to a request that is refused; `None` for one that was none."""
        headers = [_JSON]
        if refusal.seconds is not None:
            headers.append((b"retry-after", b"%d" % refusal.seconds))
        if refusal.allow is not None:
            headers.append((b"allow", refusal.allow.encode()))
        if refusal.status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        if line is not None:
            headers += line.headers()
        head_only = request is not None and request.method == "HEAD"
        body = refusal.body("openai" if request is None else _family(request))
        return whole_answer(refusal.status, headers, body, close=close, head_only=head_only)

    async def _answer(self, request: ClientRequest, send: Send, line: CallLine) -> bool:
        path = request.path
        if path in ("/healthz", "/readyz"):
            ready = path == "/healthz" or not self.draining
            line.status = 200 if ready else 503
            body = b'{"status":"ok"}' if ready else b'{"status":"draining"}'
            await self._put(request, send, line, body)
            return request.keep_alive
        key = line.key = self._whose(request)
        limits = self.serving.keys[key]
        route = ROUTES.get(path)
        if route is not None:
            if request.method != "POST":
                raise Refusal(405, "method_not_allowed", f"{path} is called by POST", allow="POST")
            return await self._call(request, route, key, limits, send, line)
        if path == MODELS_PATH or path.startswith(f"{MODELS_PATH}/"):
            if request.method not in ("GET", "HEAD"):
                raise Refusal(405, "method_not_allowed", f"{path} is called by GET", allow="GET, HEAD")
            line.status = 200
            body = self._models(request, limits, path.removeprefix(MODELS_PATH).strip("/"))
            await self._put(request, send, line, body)
            return request.keep_alive
        served = ", ".join((*ROUTES, MODELS_PATH))
        raise Refusal(404, "not_found", f"there is nothing at this path; there are {served}")

    def _whose(self, request: ClientRequest) -> str:
        if not self.serving.ring:
            return ANYBODY
        presented = presented_key(request)
        if presented is None:
            raise Refusal(401, "key_missing", "a key is needed, as in Authorization: Bearer KEY, or x-api-key: KEY")
        name = self.serving.ring.find(presented)
        if name is None:
            raise Refusal(401, "key_unknown", "this key is not known here")
        return name

    async def _put(self, request: ClientRequest, send: Send, line: CallLine, body: bytes) -> None:
        close, head_only = not request.keep_alive, request.method == "HEAD"
        await send(whole_answer(line.status, [_JSON, *line.headers()], body, close=close, head_only=head_only))

    # -- models --

    def _allowed(self, limits: KeyConfig) -> list[str]:
        models = self.serving.models
        return sorted(name for name, deployment in models.items() if self._may_call(deployment, limits))

    def _may_call(self, deployment: Deployment, limits: KeyConfig) -> bool:
        return limits.models is None or any(self.serving.models[name] is deployment for name in limits.models)

    def _models(self, request: ClientRequest, limits: KeyConfig, one: str) -> bytes:
        names = self._allowed(limits)
        if one and one not in names:
            raise Refusal(404, "model_not_found", "there is no such model for this key")
        describe = _anthropic_model if _family(request) == "anthropic" else self._openai_model
        rows = [describe(name) for name in ([one] if one else names)]
        if one:
            return msgspec.json.encode(rows[0])
        if _family(request) == "anthropic":
            first, last = (names[0], names[-1]) if names else (None, None)
            return msgspec.json.encode({"data": rows, "has_more": False, "first_id": first, "last_id": last})
        return msgspec.json.encode({"object": "list", "data": rows})

    def _openai_model(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": 0, "owned_by": self.serving.models[name].provider}

    # -- calls --

    async def _call(
        self, request: ClientRequest, route: Route, key: str, limits: KeyConfig, send: Send, line: CallLine
    ) -> bool:
        body = CallBody.read(request.body, route)
        deployment = self._deployment(body.model, route, limits)
        line.model, line.stream = deployment.name, body.stream
        seconds = seconds_left(request.header, time.time())
        ends_at = math.inf if seconds is None else line.began + seconds
        patience = limits.queue_wait_timeout
        timeout = self.serving.gateway.queue_wait_timeout if patience is None else patience
        exchange = Exchange(
            request,
            route,
            body,
            self.serving.gateway,
            send,
            keeps=lambda: request.keep_alive and not self.draining,
            on_end=lambda done: self._ended(key, deployment, done, trio.current_time() - (line.admitted or 0.0)),
            ends_at=ends_at,
        )
        call = Admission(
            cost=RequestCost(input_tokens=body.input_tokens, output_tokens=body.output_tokens),
            group=RequestGroupSpec(key, limits.weight, limits.calls),
            gives_up_at=line.began + timeout,
            deadline=None if seconds is None else ends_at,
        )
        places = self._places[deployment.name, route.domain]
        self._aim(exchange, places[0])  # what cannot be passed on is told before it waits
        while not await self._tried(exchange, call, deployment, places, line):
            places = [place for place in places if place.provider_name != exchange.provider]
        return exchange.reusable

    async def _tried(
        self,
        exchange: Exchange,
        call: Admission,
        deployment: Deployment,
        places: Sequence[RequestResourceKey],
        line: CallLine,
    ) -> bool:
        """Whether the call was answered, at the first of these places at which its turn came; it is to be tried at
        the others, if not. Raises `Refusal`, `CallFailed`.
        """
        line.admitted = None
        exchange.others = len(places) > 1
        try:
            async with admitted(self._gate, places, call) as place:
                line.admitted = trio.current_time()
                line.waited = (line.waited or 0.0) + line.admitted - (line.failed_at or line.began)
                self._admitted(line.key, deployment, line.waited)
                self._aim(exchange, place.resource)
                line.provider, line.tries, line.failed = exchange.provider, line.tries + 1, ""
                exchange.own_headers = line.headers()
                try:
                    await exchange.run(place)
                finally:
                    line.status, line.sent, line.first_byte = exchange.status, exchange.sent, exchange.first_byte
        except NotAdmitted as error:
            waited = trio.current_time() - line.began
            raise refusal_of(error, waited, self._usual_wait.get(deployment.name, 0.0)) from None
        except CallFailed as failed:
            line.failed, line.failed_at = failed.refusal.code, trio.current_time()
            if exchange.begun:
                raise
            if exchange.others and not isinstance(failed, OutOfTime):
                return False
            raise attrs.evolve(failed.refusal, waited=line.waited) from None
        finally:
            if line.admitted is not None:
                exchange.tell()
                line.usage = exchange.usage
        return True

    def _aim(self, exchange: Exchange, place: RequestResourceKey) -> None:
        exchange.aim(place.provider_name, self._upstreams[place.provider_name], place.model_id)

    def _deployment(self, model: str, route: Route, limits: KeyConfig) -> Deployment:
        deployment = self.serving.models.get(model)
        if deployment is None:
            raise Refusal(404, "model_not_found", "there is no such model here; GET /v1/models lists those there are")
        if not self._may_call(deployment, limits):
            raise Refusal(403, "model_not_allowed", "this key may not call this model")
        if deployment.family != route.family:
            path = "/v1/messages" if deployment.family == "anthropic" else "/v1/chat/completions"
            raise Refusal(400, "wrong_dialect", f"this model is called in another dialect, at {path}")
        return deployment

    def _admitted(self, key: str, deployment: Deployment, waited: float) -> None:
        self.metrics.waited(key, waited)
        before = self._usual_wait.get(deployment.name, waited)
        self._usual_wait[deployment.name] = _REMEMBERED * before + (1 - _REMEMBERED) * waited

    def _ended(self, key: str, deployment: Deployment, exchange: Exchange, seconds: float) -> None:
        self.metrics.answered(deployment.name, seconds)
        if exchange.status == 429:
            self.metrics.limited[deployment.name] += 1
        usage = exchange.usage
        for direction, count in () if usage is None else (("in", usage.input_tokens), ("out", usage.output_tokens)):
            self.metrics.tokens[key, deployment.name, direction] += count or 0

    def _note(self, request: ClientRequest, line: CallLine) -> None:
        self.metrics.calls[line.key, line.model, line.status] += 1
        if line.model or line.refused:
            self._log.write(line.as_dict(request.path, len(request.body)))


def _family(request: ClientRequest) -> Family:
    """The form in which a client reads errors."""
    route = ROUTES.get(request.path)
    if route is not None:
        return route.family
    return "anthropic" if request.header(b"anthropic-version") is not None else "openai"


def _anthropic_model(name: str) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z"}
