"""What a gateway answers to one request: who asks, what for, and whether now.

    request ── key ── path ── body ── model ── `call.py`: in line ── `exchange.py` ── perhaps in line again, elsewhere

Everything before the line is plain code that refuses by raising `Refusal`. The line is the request gate's: the group of
a call is its key.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from penstock import RequestCost, RequestGroupSpec, RequestResourceKey
from penstock_gateway.answer_writer import whole_answer
from penstock_gateway.call import Call
from penstock_gateway.call_body import CallBody
from penstock_gateway.call_book import CallBook
from penstock_gateway.call_failures import Fault
from penstock_gateway.call_line import CallLine
from penstock_gateway.call_log import CallLog
from penstock_gateway.config import KeyConfig
from penstock_gateway.deployment import Deployment
from penstock_gateway.exchange import Client, Exchange
from penstock_gateway.gate import Admission, Gate
from penstock_gateway.headers import presented_key
from penstock_gateway.loading import ANYBODY, Serving
from penstock_gateway.metrics import Metrics
from penstock_gateway.refusal import Refusal
from penstock_gateway.refused import JSON, family_of, refused
from penstock_gateway.request_parser import ClientRequest
from penstock_gateway.routes import MODELS_PATH, ROUTES, Route
from penstock_gateway.upstreams import Upstream
from penstock_gateway.wishes import wishes_of

__all__ = ["Front"]


class Front:
    """The answers of one gateway."""

    def __init__(
        self,
        serving: Serving,
        upstreams: dict[str, Upstream],
        gate: Gate,
        metrics: Metrics,
        log: CallLog,
        *,
        prefix: str = "",
    ) -> None:
        self.serving: Serving
        self.metrics = metrics
        self.draining = False
        self.crowded = False
        """Whether somebody waits to be connected: each answer is the last of its connection then."""
        self.on_use: Callable[[], None] = lambda: None
        """Called when another configuration is served from now on."""
        self._upstreams = upstreams
        self._gate = gate
        self._book = CallBook(metrics, log, prefix)
        self.use(serving)

    def use(self, serving: Serving) -> None:
        """Answer by this configuration from now on."""
        self.serving = serving
        self._book.prices = serving.spending.prices
        for upstream in self._upstreams.values():
            upstream.client.connect_timeout = serving.gateway.connect_timeout
        self._for_anybody = not serving.ring
        self._places: dict[tuple[str, str], Sequence[RequestResourceKey]] = {
            (deployment.name, domain): serving.resources(deployment, domain)
            for deployment in serving.models.values()
            for domain in {route.domain for route in ROUTES.values() if route.family == deployment.family}
        }
        self._groups = {key: RequestGroupSpec(key, each.weight, each.calls) for key, each in serving.keys.items()}
        self.on_use()

    def begin(self, request: ClientRequest, client: Client) -> Call | None:
        """Answer a request: the call that it becomes, `None` where it has been answered."""
        line = self._book.new_line(client.now())
        try:
            return self._begin(request, client, line)
        except Refusal as error:
            refusal = error.with_traceback(None)  # which holds this frame, and so itself
        except Exception as error:  # a plugin's, or a fault of ours: it is this call's alone
            refusal = Fault.of(error).refusal
        self._book.refused(line, refusal)
        reusable = request.keep_alive and client.stays
        client.send(refused(request, refusal, line, close=not reusable))
        self._book.over(request, line, client.now())
        client.answered(reusable=reusable)
        return None

    def check_head(self, request: ClientRequest) -> None:
        """Whether whoever sends a body may: who has no key is not listened to. Raises `Refusal`."""
        self._whose(request)

    def _begin(self, request: ClientRequest, client: Client, line: CallLine) -> Call | None:
        path = request.path
        if path in ("/healthz", "/readyz"):
            ready = path == "/healthz" or not self.draining
            line.status = 200 if ready else 503
            self._put(request, client, line, b'{"status":"ok"}' if ready else b'{"status":"draining"}')
            return None
        key = line.key = self._whose(request)
        limits = self.serving.keys[key]
        route = ROUTES.get(path)
        if route is not None:
            if request.method != "POST":
                raise Refusal(405, "method_not_allowed", f"{path} is called by POST", allow="POST")
            return self._call(request, route, key, limits, client, line)
        if path == MODELS_PATH or path.startswith(f"{MODELS_PATH}/"):
            if request.method not in ("GET", "HEAD"):
                raise Refusal(405, "method_not_allowed", f"{path} is called by GET", allow="GET, HEAD")
            line.status = 200
            body = self._models(request, limits, path.removeprefix(MODELS_PATH).strip("/"))
            self._put(request, client, line, body)
            return None
        served = ", ".join((*ROUTES, MODELS_PATH))
        raise Refusal(404, "not_found", f"there is nothing at this path; there are {served}")

    def _whose(self, request: ClientRequest) -> str:
        if self._for_anybody:
            return ANYBODY
        presented = presented_key(request)
        if presented is None:
            raise Refusal(401, "key_missing", "a key is needed, as in Authorization: Bearer KEY, or x-api-key: KEY")
        name = self.serving.ring.find(presented)
        if name is None:
            raise Refusal(401, "key_unknown", "this key is not known here")
        return name

    def _put(self, request: ClientRequest, client: Client, line: CallLine, body: bytes) -> None:
        reusable, head_only = request.keep_alive and client.stays, request.method == "HEAD"
        own = line.headers()
        client.send(whole_answer(line.status, [JSON], body, own=own, close=not reusable, head_only=head_only))
        self._book.over(request, line, client.now())
        client.answered(reusable=reusable)

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
        describe = _anthropic_model if family_of(request) == "anthropic" else self._openai_model
        rows = [describe(name) for name in ([one] if one else names)]
        if one:
            return msgspec.json.encode(rows[0])
        if family_of(request) == "anthropic":
            first, last = (names[0], names[-1]) if names else (None, None)
            return msgspec.json.encode({"data": rows, "has_more": False, "first_id": first, "last_id": last})
        return msgspec.json.encode({"object": "list", "data": rows})

    def _openai_model(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": 0, "owned_by": self.serving.models[name].provider}

    # -- calls --

    def _call(
        self, request: ClientRequest, route: Route, key: str, limits: KeyConfig, client: Client, line: CallLine
    ) -> Call | None:
        body = CallBody.read(request.body, route)
        deployment = self._deployment(body.model, route, limits)
        line.model, line.alias, line.stream = deployment.name, deployment.alias, body.stream
        wishes = wishes_of(request, time.time)
        ends_at = math.inf if wishes.seconds is None else line.began + wishes.seconds
        patience = limits.queue_wait_timeout
        gateway = self.serving.gateway
        admission = Admission(
            cost=RequestCost(input_tokens=body.input_tokens, output_tokens=body.output_tokens),
            group=self._groups[key],
            gives_up_at=line.began + (gateway.queue_wait_timeout if patience is None else patience),
            deadline=None if wishes.seconds is None else ends_at,
            priority=wishes.priority,
            session=wishes.session,
        )
        call = Call(self._gate, self._upstreams, self._book, client, request, line, admission)
        exchange = Exchange(request, route, body, gateway, client, call, ends_at=ends_at)
        call.begin(exchange, self._places[deployment.name, route.domain])
        return None if call.over else call

    def _deployment(self, model: str, route: Route, limits: KeyConfig) -> Deployment:
        deployment = self.serving.models.get(model)
        if deployment is None:
            raise Refusal(404, "model_not_found", "there is no such model here; GET /v1/models lists those there are")
        if limits.models is not None and not self._may_call(deployment, limits):
            raise Refusal(403, "model_not_allowed", "this key may not call this model")
        if deployment.family != route.family:
            path = "/v1/messages" if deployment.family == "anthropic" else "/v1/chat/completions"
            raise Refusal(400, "wrong_dialect", f"this model is called in another dialect, at {path}")
        return deployment


def _anthropic_model(name: str) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z"}
