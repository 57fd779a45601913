"""The work of a cell: fill in a template and make one admitted call, or run one function; then record the answer.

A call goes out through `penstock.execute`, which admits each attempt and decides about trying again. The answer is in
the journal before the attempt is over, with no checkpoint between the last byte and the write, so neither a
cancellation nor a kill finds an answer that was paid for and is not recorded.

A cell that cannot be done raises `CellFailed` with one line for people, whatever it met with: what nobody foresaw costs
this cell too, and no other. Only a journal that cannot be written is no cell's fault: `JournalLost`, which ends the
run.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import httpx2
import trio

import penstock
from penstock import PenstockError, execute
from penstock_batch.calls.answers import Answered, BadAnswer, answer_of, error_line, failure_kind
from penstock_batch.calls.giving_up import FailureKind, ModelHealth
from penstock_batch.calls.tallies import ModelTally, Tallies
from penstock_batch.pipeline.steps import Step
from penstock_batch.pipeline.templates import ROW, RenderError
from penstock_batch.providers.endpoints import ModelClient
from penstock_batch.providers.models import StepModel
from penstock_batch.rows.lines import json_bytes, kept
from penstock_batch.store.journal import Journal
from penstock_batch.words.failures import plain_reason, said_of
from penstock_batch.words.secrets import Secrets
from penstock_dialects import AnswerReader, dialect_at

if TYPE_CHECKING:
    from penstock import Attempt

__all__ = ["CellFailed", "CellStopped", "Cells", "JournalLost", "ModelUse"]

_PATHS: Final = {"chat": "chat/completions", "embedding": "embeddings"}
_CHARACTERS_PER_TOKEN: Final = 4


class CellFailed(Exception):
    """The failure of a cell, in one line."""


class CellStopped(Exception):
    """The end of a cell before its call went out, since the run stops: the next run does it."""


class JournalLost(PenstockError):
    """The loss of the journal, which cannot be written any more: further answers would be paid for and lost."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(f"{path}: cannot be written: {error.strerror or error}")


class _CallFailed(Exception):
    """The failure of one attempt, in one line. What it means for the gate is said by the facts or by the kind of
    exception."""


class _NoAnswer(_CallFailed, ConnectionError):
    """A call without an answer: nothing listens there, or the connection broke."""


class _TooLate(_CallFailed, TimeoutError):
    """A call without an answer in time."""


class ModelUse:
    """One model as this run uses it: its client, the health of its calls, and the cells that wait for it."""

    def __init__(
        self, model: StepModel, client: ModelClient, key: str | None, health: ModelHealth, tally: ModelTally
    ) -> None:
        self.model = model
        self.client = client
        self.key = key
        self.health = health
        self.dialect = dialect_at(client.http.base_url.host)
        self.tally = tally
        self._waiting: set[trio.CancelScope] = set()
        self._stopped = False

    @property
    def given_up(self) -> str | None:
        """The reason why no more calls are made, in one line; `None` while they are."""
        reason = self.health.given_up
        return None if reason is None else f"not called, {self.model.name} was given up after {reason}"

    @property
    def refusal(self) -> CellStopped | CellFailed | None:
        """What is to be raised where no more calls are made."""
        if self._stopped:
            return CellStopped()
        return None if self.given_up is None else CellFailed(self.given_up)

    def check(self) -> None:
        """Raises `CellStopped` or `CellFailed` where no more calls are made."""
        if (refusal := self.refusal) is not None:
            raise refusal

    def stop(self) -> None:
        """No more calls are made; those that are in flight may come back."""
        self._stopped = True
        self._cancel_waiting()

    def _cancel_waiting(self) -> None:
        for scope in self._waiting:
            scope.cancel()

    @contextmanager
    def waiting(self) -> Iterator[trio.CancelScope]:
        """A scope around waiting for this model; it is cancelled when no more calls are made, unless its call is in
        flight just then.
        """
        with trio.CancelScope() as scope:
            self._waiting.add(scope)
            try:
                yield scope
            finally:
                self._waiting.discard(scope)

    @contextmanager
    def in_flight(self, scope: trio.CancelScope, now: float) -> Iterator[None]:
        """A block in which a call is in flight: it is counted, and neither cancelled nor tried again."""
        tally = self.tally
        tally.calls += 1
        tally.in_flight += 1
        tally.first_call_at = now if tally.first_call_at is None else tally.first_call_at
        self._waiting.discard(scope)
        try:
            yield
        finally:
            tally.in_flight -= 1
            if self.health.given_up is None and not self._stopped:
                self._waiting.add(scope)
            else:
                scope.cancel()

    def failed(self, kind: FailureKind, reason: str, now: float) -> None:
        """Note a failed call; if that makes the model be given up, cancel the cells that wait for it."""
        if kind == "limited":
            self.tally.limited += 1
        else:
            self.tally.failed += 1
        if self.health.failed(kind, reason, now) is not None:
            self._cancel_waiting()


