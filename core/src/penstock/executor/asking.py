"""Attempts for shells that are not a task per call: at once where the gate is free, called back where it is not.

    attempt = scheduler.requests.ask("acme/small", on_turn)

The rules are those of `attempt`: the same options, the same outcomes, one classified release. Only its waits are not:
where new calls are held, since this machine is short of something, `ask` refuses and says until when.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from penstock.executor.attempt import Attempt
from penstock.executor.attempt_state import Classifier
from penstock.executor.consequences import GIVEN_UP, Consequences
from penstock.executor.gate_steps import GateSteps
from penstock.executor.turns import Turn
from penstock.executor.waiting_attempt import WaitingAttempt
from penstock.requests.items import RequestAdmissionItem, RequestAdmissionLease
from penstock.requests.waiters import RequestWaiter
from penstock.words.errors import PenstockError

__all__ = ["Asking", "OnTurn"]

OnTurn = Callable[["Attempt | PenstockError"], None]
"""Called once with the attempt, or with why there is none. What it raises is logged, and ends nobody else's step."""


class Asking:
    """The attempts of one executor that nobody waits for in a task. Who asks is protected against Ctrl+C."""

    def __init__(self, gate: GateSteps, classify: Classifier, consequences: Consequences) -> None:
        self._gate = gate
        self._classify = classify
        self._consequences = consequences

    def ask(self, items: Sequence[RequestAdmissionItem], on_turn: OnTurn, now: float) -> Attempt | WaitingAttempt:
        """The attempt, or the wait for it. Raises as `ModelRequestExecutor.ask`."""
        gate, known = self._gate, self._consequences
        if len(items) > 1:
            items = known.not_given_up(items)
        if not known.quiet(None):
            known.raise_if_held(items[0])
        chosen, waiting = gate.enter(items, now)
        if not waiting:
            return self.begin(gate.lease_of(chosen, now), now)
        turn = Turn(waiting, _Coming(self, gate, on_turn, now).come)
        gate.turns.add(turn)
        return WaitingAttempt(gate, turn)

    def begin(self, lease: RequestAdmissionLease, began_at: float) -> Attempt:
        """The attempt of a lease. Raises `PenstockError` where calls are held by now."""
        gate, known = self._gate, self._consequences
        if not known.quiet(None):
            try:
                known.raise_if_held(lease.item)
            except PenstockError:
                gate.give_back(lease, GIVEN_UP, gate.run.now_to_change())
                raise
        gate.call_started(lease, began_at)
        return Attempt(gate, self._classify, known, lease, began_at, None, None, None, True)


class _Coming:
    """A call that waits `since` then, and what is to be called when its turn has come."""

    __slots__ = ("_asking", "_gate", "_on_turn", "_since")

    def __init__(self, asking: Asking, gate: GateSteps, on_turn: OnTurn, since: float) -> None:
        self._asking = asking
        self._gate = gate
        self._on_turn = on_turn
        self._since = since

    def come(self, waiter: RequestWaiter) -> None:
        """The wait of the call is over."""
        gate = self._gate
        try:
            attempt = self._asking.begin(gate.lease_of(waiter, self._since), gate.run.now())
        except PenstockError as error:
            self._on_turn(error)
            return
        try:
            self._on_turn(attempt)
        except BaseException as error:
            attempt.detach().release(None, error)
            raise
