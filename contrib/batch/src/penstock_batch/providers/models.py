"""A model, as a step calls it."""

from __future__ import annotations

import attrs

from penstock_dialects import Prices

__all__ = ["StepModel"]


@attrs.frozen
class StepModel:
    """The model of a step: `name` is what the pipeline calls it, `provider/model`; `model_id` the provider's own name
    for it; `dialect` the kind of its provider, `prices` what the pipeline says that it costs.
    """

    name: str
    provider: str
    model_id: str
    max_parallel_requests: int
    dialect: str = "openai"
    prices: Prices | None = None
