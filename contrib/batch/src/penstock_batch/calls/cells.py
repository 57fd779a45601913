"""The work of a cell: what is kept for it is judged, and where that does not do, one call is made or one function run.

    what the row asks → its key → the answers that are kept → judged → a call or a function → kept → judged

A cell that cannot be done raises `CellFailed` with one line for people, whatever it met with: what nobody foresaw costs
this cell too, and no other. Only a store that cannot be written is no cell's fault: `StoreLost`, which ends the run.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import trio

import penstock
from penstock_batch.calls.asking import NotAsked
from penstock_batch.calls.calling import Calls
from penstock_batch.calls.claims import Claim, Claims
from penstock_batch.calls.judging import Accepted, judge
from penstock_batch.calls.model_use import CellFailed, CellStopped
from penstock_batch.calls.row_in_work import RowInWork
from penstock_batch.pipeline.steps import Step
from penstock_batch.rows.lines import kept
from penstock_batch.store.answer import Answer
from penstock_batch.store.store import Store, StoreLost
from penstock_batch.words.failures import said_of
from penstock_batch.words.secrets import Secrets

__all__ = ["Cells"]


class Cells:
    """The execution of cells. `on_added` is called after each answer that is to be committed."""

    def __init__(
        self, store: Store, claims: Claims, calls: Calls, secrets: Secrets, *, on_added: Callable[[], None]
    ) -> None:
        self._store = store
        self._claims = claims
        self._calls = calls
        self._secrets = secrets
        self._on_added = on_added
        self._threads: dict[str, trio.CapacityLimiter] = {}
        self._under_way: dict[bytes, trio.Event] = {}
        """Of cells that rows share: until their answer is there."""

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
            if error.reason in ("shutdown", "cancellation"):
                raise CellStopped from error
            failed = CellFailed(f"not admitted: {error}")
        except BaseException as error:
            # Signals are heard by the run itself, so a KeyboardInterrupt too was raised by code, for this row.
            if _holds_a_cancellation(error):
                raise
            failed = CellFailed(said_of(error))
        raise CellFailed(self._secrets.text(str(failed)))

    async def _do(self, step: Step, row: RowInWork) -> Any:
        claim = row.claims.pop(step.name, None) or self._claims.claim(step, row.identity, row.values, row.columns)
        if step.share:
            await self._wait_for_others(claim)
        try:
            judged = judge(step, claim.answers, row.values)
            if not isinstance(judged, Accepted):
                await self._answer(step, claim)
                judged = judge(step, claim.answers, row.values)
        finally:
            if step.share:
                self._under_way.pop(claim.key).set()
        await self._store.committed()
        if not isinstance(judged, Accepted):
            raise CellFailed(judged.reason)
        return judged.value

    async def _wait_for_others(self, claim: Claim) -> None:
        """Wait until no other row is at the cell that this one shares, and see what they have found."""
        while (event := self._under_way.get(claim.key)) is not None:
            await event.wait()
        claim.answers = self._store.find([claim.key]).get(claim.key, ())
        self._under_way[claim.key] = trio.Event()

    async def _answer(self, step: Step, claim: Claim) -> None:
        """One more answer for a cell, which is kept."""
        keep = partial(self._keep, step, claim)
        if step.kind == "python":
            await self._compute(step, claim, keep)
        else:
            await self._calls.call(step, claim.asked, keep)

    def _keep(self, step: Step, claim: Claim, answer: Answer) -> None:
        """Keep an answer. Raises `CellFailed` if it cannot be."""
        try:
            self._store.add(claim.key, step.name, answer, vector=step.kind == "embedding")
        except (TypeError, ValueError, OverflowError) as error:
            raise CellFailed(f"the answer holds what JSON cannot hold: {error}") from None
        claim.answers = (*claim.answers, answer)
        self._on_added()

    # -- python --

    async def _compute(self, step: Step, claim: Claim, keep: Callable[[Answer], None]) -> None:
        assert step.function is not None
        started = trio.current_time()
        call = partial(step.function, **claim.asked.body)
        with trio.move_on_after(step.timeout) as in_time:
            if step.thread and not inspect.iscoroutinefunction(step.function):
                value = await trio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=self._threads_of(step))
            else:
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
        keep(Answer(value=held, at=datetime.now(UTC).timestamp(), elapsed=trio.current_time() - started))

    def _threads_of(self, step: Step) -> trio.CapacityLimiter:
        """The threads of a step, which are no others': name look-ups and commits never wait for a user's function."""
        if step.name not in self._threads:
            self._threads[step.name] = trio.CapacityLimiter(step.workers)
        return self._threads[step.name]


def _holds_a_cancellation(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(trio.Cancelled) is not None
    return False
