"""What a call says at each place where it may be made: put into the words of its provider, with what its files hold.

What files hold is in memory no longer than the attempt that sends it; all else is put into words once for each place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio

from penstock_batch.calls.asking import Asked, NotAsked
from penstock_batch.calls.model_use import CellFailed, NotServed
from penstock_batch.calls.place_use import Outgoing, PlaceUse
from penstock_batch.pipeline.steps import Step
from penstock_batch.providers.native.conversation import NotSaid

__all__ = ["OutgoingCall", "said_at"]


def said_at(place: PlaceUse, kind: str, body: Mapping[str, Any]) -> Outgoing:
    """A call in the words of a place. Raises `NotServed` where it has none for it."""
    try:
        return place.outgoing(kind, body)
    except NotSaid as error:
        raise NotServed(f"not called, {place.provider} cannot be told: {error}") from None


class OutgoingCall:
    """A call, as it goes out at any place. Its files are read in threads, of which `reading` says how many there may be
    at a time.
    """

    def __init__(self, step: Step, asked: Asked, reading: trio.CapacityLimiter) -> None:
        self._step = step
        self._asked = asked
        self._reading = reading
        self._said: dict[str, Outgoing] = {}

    def input_tokens(self, place: PlaceUse) -> int:
        """An estimate of the tokens of what is sent to a place. Raises `NotServed`."""
        return self._asked.input_tokens(b"" if self._asked.attached else self._without_files(place).body)

    async def at(self, place: PlaceUse) -> Outgoing:
        """What is sent to a place. Raises `NotServed`, or `CellFailed` where its files cannot be read."""
        if not self._asked.attached:
            return self._without_files(place)
        with trio.move_on_after(self._step.timeout):
            try:
                return await trio.to_thread.run_sync(
                    self._with_files, place, abandon_on_cancel=True, limiter=self._reading
                )
            except NotAsked as error:
                raise CellFailed(str(error)) from None
        raise CellFailed(f"its files could not be read within {self._step.timeout:g} s")

    def _without_files(self, place: PlaceUse) -> Outgoing:
        if place.model.name not in self._said:
            self._said[place.model.name] = said_at(place, self._step.kind, self._asked.body)
        return self._said[place.model.name]

    def _with_files(self, place: PlaceUse) -> Outgoing:
        return said_at(place, self._step.kind, self._asked.whole())
