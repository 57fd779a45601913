"""The wait of a call that is no task, as whoever asked for it may end it."""

from __future__ import annotations

import trio

from penstock.executor.gate_steps import GateSteps
from penstock.executor.turns import Turn

__all__ = ["WaitingAttempt"]


class WaitingAttempt:
    """A call that waits for its turn. Made by `ask`."""

    def __init__(self, gate: GateSteps, turn: Turn) -> None:
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
