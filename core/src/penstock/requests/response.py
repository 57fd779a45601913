"""What an answer looked like, in neutral terms."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from penstock.requests.hints import Hints
from penstock.requests.verdict import Verdict
from penstock.words.checks import a_duration, a_mapping, a_moment, an_instance, is_text, shown, whole_number
from penstock.words.errors import ConfigError

__all__ = ["ResponseFacts", "check_headers", "check_moments"]


def check_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """The headers, if they are text, name by name. Raises `ConfigError` otherwise."""
    for name, value in a_mapping(headers, "headers", "{'retry-after': '3'}").items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise ConfigError(f"headers must map text to text, not {shown(name)} to {shown(value)}")
    return headers


def check_moments(elapsed: float | None, first_token_at: float | None) -> None:
    """Raises `ConfigError` unless these are seconds since a call went out, or not known."""
    if elapsed is not None and (type(elapsed) is not float or not elapsed >= 0):
        a_duration(elapsed, "elapsed")
    if first_token_at is not None and (type(first_token_at) is not float or not first_token_at >= 0):
        a_duration(first_token_at, "first_token_at")


class ResponseFacts(Struct, frozen=True, kw_only=True, weakref=True):
    """What an answer looked like, in neutral terms, for `penstock_classify_outcome`.

    `status` is the HTTP status or `None` if no answer came; `headers` have lower-case names; `error_type` is
    the provider's own word for the error; `elapsed` and `first_token_at` are seconds since the call went out;
    `received_at` is the moment of the run's clock at which the answer's head arrived.

    `hints` and `verdict` are what a reader of the provider's dialect made of the answer. Without them the core reads
    the status, the headers, and the code in `body`, or `error_type` where that is given. Raises `ConfigError` for
    anything else.
    """

    status: int | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    error_type: str | None = None
    elapsed: float | None = None
    first_token_at: float | None = None
    received_at: float | None = None
    body: bytes | str | None = None
    hints: Hints | None = None
    verdict: Verdict | None = None

    def __repr__(self) -> str:
        return f"ResponseFacts({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """The fields to be shown: not the body, which may hold what was said."""
        return [(name, getattr(self, name)) for name in self.__struct_fields__ if name != "body"]

    def __post_init__(self) -> None:
        check_headers(self.headers)
        check_moments(self.elapsed, self.first_token_at)
        if self.status is not None and (type(self.status) is not int or not 0 <= self.status <= 999):
            whole_number(self.status, "status", 0, 999)
        if self.error_type is not None and not is_text(self.error_type):
            raise ConfigError(f"error_type must be text, not {shown(self.error_type)}")
        if self.received_at is not None:
            a_moment(self.received_at, "received_at")
        body: object = self.body
        if not (body is None or is_text(body) or isinstance(body, bytes)):
            raise ConfigError(f"body must be bytes or text, not {shown(body)}")
        if self.hints is not None and type(self.hints) is not Hints:
            an_instance(self.hints, Hints, "hints")
        if self.verdict is not None and type(self.verdict) is not Verdict:
            an_instance(self.verdict, Verdict, "verdict")
