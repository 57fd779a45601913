"""What is served, on its way from one process of a gateway to another: pickled, in pieces that fit into packets. Pure.

The processes are forks of one, and the sockets between them have no names: nobody else can say anything there.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from typing import Final

import attrs

from penstock_gateway.loading import Serving
from penstock_gateway.messages import Plan

__all__ = ["PlanReader", "ServingPlan", "pieces"]

PIECE: Final = 32 * 1024


@attrs.frozen
class ServingPlan:
    """`serving`, and the URLs of the embedded providers, which run beside the coordinator."""

    serving: Serving
    embedded: Mapping[str, str] = attrs.field(factory=dict)


def pieces(plan: ServingPlan) -> Iterator[Plan]:
    """The messages that tell a plan."""
    data = pickle.dumps(plan)
    for begin in range(0, len(data), PIECE):
        yield Plan(data[begin : begin + PIECE], begin + PIECE >= len(data))


class PlanReader:
    """Plans, of the pieces in which they come."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def take(self, piece: Plan) -> ServingPlan | None:
        """The plan whose last piece this is."""
        self._pieces.append(piece.piece)
        if not piece.last:
            return None
        data = b"".join(self._pieces)
        self._pieces.clear()
        plan: ServingPlan = pickle.loads(data)  # from a process of our own
        return plan
