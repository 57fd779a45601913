"""What is told of one call, to its client in headers and to the log in a line."""

from __future__ import annotations

import time
from typing import Any

import attrs
import msgspec

from penstock_gateway.routes import ROUTES

__all__ = ["CallLine", "LogLine"]


class LogLine(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    """A line of the log, as it is written; what has nothing to tell is left out. Nothing of what was said is in it."""

    at: float
    call: str
    key: str | None = None
    path: str | None = None
    model: str | None = None
    provider: str | None = None
    served: str | None = None
    stream: bool
    status: int
    tries: int | None = None
    refused: str | None = None
    failed: str | None = None
    cause: str | None = None
    waited: float | None = None
    first_byte: float | None = None
    seconds: float
    bytes_in: int
    bytes_out: int
    input_tokens: int | None = None
    output_tokens: int | None = None


@attrs.define(eq=False)
class CallLine:
    """What is told of a call, to its client and to the log."""

    number: str
    began: float
    begun: bool = False
    """Whether the client has some of the answer."""
    key: str = ""
    model: str = ""
    alias: bool = False
    """Whether that is a name for several models."""
    served: str = ""
    """Then, which of them was called, as `provider/model`."""
    stream: bool = False
    status: int = 0
    refused: str = ""
    failed: str = ""
    cause: str = ""
    """Of that, in the words of the system or the TLS library."""
    failed_at: float | None = None
    """When the last try failed, as a moment of trio's clock."""
    tries: int = 0
    provider: str = ""
    """Where it was made: of several endpoints, which."""
    waited: float | None = None
    admitted: float | None = None
    first_byte: float | None = None
    sent: int = 0
    usage: Any = None

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Those of the answer that are Penstock's own."""
        headers = [(b"x-penstock-call", self.number.encode())]
        if self.model and self.admitted is not None:
            headers.append((b"x-penstock-model", (self.served or self.model).encode()))
        if self.provider:
            headers.append((b"x-penstock-provider", self.provider.encode()))
        if self.waited is not None:
            headers.append((b"x-penstock-waited", b"%.3f" % self.waited))
        return headers

    def record(self, path: str, size: int, now: float) -> LogLine:
        """The line of the log; `size` is that of the call's body, in bytes, and `now` when the call was over."""
        usage = self.usage
        return LogLine(
            at=round(time.time(), 3),
            call=self.number,
            key=self.key or None,
            path=path if path in ROUTES else None,
            model=self.model or None,
            provider=self.provider or None,
            served=self.served or None,
            stream=self.stream,
            status=self.status,
            tries=self.tries if self.tries > 1 else None,
            refused=self.refused or None,
            failed=self.failed or None,
            cause=self.cause or None,
            waited=None if self.waited is None else round(self.waited, 4),
            first_byte=None if self.first_byte is None else round(self.first_byte, 4),
            seconds=round(now - self.began, 4),
            bytes_in=size,
            bytes_out=self.sent,
            input_tokens=None if usage is None else usage.input_tokens,
            output_tokens=None if usage is None else usage.output_tokens,
        )
