"""A cell's way from the answers that are kept for it to a value: judged, and asked again until one is accepted.

Each run may ask a cell `attempts` times. An answer that was kept is judged first, and costs nothing if it is accepted;
if it is not, what is wrong with it may go back to the model like that of a new one. A function of the user's judges in
a thread, so that it holds up no call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import trio

from penstock_batch.calls.judged_calls import with_repair
from penstock_batch.calls.judging import Accepted, Rejected, answer_text, judge
from penstock_batch.calls.model_use import CellFailed
from penstock_batch.calls.step_health import StepHealth
from penstock_batch.calls.tallies import StepTally
from penstock_batch.pipeline.steps import Step
from penstock_batch.store.answer import Answer

__all__ = ["NotAccepted", "UntilAccepted"]


class NotAccepted(CellFailed):
    """The end of a cell without an answer that is accepted, in one line."""


class UntilAccepted:
    """The judging of one step's cells in a run. `failures` cells that all fail give the step up; `tally` is told of
    answers that are asked for in the place of others.
    """

    def __init__(self, step: Step, failures: int, tally: StepTally) -> None:
        self._step = step
        self._health = StepHealth(failures)
        self._threads = trio.CapacityLimiter(step.workers)
        self._tally = tally

    async def value(
        self,
        body: Mapping[str, Any],
        kept: Sequence[Answer],
        values: Mapping[str, Any],
        ask: Callable[[Mapping[str, Any]], Awaitable[Answer]],
    ) -> Any:
        """The value of a cell that asks for `body` and has `kept` answers; `ask` gives one more, to what it is given.

        Raises `NotAccepted`, and what `ask` raises.
        """
        judged = await self._judged(kept, values) if kept else Rejected("it was not asked")
        last = kept[-1] if kept else None
        asked = 0
        while isinstance(judged, Rejected) and self._may_ask(judged, asked):
            if self._health.given_up is not None:
                raise NotAccepted(self._health.given_up)
            repairs = last is not None and judged.then == "repair"
            last = await ask(with_repair(body, answer_text(last), judged.told) if last and repairs else body)
            self._tally.asked_again += asked > 0 or bool(kept)
            asked += 1
            judged = await self._judged([last], values)
        if isinstance(judged, Accepted):
            self._health.accepted()
            return judged.value
        if asked:
            self._health.rejected(judged.reason)
        raise NotAccepted(judged.reason)

    def _may_ask(self, judged: Rejected, asked: int) -> bool:
        if judged.then == "nothing" or asked >= self._step.criteria.attempts:
            return False
        return judged.then != "later" or asked == 0

    async def _judged(self, answers: Sequence[Answer], values: Mapping[str, Any]) -> Accepted | Rejected:
        step = self._step
        if step.criteria.accept is None:
            return judge(step, answers, values)
        with trio.move_on_after(step.timeout):
            return await trio.to_thread.run_sync(
                judge, step, answers, values, abandon_on_cancel=True, limiter=self._threads
            )
        return Rejected(f"accept took longer than {step.timeout:g} s", "nothing")
