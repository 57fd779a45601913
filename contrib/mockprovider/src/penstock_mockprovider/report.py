"""What a mock provider saw, over all its models."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from penstock.testing import ModelReport

__all__ = ["MockReport"]


@frozen
class MockReport:
    """What the provider saw until now.

    `models`: what reached each model, and how it went. `rejected`: calls that reached none, by error code
    (`invalid_api_key`, `invalid_json`, `model_not_found`, `client_disconnect`, …).
    """

    models: Mapping[str, ModelReport]
    rejected: Mapping[str, int]

    @property
    def granted(self) -> int:
        """Calls that the true limits let in, over all models."""
        return sum(model.total.granted for model in self.models.values())

    @property
    def refused(self) -> int:
        """429s, over all models."""
        return sum(model.total.refused for model in self.models.values())