class Cells:
    """The execution of cells. `on_written` is called after each record of the journal, `on_limited` after each 429."""

    def __init__(
        self,
        journal: Journal,
        models: Mapping[str, ModelUse],
        tallies: Tallies,
        secrets: Secrets,
        *,
        on_written: Callable[[], None],
        on_limited: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._secrets = secrets
        self._threads: dict[str, trio.CapacityLimiter] = {}
        self._models = models
        self._tallies = tallies
        self._on_written = on_written
        self._on_limited = on_limited

    async def do(self, step: Step, row: int, columns: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
        """The value of the cell of `step` in `row`, which is done and in the journal then. `columns` are the
        input's, `values` those and the steps done before. Raises `CellFailed`, which is in the journal as well,
        `CellStopped`, or `JournalLost`.
        """
        try:
            if step.kind == "python":
                return await self._compute(step, row, values)
            return await self._call_model(step, row, {**values, ROW: columns})
        except CellFailed as error:
            failed = error
        except (trio.Cancelled, CellStopped, JournalLost):
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
        reason = self._secrets.text(str(failed))
        self._write(lambda: self._journal.fail(row, step.name, reason))
        raise failed

    # -- python --

    async def _compute(self, step: Step, row: int, values: Mapping[str, Any]) -> Any:
        assert step.function is not None
        missing = [name for name in step.arguments if name not in values]
        if missing:
            raise CellFailed(f"the row has no column {missing[0]!r}")
        call = partial(step.function, **{name: values[name] for name in step.arguments})
        with trio.move_on_after(step.timeout) as in_time:
            if step.thread and not inspect.iscoroutinefunction(step.function):
                value = await trio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=self._threads_of(step))
            else:
                value = call()
            if inspect.isawaitable(value):
                value = await value
        if in_time.cancelled_caught:
            raise CellFailed(f"took longer than its timeout of {step.timeout:g} s")
        return self._keep(step, row, value, "returned")

    def _threads_of(self, step: Step) -> trio.CapacityLimiter:
        """The threads of a step, which are no others': name look-ups and syncs never wait for a user's function."""
        if step.name not in self._threads:
            self._threads[step.name] = trio.CapacityLimiter(step.workers)
        return self._threads[step.name]

    def _keep(self, step: Step, row: int, value: Any, what: str) -> Any:
        """The value as the journal has it, once it is there. Raises `CellFailed` if it cannot be."""
        try:
            held = self._secrets.value(kept(value))
        except Exception as error:  # a foreign object may do anything while it is looked at
            said = str(error) if type(error) in (TypeError, ValueError) else said_of(error)
            raise CellFailed(f"{what} what JSON cannot hold: {said}") from None
        self._write(lambda: self._journal.finish(row, step.name, held))
        return held

    # -- models --

    async def _call_model(self, step: Step, row: int, values: Mapping[str, Any]) -> Any:
        assert step.model is not None
        use = self._models[step.model.name]
        use.check()
        body = json_bytes(_body(step, values))
        cost = penstock.RequestCost(
            input_tokens=len(body) // _CHARACTERS_PER_TOKEN + 1, output_tokens=_most_output(step.params)
        )
        with use.waiting() as scope:
            attempt = partial(self._attempt, step, row, use, body, scope)
            try:
                return await execute(attempt, step.model.name, domain=step.kind, cost=cost, group=step.name)
            except _CallFailed as error:
                raise CellFailed(str(error)) from None
        raise use.refusal or CellFailed(f"{use.model.name}: cancelled")

    async def _attempt(
        self, step: Step, row: int, use: ModelUse, body: bytes, scope: trio.CancelScope, attempt: Attempt
    ) -> Any:
        use.check()
        started = trio.current_time()
        with use.in_flight(scope, started):
            with await self._post(step, use, body) as reader:
                now = trio.current_time()
                facts = attrs.evolve(self._without_keys(reader.facts()), elapsed=now - started, received_at=now)
                attempt.answered(facts)
                outcome = penstock.classify(facts, None)
                if reader.status != 200 or reader.error is not None:
                    kind = failure_kind(outcome)
                    reason = f"{use.model.provider}: {error_line(reader.status, reader.error, use.key)}"
                    use.failed(kind, reason, now)
                    if kind == "limited":
                        self._on_limited()
                    raise _CallFailed(reason)
                try:
                    answered = answer_of(step.kind, reader)
                except BadAnswer as error:
                    raise self._unfit(use, error, outcome, now) from None
            value = self._keep(step, row, answered.value, "the answer holds")
            self._count(step, use, answered, now)
            return value

    def _without_keys(self, facts: penstock.ResponseFacts) -> penstock.ResponseFacts:
        """The facts, as they may go to events: a provider's own word for an error can be anything."""
        verdict = facts.verdict
        if verdict is None or (code := self._secrets.text(verdict.code)) == verdict.code:
            return facts
        return attrs.evolve(facts, verdict=attrs.evolve(verdict, code=code))

    def _unfit(self, use: ModelUse, error: BadAnswer, outcome: penstock.RequestReleaseOutcome, now: float) -> Exception:
        """What ends the attempt: another one where that may help."""
        if outcome.kind == "provider_failure" and outcome.retryable:
            use.failed("down", f"{use.model.provider}: {error}", now)
            return _CallFailed(f"{use.model.provider}: {error}")
        if outcome.ended in ("content_filter", "refusal"):
            use.health.succeeded()  # the model answers: what it says to this row says nothing of others
        else:
            use.failed("unfit", f"{use.model.provider}: {error}", now)
        return CellFailed(str(error))

    async def _post(self, step: Step, use: ModelUse, body: bytes) -> AnswerReader:
        """The answer, read to its end."""
        provider = use.model.provider
        try:
            with trio.fail_after(step.timeout):
                return await _read(use, _PATHS[step.kind], body)
        except trio.TooSlowError:
            error: _CallFailed = _TooLate(f"{provider}: no answer within {step.timeout:g} s")
        except httpx2.ConnectError as cause:
            error = _NoAnswer(
                f"{provider}: cannot connect to {use.client.http.base_url.netloc.decode()}: {plain_reason(cause)}"
            )
            error.__cause__ = cause  # by which it is known whether it was paid, or is our own affair
        except httpx2.HTTPError as cause:
            error = _NoAnswer(f"{provider}: {type(cause).__name__}: {plain_reason(cause)}")
        if not penstock.own_shortage(error):
            use.failed("down", str(error), trio.current_time())
            raise error
        for other in self._models.values():
            if other.tally.in_flight == 0:  # its idle connections would be closed with its next call, and not before
                await other.client.drop_connections()
        raise error

    def _count(self, step: Step, use: ModelUse, answered: Answered, now: float) -> None:
        use.health.succeeded()
        tally = use.tally
        tally.answered += 1
        tally.last_answer_at = now
        tally.input_tokens += answered.usage.input_tokens or 0
        tally.output_tokens += answered.usage.output_tokens or 0
        self._tallies.steps[step.name].cut_short += answered.ended == "length"

    def _write(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            raise JournalLost(self._journal.path, error) from error
        self._on_written()


async def _read(use: ModelUse, path: str, body: bytes) -> AnswerReader:
    async with use.client.http.stream("POST", path, content=body) as response:
        headers = {name.lower(): value for name, value in response.headers.items()}
        reader = AnswerReader(
            use.dialect, response.status_code, headers, wall_now=datetime.now(UTC), strict=response.status_code == 200
        )
        try:
            async for piece in response.aiter_raw():
                reader.feed(piece)
                if reader.too_large:
                    break
        except BaseException:
            reader.close()
            raise
        reader.end()
        return reader


def _holds_a_cancellation(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(trio.Cancelled) is not None
    return False


def _body(step: Step, values: Mapping[str, Any]) -> dict[str, Any]:
    assert step.model is not None
    try:
        texts = {name: template.render(values) for name, template in step.templates.items()}
    except RenderError as error:
        raise CellFailed(f"the template cannot be filled in: {error}") from None
    if step.kind == "embedding":
        return {"model": step.model.model_id, **step.params, "input": texts["input"]}
    messages = [{"role": "system", "content": texts["system"]}] if "system" in texts else []
    messages.append({"role": "user", "content": texts["prompt"]})
    return {"model": step.model.model_id, **step.params, "messages": messages}


def _most_output(params: Mapping[str, Any]) -> int:
    most = params.get("max_completion_tokens", params.get("max_tokens"))
    return most if isinstance(most, int) and not isinstance(most, bool) and most > 0 else 0
