"""The prices that the steps of a pipeline need. Penstock knows none of its own."""

from __future__ import annotations

from collections.abc import Iterable

from penstock import ModelConfig, Problem
from penstock_batch.providers.models import StepModel
from penstock_dialects import PRICE_EXAMPLE

__all__ = ["half_priced", "unpriced_problems"]


def half_priced(model: ModelConfig, kind: str) -> bool:
    """Whether answers to a step of this kind cost nothing only because the price does not say what they cost."""
    return kind == "chat" and model.price is not None and "output" not in model.price


def unpriced_problems(models: Iterable[StepModel]) -> list[Problem]:
    """The problems of models without a price, whose cost no budget can count."""
    unpriced = dict.fromkeys(model.name for model in models if model.prices is None)
    return [
        Problem(
            ("providers", provider, "models", alias, "price"),
            f"is missing, and [batch] budget counts what each call costs; write {PRICE_EXAMPLE}",
        )
        for provider, _, alias in (name.partition("/") for name in unpriced)
    ]
