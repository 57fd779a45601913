"""A line of the log, as it is written."""

from __future__ import annotations

import msgspec

__all__ = ["LogLine"]


class LogLine(msgspec.Struct, omit_defaults=True, kw_only=True, eq=False, gc=False):
    """One call that is over. What has nothing to tell is left out. Nothing of what was said is in it."""

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
    """How often it was tried, if more than once."""
    refused: str = ""
    failed: str = ""
    cause: str = ""
    """Of that, in the words of the system or the TLS library."""
    ended: str = ""
    """How the answer ended, where that is neither `stop` nor `tool_calls`: `error` of one that holds an error, whatever
    its status, `cut`, `length`, `content_filter`, `refusal`, `empty` or `paused`."""
    waited: float | None = None
    first_byte: float | None = None
    seconds: float
    bytes_in: int
    bytes_out: int
    input_tokens: int | None = None
    output_tokens: int | None = None
