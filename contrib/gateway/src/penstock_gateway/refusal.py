"""A refusal on its way to a client: status, seconds to wait, and a body in the form of its dialect."""

from __future__ import annotations

from math import ceil
from typing import Any, Final

import attrs
import msgspec

from penstock_gateway.routes import Family

__all__ = ["Refusal"]

_ANTHROPIC: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
_OPENAI: Final = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


@attrs.frozen
class Refusal(Exception):
    """`code` is a word for programs, `message` a line for people. `retry_after` in seconds; `None`: it would not help,
    or nobody knows. `waited` is how long the call stood in line. `allow` is the method that is allowed.
    """

    status: int
    code: str
    message: str
    retry_after: float | None = None
    waited: float | None = None
    allow: str | None = None

    @property
    def seconds(self) -> int | None:
        """What `Retry-After` says: whole seconds, at least one."""
        return None if self.retry_after is None else max(1, ceil(self.retry_after))

    def body(self, family: Family) -> bytes:
        """The error as clients of the family read it; what only Penstock says stands under `penstock`."""
        own: dict[str, Any] = {"code": self.code}
        if self.waited is not None:
            own["waited_seconds"] = round(self.waited, 3)
        if self.retry_after is not None:
            own["retry_after_seconds"] = self.seconds
        if family == "anthropic":
            kind = _ANTHROPIC.get(self.status, "api_error")
            error: dict[str, Any] = {"type": kind, "message": self.message, "penstock": own}
            return msgspec.json.encode({"type": "error", "error": error})
        kind = _OPENAI.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        error = {"message": self.message, "type": kind, "param": None, "code": self.code, "penstock": own}
        return msgspec.json.encode({"error": error})
