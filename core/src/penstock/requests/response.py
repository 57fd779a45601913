"""What an answer looked like, in neutral terms."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import attrs

__all__ = ["ResponseFacts"]


@attrs.frozen(kw_only=True)
class ResponseFacts:
    """What an answer looked like, in neutral terms, for `penstock_classify_outcome`.

    `status` is the HTTP status or `None` if no answer came; `headers` have lower-case names; `error_type` is
    the provider's own word for the error; `elapsed` and `first_token_at` are seconds since the call went out;
    `received_at` is the moment of the run's clock at which the answer's head arrived.
    """

    status: int | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    error_type: str | None = None
    elapsed: float | None = None
    first_token_at: float | None = None
    received_at: float | None = None
