"""A model, as a step calls it."""

from __future__ import annotations

import attrs

from penstock_dialects import Prices

__all__ = ["StepModel"]


@attrs.frozen
class StepModel:
    """The model of a step: `name` is what the pipeline calls it, `provider/model`; `model_id` the provider's own name
    for it; `dialect` the kind of its provider, `prices` what the pipeline says that it costs.

    A model that several endpoints serve has `places`, each with a name of its own (`provider@endpoint/model`), and may
    have as many calls at a time as all of them together.
    """

    name: str
    provider: str
    model_id: str
    max_parallel_requests: int
    dialect: str = "openai"
    prices: Prices | None = None
    places: tuple[StepModel, ...] = ()

    @property
    def served(self) -> tuple[StepModel, ...]:
        """Where it is called: its places, or itself."""
        return self.places or (self,)
