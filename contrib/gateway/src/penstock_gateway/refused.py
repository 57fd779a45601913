"""The answer to a request that is refused, in the form of its dialect. Pure."""

from __future__ import annotations

from typing import Final

from penstock_gateway.answer_writer import whole_answer
from penstock_gateway.call_line import CallLine
from penstock_gateway.refusal import Refusal
from penstock_gateway.request_parser import ClientRequest
from penstock_gateway.routes import ROUTES, Family

__all__ = ["JSON", "family_of", "refused"]

JSON: Final = (b"content-type", b"application/json")


def refused(request: ClientRequest | None, refusal: Refusal, line: CallLine | None = None, *, close: bool) -> bytes:
    """The answer to a request that is refused; `None` for one that was none."""
    headers = [JSON]
    if refusal.seconds is not None:
        headers.append((b"retry-after", b"%d" % refusal.seconds))
    if refusal.allow is not None:
        headers.append((b"allow", refusal.allow.encode()))
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    own = b"" if line is None else line.headers()
    head_only = request is not None and request.method == "HEAD"
    body = refusal.body("openai" if request is None else family_of(request))
    return whole_answer(refusal.status, headers, body, own=own, close=close, head_only=head_only)


def family_of(request: ClientRequest) -> Family:
    """The form in which a client reads errors."""
    route = ROUTES.get(request.path)
    if route is not None:
        return route.family
    return "anthropic" if request.header(b"anthropic-version") is not None else "openai"
