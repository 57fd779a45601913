"""Whether a cell has an answer that counts, among all that are kept for it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from penstock_batch.pipeline.steps import Step
from penstock_batch.store.answer import Answer

__all__ = ["Accepted", "Rejected", "judge"]


@attrs.frozen
class Accepted:
    """The value of a cell."""

    value: Any


@attrs.frozen
class Rejected:
    """The reason why no answer of a cell counts, in one line."""

    reason: str


def judge(_step: Step, answers: Sequence[Answer], _values: Mapping[str, Any]) -> Accepted | Rejected:
    """The verdict on the answers that a cell has had, in the order in which they came: the last counts."""
    return Accepted(answers[-1].value) if answers else Rejected("there is no answer yet")
