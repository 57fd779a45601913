"""Where a call gets its place from: the few words that a front and a gate share, whichever process the gate is in.

gate.ask(places, call, on_turn)    a place now, or the wait for it, at whose end `on_turn` is called
place.answered(facts, usage)       what came back from place.resource
place.release(error)               the end
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from penstock import PenstockError, RequestCost, RequestGroupSpec, RequestResourceKey, ResponseFacts, Usage

__all__ = ["Admission", "Gate", "NotAdmitted", "OnTurn", "Place", "Waiting"]


class Admission:
    """What a call asks for, wherever it is made. `gives_up_at` and `deadline` are moments of trio's clock: until when
    it waits for its turn, and by when it must have gone out. `priority` is that among the calls of its group: 0 for
    those that say nothing. Calls of one `session` go to one place, where there are several.
    """

    __slots__ = ("cost", "deadline", "gives_up_at", "group", "priority", "session")

    def __init__(
        self,
        cost: RequestCost,
        group: RequestGroupSpec,
        gives_up_at: float,
        deadline: float | None = None,
        priority: int = 0,
        session: str = "",
    ) -> None:
        self.cost = cost
        self.group = group
        self.gives_up_at = gives_up_at
        self.deadline = deadline
        self.priority = priority
        self.session = session


class NotAdmitted(Exception):
    """There is no place for a call; its provider never saw it.

    `reason` is one of `REQUEST_REASONS`, `detail` the same in words and figures, `retry_after` the seconds after which
    it might go, if that is known, and `limit_of` whose limit it was: `group NAME` for those of its key, and `quota of
    group NAME` for what that may use in a day or a month.
    """

    def __init__(self, reason: str, detail: str = "", retry_after: float | None = None, limit_of: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.retry_after = retry_after
        self.limit_of = limit_of


class Place(Protocol):
    """A call that may go out now, to `resource`, until it is released."""

    @property
    def resource(self) -> RequestResourceKey:
        """Where it may go."""

    def answered(self, facts: ResponseFacts, usage: Usage | None) -> None:
        """What came back, as far as it came; the last word counts."""

    def release(self, error: BaseException | None = None) -> None:
        """The end of the call: by what came back, or by an error. Only the first counts. Waits for nothing."""

    def give_back(self) -> None:
        """The end without a call: nothing was used up."""


class Waiting:
    """A call that waits for its turn. `cancel` says whether it still waited: it is not called back any more then, and
    its place in line is gone. It raises nothing.
    """

    __slots__ = ("cancel",)

    def __init__(self, cancel: Callable[[], bool]) -> None:
        self.cancel = cancel


OnTurn = Callable[["Place | NotAdmitted | PenstockError"], None]
"""Called once, with the place or with why there is none."""


class Gate(Protocol):
    """The one that gives places."""

    def ask(self, places: Sequence[RequestResourceKey], call: Admission, on_turn: OnTurn) -> Place | Waiting:
        """A place at one of these, if one is free now; else the wait for it, at whose end `on_turn` is called.

        Whoever has a place must release it. Raises `NotAdmitted`, and `PenstockError` where a plugin has failed.
        """
