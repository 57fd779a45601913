"""One place at which a model is called, as a run uses it: its client and key, the health of its calls, their counts.

A model that no endpoints serve has one place, which is the model itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from penstock_batch.calls.giving_up import FailureKind, ModelHealth
from penstock_batch.calls.tallies import ModelTally
from penstock_batch.providers.clients import ModelClient
from penstock_batch.providers.models import StepModel
from penstock_batch.providers.native.bodies import Speaking
from penstock_batch.providers.native.protocols import protocol_of
from penstock_batch.rows.lines import json_bytes
from penstock_dialects import dialect_at, find_dialect

__all__ = ["Outgoing", "PlaceUse"]


@attrs.frozen
class Outgoing:
    """A call as it goes out at one place: its path behind the base URL, and its body."""

    path: str
    body: bytes


class PlaceUse:
    """One place at which a model is called. `model` has its name, its provider or endpoint, and the id that is sent."""

    def __init__(
        self,
        model: StepModel,
        client: ModelClient,
        key: str | None,
        health: ModelHealth,
        tally: ModelTally,
        speaking: Speaking,
    ) -> None:
        self.model = model
        self.client = client
        self.key = key
        self.health = health
        self.tally = tally
        self._protocol = protocol_of(speaking.name)
        self._speaking = speaking
        named = self._protocol.dialect
        self.dialect = dialect_at(client.host) if named is None else find_dialect(named)

    @property
    def provider(self) -> str:
        """The provider, or the endpoint as the gates know it: `acme@first`."""
        return self.model.provider

    def outgoing(self, kind: str, body: Mapping[str, Any]) -> Outgoing:
        """The call that asks for `body` here, in the words of this provider. Raises `NotSaid`."""
        sent = self._protocol.make[kind]({**body, "model": self.model.model_id}, self._speaking)
        return Outgoing(sent.path, json_bytes(sent.body))

    def failed(self, kind: FailureKind, reason: str, now: float) -> bool:
        """Note a failed call; whether the place is given up, by this or before."""
        if kind == "limited":
            self.tally.limited += 1
        else:
            self.tally.failed += 1
        return self.judged(kind, reason, now)

    def judged(self, kind: FailureKind, reason: str, now: float) -> bool:
        """Note what a call that was counted before says of the place; whether it is given up, by this or before."""
        return self.health.failed(kind, reason, now) is not None
