"""What is told of one call, to its client in headers and to the log in a line."""

from __future__ import annotations

import time

from penstock import Usage
from penstock_gateway.log_line import LogLine
from penstock_gateway.routes import ROUTES

__all__ = ["CallLine"]


class CallLine:
    """What is told of the call with a `number` that has `began` then: gathered while it goes on. Names are those of
    `LogLine`; moments are of trio's clock, and times in seconds.
    """

    # Named with their values, and in no slots: of most nothing is ever said, and what is not said is not set.
    key: str = ""
    model: str = ""
    alias: bool = False
    """Whether `model` is a name for several models."""
    provider: str = ""
    served: str = ""
    stream: bool = False
    status: int = 0
    tries: int = 0
    refused: str = ""
    failed: str = ""
    cause: str = ""
    failed_at: float | None = None
    """When the last try failed."""
    admitted: float | None = None
    waited: float | None = None
    first_byte: float | None = None
    ended: str = ""
    bytes_out: int = 0
    usage: Usage | None = None

    def __init__(self, number: str, began: float) -> None:
        self.number = number
        self.began = began

    def headers(self) -> bytes:
        """Those of the answer that are Penstock's own, as they are written."""
        text = f"x-penstock-call: {self.number}\r\n"
        if self.admitted is not None:
            text += f"x-penstock-model: {self.served or self.model}\r\n"
        if self.provider:
            text += f"x-penstock-provider: {self.provider}\r\n"
        if self.waited:
            text += f"x-penstock-waited: {self.waited:.3f}\r\n"
        elif self.waited is not None:
            text += "x-penstock-waited: 0.000\r\n"  # as of nearly all: to write a figure costs more than all else here
        return text.encode()

    def logged(self, path: str, size: int, now: float) -> LogLine:
        """The line of the call, which is over `now`; `size` is that of its body, in bytes."""
        usage = self.usage
        return LogLine(
            at=int(time.time() * 1e3) / 1e3,
            call=self.number,
            key=self.key,
            path=path if path in ROUTES else "",
            model=self.model,
            provider=self.provider,
            served=self.served,
            stream=self.stream,
            status=self.status,
            tries=self.tries if self.tries > 1 else 0,
            refused=self.refused,
            failed=self.failed,
            cause=self.cause,
            ended=self.ended,
            waited=None if self.waited is None else _rounded(self.waited),
            first_byte=None if self.first_byte is None else _rounded(self.first_byte),
            seconds=_rounded(now - self.began),
            bytes_in=size,
            bytes_out=self.bytes_out,
            input_tokens=None if usage is None else usage.input_tokens,
            output_tokens=None if usage is None else usage.output_tokens,
        )


def _rounded(seconds: float) -> float:
    """Seconds with four digits."""
    return int(seconds * 1e4 + 0.5) / 1e4
