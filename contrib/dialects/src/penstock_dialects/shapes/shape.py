"""What a shape is: how a JSON value of it is recognised, and what it adds to an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from penstock_dialects.answer import Answer

__all__ = ["Shape"]


@attrs.frozen
class Shape:
    """One shape of JSON objects: a whole answer, or an event of a stream.

    `recognises` must be cheap and never raise; `read` is called for what is recognised, and must take any value in any
    place. What it raises all the same is a `provider_failure` of that answer.
    """

    name: str
    recognises: Callable[[dict[str, Any]], bool]
    read: Callable[[dict[str, Any], Answer], None]
