"""Weighted fair order: worst-case fair weighted fair queueing (WF²Q+), over lanes that can be parked.

Source: J. C. R. Bennett and H. Zhang, "Hierarchical packet fair queueing algorithms", IEEE/ACM Transactions
on Networking 5(5), 1997. Each group has a start tag S and, with the cost c of its head and its weight w, a
finish tag F = S + c/w. Of the groups whose start tag the virtual clock V has reached, the one with the
smallest finish tag goes first; then its S becomes F, and V advances by c over the sum of the weights that
compete, and never stays behind the smallest S. A group that comes back from having nothing queued starts at
max(F, V): it has saved nothing up, and has not been forgiven what it took ahead.

Four things are ours, since in the paper nobody is ever refused, and there is one link:

- A group that is parked does not compete, so V does not run for it: it keeps its distance to V and comes back
  with the same. It has no claim to a burst for the time in which it was refused, and loses no claim from
  before.
- There is a clock for each *home*, the resource of which a task takes most. All sizes of it share that clock, so that
  weights hold in units. What is served moves the clocks of all homes in which something fits; one in which nothing
  does stands still, since nobody there competes for what is given out meanwhile. Start tags are compared between homes
  by their distance to their clocks.
- Lanes of one shape stand in an arena. One that is not offered keeps its own time: V stands still there, whatever is
  served meanwhile. So a class of ten thousand refused groups is put off and taken up again at no cost.
- Who does not fit goes on competing: others run ahead of it until it is first, and then room is kept for it.

An idle group is kept until V has passed its F; after that its return is the same as that of a group never seen. Beyond
4,096 of them at one clock those go first whose F is nearest: who has taken least ahead is forgiven.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from penstock_fairqueue.accounts import Accounts, Home
from penstock_fairqueue.arena import FairArena

__all__ = ["FairArena", "FairOrder"]

T = TypeVar("T")


class _KnownHome(Home):
    """A home that is known as long as an arena is there: it can be referred to weakly, which no compiled class can."""

    __slots__ = ("__weakref__",)


class FairOrder(Generic[T]):
    """An `Order` that gives each group its share by weight and cost. Pure."""

    def __init__(self) -> None:
        self._accounts = Accounts(_KnownHome)

    def arena(self, home: Hashable) -> FairArena[T]:
        return FairArena(self._accounts, self._accounts.home(home))

    @property
    def remembered(self) -> int:
        """How many groups with nothing queued are remembered, since they have taken ahead."""
        return self._accounts.remembered

    def forget(self) -> None:
        """Nothing is queued: nobody has taken ahead of anybody."""
        self._accounts.forget()
