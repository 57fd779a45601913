"""Calls that ask for several cells at once: the texts of an embedding step, which go together as places are free.

A text that is ready stands in the line of its step (`text_line.py`). Whoever leads asks the request gate for a place,
in the task of its own cell, and takes what is in the line when it has it: so nothing waits for a call to be full, and
what the limits hold back goes in full calls. Texts that become ready in one turn of the event loop, as those of rows
that are read together, go together too: the leader lets others come in as long as turn by turn some do.

Each text remains a cell of its own: its key is that of the call for it alone, and so are its answer in the store, its
share of what was used, its place in the budget, and its failure. A call that the provider refuses for what it holds is
halved, again and again, until the text stands alone that is to blame. What may pass is tried again as a whole.

A refusal of several texts is not held against the model: it is one text's fault, until in two halves none was answered.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

import penstock
from penstock import Usage, execute
from penstock_batch.calls.answers import Answered, BadAnswer, failure_kind, vectors_in
from penstock_batch.calls.asking import Asked
from penstock_batch.calls.calling import CallFailed, Calls
from penstock_batch.calls.model_use import CellFailed, CellStopped, ModelUse, not_admitted
from penstock_batch.calls.outgoing import said_at
from penstock_batch.calls.place_use import PlaceUse
from penstock_batch.calls.shares import usages_of
from penstock_batch.calls.spending import BudgetRefusal, OpenCall
from penstock_batch.calls.tallies import StepTally
from penstock_batch.calls.text_line import TextLine
from penstock_batch.calls.vectors import NoVector
from penstock_batch.pipeline.steps import Step
from penstock_batch.store.answer import Answer
from penstock_batch.store.store import StoreLost
from penstock_batch.words.failures import said_of

if TYPE_CHECKING:
    from penstock import Attempt
    from penstock_dialects import AnswerReader

__all__ = ["JointCalls", "Put"]

_QUIET_TURNS: Final = 3
"""Turns of the event loop in a row without a further text, after which those that are there go."""

Put = Callable[[Answer], None]
"""Gives an answer to the store, which has it on the disk with its next commit. Raises `CellFailed` if it cannot."""


class _Refused(CallFailed):
    """The refusal of a call for what it holds, in one line; `by` is the place that refuses it."""

    def __init__(self, reason: str, by: PlaceUse) -> None:
        super().__init__(reason)
        self.by = by


@attrs.define(eq=False)
class _Text:
    """A text that is to have its vector. `scope` is that of its waiting, `call` what its budget holds."""

    asked: Asked
    put: Put
    scope: trio.CancelScope
    call: OpenCall | None
    tokens: int
    alone: bool
    answer: Answer | None = None
    failed: Exception | None = None
    woken: trio.Event = attrs.field(factory=trio.Event)

    @property
    def over(self) -> bool:
        return self.answer is not None or self.failed is not None

    def fail(self, error: Exception) -> None:
        """End it without an answer, if it has not ended."""
        if not self.over:
            self.failed = error
            self.woken.set()

    def end(self, answer: Answer) -> None:
        """End it with its answer, which is on the disk."""
        self.answer = answer
        self.woken.set()


@attrs.define(eq=False)
class _Joint:
    """A call for several texts. A `half` is of one that was refused; the texts of any other are known when its place is
    free: they are taken from the `line` then. `without` are the providers or endpoints that do not serve us.
    """

    step: Step
    use: ModelUse
    leader: _Text
    line: TextLine[_Text]
    half: bool = False
    texts: list[_Text] = attrs.field(factory=list)
    answered: bool = False
    """Whether it, or a part of it, was answered."""
    refused: _Refused | None = None
    """Why it was refused, while that is held against nobody."""
    without: set[str] = attrs.field(factory=set)

    def body(self) -> Mapping[str, Any]:
        """What is asked: a single text as it would be asked alone."""
        first = self.texts[0].asked.body
        if len(self.texts) == 1:
            return first
        return {**first, "input": [text.asked.body["input"] for text in self.texts]}

    def another(self, at: str) -> bool:
        """Whether there is another place than this one, which does not serve us."""
        return self.use.left({*self.without, at})

    def halves(self) -> list[_Joint]:
        """The two halves of a call that was refused."""
        middle = (len(self.texts) + 1) // 2
        parts = (self.texts[:middle], self.texts[middle:])
        line, without = self.line, self.without
        return [
            _Joint(self.step, self.use, self.leader, line, half=True, texts=part, without=without) for part in parts
        ]


class JointCalls:
    """The calls of a run that hold several texts each, made as `calls` makes one. `committed` waits until all that was
    put is on the disk; `tallies` are by step.
    """

    def __init__(
        self, calls: Calls, committed: Callable[[], Awaitable[None]], tallies: Mapping[str, StepTally]
    ) -> None:
        self._calls = calls
        self._committed = committed
        self._tallies = tallies
        self._lines: dict[str, TextLine[_Text]] = {}

    async def call(self, step: Step, asked: Asked, put: Put) -> Answer:
        """The answer to what a cell of `step` asks, which was given to `put`. Raises `CellFailed`, `CellStopped` or
        `StoreLost`.
        """
        use = self._calls.use_of(step)
        use.check()
        if step.name not in self._lines:
            self._lines[step.name] = TextLine(step.batch_size, step.batch_tokens)
        line = self._lines[step.name]
        said = asked.body["input"]
        with use.in_line() as scope:
            try:
                async with self._calls.paid_for(step, use, asked) as call:
                    tokens = asked.input_tokens(said.encode(errors="surrogatepass"))
                    text = _Text(asked, put, scope, call, tokens, alone=not said.strip())
                    await self._through(_Joint(step, use, text, line), text)
            except BudgetRefusal as error:
                raise CellFailed(str(error)) from None
            if text.failed is not None:
                raise text.failed
            assert text.answer is not None
            return text.answer
        raise use.refusal or _cancelled(use)

    async def _through(self, joint: _Joint, text: _Text) -> None:
        """Wait until a text has come through its line, and lead a call where it is its turn."""
        line = joint.line
        line.join(text)
        try:
            while not text.over:
                if line.leader is text:
                    with joint.use.apart(text.scope):
                        await self._lead(joint)
                else:
                    text.woken = trio.Event()
                    await text.woken.wait()
        finally:
            line.leave(text)
            self._pass_on(line, text)

    async def _lead(self, joint: _Joint) -> None:
        seen, quiet = joint.line.came, 0
        while quiet < _QUIET_TURNS and not joint.line.full:
            await trio.lowlevel.checkpoint()
            quiet = 0 if joint.line.came > seen else quiet + 1
            seen = joint.line.came
        try:
            await self._send(joint)
        finally:
            for text in joint.texts:  # whatever has ended the call strands nobody
                text.fail(_cancelled(joint.use))

    def _pass_on(self, line: TextLine[_Text], leader: _Text) -> None:
        following = line.pass_on(leader)
        if following is not None:
            following.woken.set()

    def _take(self, joint: _Joint, upto: int | None = None) -> list[_Text]:
        """The texts of a call: those that it has, or those that go now."""
        if not joint.texts:
            joint.texts = joint.line.take(upto)
            self._pass_on(joint.line, joint.leader)
        return joint.texts

    # -- one call, with its retries and its halves --

    async def _send(self, joint: _Joint) -> None:
        """Make the call until each of its texts has an answer or a failure."""
        came = joint.line.came
        failure: Exception | None = None
        while True:
            with joint.use.waiting() as scope:
                failure = await self._execute(joint, scope)
            if scope.cancelled_caught:
                failure = joint.use.refusal
                if failure is None:  # the place that it waited for was given up: there are others
                    continue
            at = failure.at if isinstance(failure, CallFailed) else None
            if at is None or not joint.another(at):
                break
            joint.without.add(at)
        if isinstance(failure, _Refused) and len(joint.texts) > 1:
            await self._send_halves(joint)
        elif failure is not None:
            joint.refused = failure if isinstance(failure, _Refused) else None
            for text in self._take(joint, came):
                text.fail(CellFailed(str(failure)) if isinstance(failure, CallFailed) else failure)

    async def _execute(self, joint: _Joint, scope: trio.CancelScope) -> Exception | None:
        """Why the call has no answer, after all that it may be tried; `None` where it has one."""
        going = joint.texts or joint.line.next()
        cost = penstock.RequestCost(input_tokens=sum(text.tokens for text in going))
        attempt = partial(self._attempt, joint, scope)
        step = joint.step
        try:
            joint.use.check()
            where = joint.use.resource(step.kind, joint.without)
            await execute(attempt, where, domain=step.kind, cost=cost, group=step.name)
        except penstock.RequestAdmissionError as error:
            return not_admitted(error)
        except (CallFailed, CellFailed, CellStopped, StoreLost) as error:
            return error
        except Exception as error:  # what nobody foresaw costs these cells, and no other
            return CellFailed(said_of(error))
        return None

    async def _send_halves(self, joint: _Joint) -> None:
        """Make the halves of a call that was refused, one after the other: a model that refuses everything is known
        for it then before every call is in pieces.
        """
        halves = joint.halves()
        for half in halves:
            await self._send(half)
        joint.answered = any(half.answered for half in halves)
        if not joint.answered and (refused := next((half.refused for half in halves if half.refused), None)):
            joint.use.judged(refused.by, "unfit", str(refused), trio.current_time())

    async def _attempt(self, joint: _Joint, scope: trio.CancelScope, attempt: Attempt) -> None:
        texts = self._take(joint)
        use, tally = joint.use, self._tallies[joint.step.name]
        use.check()
        place = self._calls.place_of(use, attempt)
        sent = said_at(place, joint.step.kind, joint.body())
        started = trio.current_time()
        tally.calls += 1
        scopes = [scope, *(text.scope for text in texts if text is not joint.leader)]
        with use.in_flight(place, scopes, started), tally.working(len(texts)):
            with await self._calls.post(joint.step, use, place, sent) as reader:
                outcome, now = self._calls.heard(reader, attempt, started)
                self._refuse(joint, place, reader, outcome, now)
                put = self._put_all(joint, place, reader, outcome, started, now)
            await self._committed()
            for text, answer in put:
                text.end(answer)

    def _refuse(
        self,
        joint: _Joint,
        place: PlaceUse,
        reader: AnswerReader,
        outcome: penstock.RequestReleaseOutcome,
        now: float,
    ) -> None:
        """Raise what a call that was not answered as it should be ends with."""
        wrong = reader.status != 200 or reader.error is not None
        texts_fault = len(joint.texts) > 1 or joint.half or (joint.leader.alone and place.tally.answered > 0)
        if wrong:
            self._lost(joint, place, reader.verdict.usage, joint.texts)
        if (wrong or reader.too_large) and texts_fault and failure_kind(outcome) == "unfit":
            place.tally.failed += 1
            said = self._calls.reason(place, reader) if wrong else "the answer is larger than it may be"
            raise _Refused(said, place)
        if not wrong:
            return
        error = self._calls.refused(joint.use, place, reader, outcome, now)
        elsewhere = error.at is not None and joint.another(error.at)
        if not outcome.retryable and not elsewhere:  # then each is told so before the model may be given up for it
            for text in joint.texts:
                text.fail(CellFailed(str(error)))
        raise error

    def _put_all(
        self,
        joint: _Joint,
        place: PlaceUse,
        reader: AnswerReader,
        outcome: penstock.RequestReleaseOutcome,
        started: float,
        now: float,
    ) -> list[tuple[_Text, Answer]]:
        """Give the answer of each text to the store, and say which those are. Raises what ends the call where there is
        none.
        """
        texts = joint.texts
        try:
            vectors = vectors_in(reader, len(texts))
        except BadAnswer as error:
            self._lost(joint, place, reader.verdict.usage, texts)
            raise self._calls.unfit(joint.use, place, error, outcome, now) from None
        usages = usages_of(reader.verdict.usage or Usage(), [text.tokens for text in texts])
        joint.answered = True
        found: list[tuple[_Text, Answer]] = []
        for text, vector, usage in zip(texts, vectors, usages, strict=True):
            if isinstance(vector, NoVector):
                self._lost(joint, place, usage, [text])
                text.fail(CellFailed(str(vector)))
                continue
            answered = Answered(vector, usage, reader.verdict.ended)
            answer = self._calls.answer(joint.step, place, reader, answered, now - started, text.call)
            try:
                text.put(answer)
            except CellFailed as error:
                text.fail(error)
            else:
                found.append((text, answer))
        self._calls.count(joint.step, place, [answer for _, answer in found], now)
        return found

    def _lost(self, joint: _Joint, place: PlaceUse, usage: Usage | None, texts: Sequence[_Text]) -> None:
        """Count what was paid for texts that have no vector of it."""
        self._calls.lost(joint.step, place, usage, *(text.call for text in texts))


def _cancelled(use: ModelUse) -> CellFailed:
    return CellFailed(f"{use.model.name}: cancelled")
