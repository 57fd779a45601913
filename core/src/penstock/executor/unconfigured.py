"""The models that nobody configured and that are known all the same: how many there are is bounded.

They come by names that callers say, so there is no end to them. Once there are many, the idle ones are forgotten, and
with them what their limiters had learnt; one that is called again begins anew.
"""

from __future__ import annotations

from typing import Final

from penstock.requests.admission import RequestAdmissionController
from penstock.words.identity import ProviderModelKey

__all__ = ["UnconfiguredModels"]

KEPT: Final = 256
"""How many are known before idle ones are forgotten."""


class UnconfiguredModels:
    """The models of one controller that nobody configured."""

    def __init__(self, controller: RequestAdmissionController) -> None:
        self._controller = controller
        self._known: dict[ProviderModelKey, None] = {}
        self._sweep_at = KEPT

    @property
    def known(self) -> int:
        """How many are known."""
        return len(self._known)

    @property
    def bound(self) -> int:
        """How many are known at most before idle ones are forgotten."""
        return self._sweep_at

    def take_on(self, key: ProviderModelKey) -> bool:
        """Whether the model is to be registered, since nobody has; there is room for it then."""
        if self._controller.knows(key):
            return False
        if len(self._known) >= self._sweep_at:
            self._known = {each: None for each in self._known if not self._controller.forget(each)}
            self._sweep_at = KEPT + 2 * len(self._known)
        self._known[key] = None
        return True

    def configured(self, key: ProviderModelKey) -> None:
        """Note that a model is registered on purpose, and stays."""
        self._known.pop(key, None)
