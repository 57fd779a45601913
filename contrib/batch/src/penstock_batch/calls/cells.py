"""The work of a cell: what is kept for it is judged, and where that does not do, one call is made or one function run.

    what the row asks → its key → the answers that are kept → judged → a call or a function → kept → judged …

A cell that its step does not want for this row is empty. Of several samples each is a cell of its own.

A cell that cannot be done raises `CellFailed` with one line for people, whatever it met with: what nobody foresaw costs
this cell too, and no other. Only a store that cannot be written is no cell's fault: `StoreLost`, which ends the run.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import trio

import penstock
from penstock_batch.calls.asking import NotAsked, ask
from penstock_batch.calls.calling import READERS, Calls, Keep
from penstock_batch.calls.claims import Claim, Claims
from penstock_batch.calls.joint_calls import JointCalls
from penstock_batch.calls.judging import last_words
from penstock_batch.calls.model_use import CellFailed, CellStopped, not_admitted
from penstock_batch.calls.row_in_work import RowInWork
from penstock_batch.calls.samples import all_samples
from penstock_batch.calls.tallies import Tallies
from penstock_batch.calls.until_accepted import UntilAccepted
from penstock_batch.pipeline.steps import Step
from penstock_batch.pipeline.templates import ROW, RenderError
from penstock_batch.rows.lines import copied, kept
from penstock_batch.store.answer import Answer
from penstock_batch.store.encoding import rounded
from penstock_batch.store.store import Store, StoreLost
from penstock_batch.words.failures import said_of
from penstock_batch.words.secrets import Secrets

__all__ = ["Cells"]


class Cells:
    """The execution of cells. `on_added` is called after each answer that is to be committed; a step of which the first
    `failures` cells have no answer that is accepted is given up.
    """

    def __init__(
        self,
        store: Store,
        claims: Claims,
        calls: Calls,
        secrets: Secrets,
        *,
        tallies: Tallies,
        failures: int,
        on_added: Callable[[], None],
    ) -> None:
        self._store = store
        self._claims = claims
        self._calls = calls
        self._joint = JointCalls(calls, store.committed, tallies.steps)
        self._secrets = secrets
        self._tallies = tallies
        self._failures = failures
        self._on_added = on_added
        self._judging: dict[str, UntilAccepted] = {}
        self._threads: dict[str, trio.CapacityLimiter] = {}
        self._reading = trio.CapacityLimiter(READERS)
        self._under_way: dict[bytes, trio.Event] = {}
        """Of each cell that is asked just now: until its answer is there."""

    async def do(self, step: Step, row: RowInWork) -> Any:
        """The value of the cell of `step` in a row, which is kept then. Raises `CellFailed`, `CellStopped`, or
        `StoreLost`.
        """
        try:
            return await self._do(step, row)
        except NotAsked as error:
            failed = CellFailed(str(error))
        except CellFailed as error:
            failed = error
        except (trio.Cancelled, CellStopped, StoreLost):
            raise
        except penstock.RequestAdmissionError as error:
            if isinstance(ended := not_admitted(error), CellStopped):
                raise ended from error
            failed = ended
        except BaseException as error:
            # Signals are heard by the run itself, so a KeyboardInterrupt too was raised by code, for this row.
            if _holds_a_cancellation(error):
                raise
            failed = CellFailed(said_of(error))
        raise CellFailed(self._secrets.text(str(failed)), failed.words)

    async def _do(self, step: Step, row: RowInWork) -> Any:
        values = {**row.values, ROW: row.columns}
        try:
            if not step.wanted(values):
                row.empty.add(step.name)
                return None
        except RenderError as error:
            raise CellFailed(f"it cannot be said when: {error}") from None
        claim = row.claims.pop(step.name, None) or await self._claim(step, row)
        try:
            if step.samples == 1:
                return await self._value(step, claim, values)
            at_once = 1 if step.model is None else step.model.max_parallel_requests
            with self._tallies.steps[step.name].sampling(step.samples) as over:

                async def one(number: int) -> Any:
                    try:
                        return await self._value(step, claim.samples[number], values)
                    finally:
                        over()

                return await all_samples(step.samples, at_once, one)
        finally:
            self._claims.release(claim)

    async def _claim(self, step: Step, row: RowInWork) -> Claim:
        if step.files is None:
            return self._claims.claim(step, row.identity, row.values, row.columns)
        # Its files are read to know what is asked: in a thread, since nobody knows where they lie.
        with trio.move_on_after(step.timeout):
            read = partial(ask, step, dict(row.values), row.columns)  # others may be done meanwhile
            asked = await trio.to_thread.run_sync(read, abandon_on_cancel=True, limiter=self._reading)
            return self._claims.claim_asked(step, row.identity, asked)
        raise CellFailed(f"its files could not be read within {step.timeout:g} s")

    async def _value(self, step: Step, claim: Claim, values: Mapping[str, Any]) -> Any:
        """The value of a cell, or of one sample of it, when its answers are on the disk."""
        if step.name not in self._judging:
            self._judging[step.name] = UntilAccepted(step, self._failures, self._tallies.steps[step.name])
        ask = partial(self._answer, step, claim)
        value: Any = None
        failed: CellFailed | None = None
        await self._wait_for_others(claim)
        try:
            value = await self._judging[step.name].value(claim.asked.body, claim.answers, values, ask)
        except CellFailed as error:
            failed = CellFailed(str(error), last_words(claim.answers))
        finally:
            self._under_way.pop(claim.key).set()
        await self._store.committed()
        if failed is not None:
            raise failed
        return value

    async def _wait_for_others(self, claim: Claim) -> None:
        """Wait until nobody else is at this cell, which rows may share, and see what they have found."""
        while (event := self._under_way.get(claim.key)) is not None:
            await event.wait()
        claim.answers = self._store.find([claim.key]).get(claim.key, ())
        self._under_way[claim.key] = trio.Event()

    async def _answer(self, step: Step, claim: Claim, body: Mapping[str, Any]) -> Answer:
        """One more answer for a cell, which is kept under what the cell asks first, whatever is asked now."""
        keep = partial(self._keep, step, claim)
        if step.model is None:
            return await self._compute(step, claim, keep)
        if step.batch_size > 1:
            return await self._joint.call(step, claim.asked, partial(self._put, step, claim))
        return await self._calls.call(step, claim.asked.but(body), keep)

    async def _keep(self, step: Step, claim: Claim, answer: Answer) -> None:
        """Keep an answer, on the disk. Raises `CellFailed` if it cannot be."""
        self._put(step, claim, answer)
        await self._store.committed()

    def _put(self, step: Step, claim: Claim, answer: Answer) -> None:
        """Give an answer to the store, for its next commit. Raises `CellFailed` if it cannot be kept."""
        vector = step.kind == "embedding"
        try:
            value = rounded(answer.value) if vector else answer.value
            answer = answer.but(value=value, row=0 if step.share else claim.row)
            self._store.add(claim.key, step.name, answer, vector=vector)
        except (TypeError, ValueError, OverflowError) as error:
            raise CellFailed(f"the answer holds what JSON cannot hold: {error}") from None
        claim.answers = (*claim.answers, answer)
        self._on_added()

    # -- python --

    async def _compute(self, step: Step, claim: Claim, keep: Keep) -> Answer:
        assert step.function is not None
        started = trio.current_time()
        call = partial(step.function, **copied(dict(claim.asked.body)))
        with self._tallies.steps[step.name].working(), trio.move_on_after(step.timeout) as in_time:
            if step.thread and not inspect.iscoroutinefunction(step.function):
                value = await trio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=self._threads_of(step))
            else:
                with self._tallies.steps[step.name].in_loop():
                    value = call()
            if inspect.isawaitable(value):
                value = await value
        if in_time.cancelled_caught:
            raise CellFailed(f"took longer than its timeout of {step.timeout:g} s")
        try:
            held = self._secrets.value(kept(value))
        except Exception as error:  # a foreign object may do anything while it is looked at
            said = str(error) if type(error) in (TypeError, ValueError) else said_of(error)
            raise CellFailed(f"returned what JSON cannot hold: {said}") from None
        answer = Answer(value=held, at=datetime.now(UTC).timestamp(), elapsed=trio.current_time() - started)
        await keep(answer)
        return answer

    def _threads_of(self, step: Step) -> trio.CapacityLimiter:
        """The threads of a step, which are no others': name look-ups and commits never wait for a user's function."""
        if step.name not in self._threads:
            self._threads[step.name] = trio.CapacityLimiter(step.workers)
        return self._threads[step.name]


def _holds_a_cancellation(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(trio.Cancelled) is not None
    return False
