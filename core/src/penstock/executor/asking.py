"""Attempts for shells that are not a task per call: at once where the gate is free, called back where it is not.

    attempt = scheduler.requests.ask("acme/small", on_turn)

The rules are those of `attempt`: the same options, the same outcomes, one classified release. Only its waits are not:
where new calls are held, since this machine is short of something, `ask` refuses and says until when.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from penstock.executor.attempt import Attempt, Classifier
from penstock.executor.consequences import GIVEN_UP, Consequences
from penstock.executor.gate import RequestGate
from penstock.executor.turns import Turn
from penstock.requests.items import RequestAdmissionItem, RequestAdmissionLease
from penstock.requests.waiters import RequestWaiter
from penstock.words.checks import shown
from penstock.words.errors import ConfigError, PenstockError

__all__ = ["OnTurn", "WaitingAttempt", "ask"]

OnTurn = Callable[["Attempt | PenstockError"], None]
"""Called once with the attempt, or with why there is none. What it raises is logged, and ends nobody else's step."""


class WaitingAttempt:
    """A call that waits for its turn. Made by `ask`."""

    def __init__(self, gate: RequestGate, turn: Turn) -> None:
        self._gate = gate
        self._turn = turn

    def cancel(self) -> bool:
        """Whether it still waited; it is not called back any more, and its place in line is gone."""
        return self._gate.run.here(self._cancel)

    @trio.lowlevel.enable_ki_protection
    def _cancel(self) -> bool:
        waited = self._gate.turns.leave(self._turn)
        if waited:
            self._gate.leave(self._turn.waiters)
        return waited


@trio.lowlevel.enable_ki_protection
def ask(
    gate: RequestGate,
    classify: Classifier,
    consequences: Consequences,
    items: Sequence[RequestAdmissionItem],
    on_turn: OnTurn,
    now: float,
) -> Attempt | WaitingAttempt:
    """The attempt, or the wait for it. Raises as `ModelRequestExecutor.ask`."""
    if not callable(on_turn):
        raise ConfigError(f"on_turn must be a function of an attempt or an error, not {shown(on_turn)}")
    items = items if len(items) == 1 else consequences.not_given_up(items)
    if not consequences.quiet(None):
        consequences.raise_if_held(items[0])

    def begin(lease: RequestAdmissionLease, began_at: float) -> Attempt:
        if not consequences.quiet(None):
            try:
                consequences.raise_if_held(lease.item)
            except PenstockError:
                gate.release(lease, GIVEN_UP)
                raise
        gate.call_started(lease, began_at)
        return Attempt(gate, classify, consequences, lease, began_at, None, None, None, True)

    def come(waiter: RequestWaiter) -> None:
        try:
            attempt = begin(gate.lease_of(waiter, now), gate.now())
        except PenstockError as error:
            on_turn(error)
            return
        try:
            on_turn(attempt)
        except BaseException as error:
            attempt.detach().release(None, error)
            raise

    chosen, waiting = gate.enter(items, now)
    if not waiting:
        return begin(gate.lease_of(chosen, now), now)
    turn = Turn(waiting, come)
    gate.turns.add(turn)
    return WaitingAttempt(gate, turn)
