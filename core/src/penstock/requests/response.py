"""What an answer looked like, in neutral terms."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from penstock.requests.answer_checks import check_facts
from penstock.requests.hints import Hints
from penstock.requests.verdict import Verdict

__all__ = ["ResponseFacts"]


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

    __post_init__ = check_facts  # type: ignore[misc]  # compiled, and nothing around it
