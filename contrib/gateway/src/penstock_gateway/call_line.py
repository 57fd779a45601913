"""What is told of one call, to its client in headers and to the log in a line."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from penstock import Usage
from penstock_gateway.routes import ROUTES

__all__ = ["CallLine"]

_NEVER: Final = 0.0


class CallLine(msgspec.Struct, omit_defaults=True, kw_only=True, eq=False):
    """What is told of a call: gathered while it goes on, and when it is over a line of the log as it stands. What has
    nothing to tell is left out there. Nothing of what was said is in it.
    """

    at: float
    """When it was over: the time of day."""
    call: str
    """Its number."""
    key: str = ""
    path: str = ""
    model: str = ""
    provider: str = ""
    """Where it was made: of several endpoints, which."""
    served: str = ""
    """Of an alias, which of its models was called, as `provider/model`."""
    stream: bool
    status: int
    tries: int = 0
    refused: str = ""
    failed: str = ""
    cause: str = ""
    """Of that, in the words of the system or the TLS library."""
    waited: float | None = None
    first_byte: float | None = None
    seconds: float
    bytes_in: int
    bytes_out: int
    input_tokens: int | None = None
    output_tokens: int | None = None
    # What is not for the log is forgotten at the end.
    began: float = _NEVER
    alias: bool = False
    """Whether `model` is a name for several models."""
    failed_at: float | None = None
    """When the last try failed, as a moment of trio's clock."""
    admitted: float | None = None
    usage: Usage | None = None

    @classmethod
    def new(cls, number: str, now: float) -> CallLine:
        """The line of a call that has come `now`."""
        return cls(at=0.0, call=number, stream=False, status=0, seconds=0.0, bytes_in=0, bytes_out=0, began=now)

    def headers(self) -> bytes:
        """Those of the answer that are Penstock's own, as they are written."""
        text = f"x-penstock-call: {self.call}\r\n"
        if self.admitted is not None:
            text += f"x-penstock-model: {self.served or self.model}\r\n"
        if self.provider:
            text += f"x-penstock-provider: {self.provider}\r\n"
        if self.waited is not None:
            text += f"x-penstock-waited: {self.waited:.3f}\r\n"
        return text.encode()

    def close(self, path: str, size: int, now: float) -> None:
        """The call is over, `now`; `size` is that of its body, in bytes."""
        self.at = int(time.time() * 1e3) / 1e3
        self.path = path if path in ROUTES else ""
        if self.tries == 1:
            self.tries = 0
        if self.waited is not None:
            self.waited = int(self.waited * 1e4 + 0.5) / 1e4
        if self.first_byte is not None:
            self.first_byte = int(self.first_byte * 1e4 + 0.5) / 1e4
        self.seconds = int((now - self.began) * 1e4 + 0.5) / 1e4
        self.bytes_in = size
        if self.usage is not None:
            self.input_tokens, self.output_tokens = self.usage.input_tokens, self.usage.output_tokens
        self.began, self.alias, self.failed_at, self.admitted, self.usage = _NEVER, False, None, None, None
