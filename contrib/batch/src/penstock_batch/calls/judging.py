"""Whether a cell has an answer that is accepted, among all that are kept for it; if not, what to ask next. Pure.

Answers are judged in each run, also those that were kept: what is asked of them is no part of what identifies a call.
So to ask less of them costs nothing, and to ask more asks again only where no answer fulfils it.

Of several answers that are accepted, the last counts. A cell is asked until one is accepted, so the last is the one
that was asked for most recently, by the strictest demands yet or on purpose; and to ask less never changes a value that
was accepted before, since nothing was asked after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import attrs
import msgspec

from penstock import Ended
from penstock_batch.calls.json_answers import NoJson, json_in
from penstock_batch.calls.openai_bodies import response_body
from penstock_batch.calls.tool_calls import BadCall, with_calls
from penstock_batch.pipeline.criteria import Criteria
from penstock_batch.pipeline.schema_problems import TooMuchToJudge
from penstock_batch.pipeline.steps import Step
from penstock_batch.store.answer import Answer

__all__ = ["Accepted", "Rejected", "answer_text", "judge", "last_words", "refuses", "repair_text"]

Next = Literal["repair", "fresh", "later", "nothing"]

_WHY: Final[Mapping[Ended, str]] = {
    "length": "it was cut off where max_tokens or the context ends",
    "tool_calls": "it calls tools",
    "paused": "it was paused",
    "empty": "it holds no text",
    "content_filter": "it was filtered",
    "refusal": "the model refused",
    "cut": "it broke off",
    "error": "it holds an error",
}
_REFUSED: Final[frozenset[Ended]] = frozenset(("refusal", "content_filter"))
_TOLD: Final[Mapping[Ended, str]] = {
    "length": "it was cut off because it is too long",
    "tool_calls": "it calls a tool, and only a text is wanted",
}


class Accepted(msgspec.Struct, frozen=True):
    """The value of a cell: that of the last answer which is accepted."""

    value: Any


@attrs.frozen
class Rejected:
    """The reason why no answer of a cell is accepted, in one line, which is that of the last one.

    `then` is what may be asked next: a `repair`, which tells the model `told`; a `fresh` answer to the same; that too,
    but `later`, in another run; or `nothing`, where it is not the answer that is wrong and another would be paid for in
    vain.
    """

    reason: str
    then: Next = "fresh"
    told: str = ""


def judge(step: Step, answers: Sequence[Answer], values: Mapping[str, Any]) -> Accepted | Rejected:
    """The verdict on the answers that a cell has had, in the order in which they were asked. `values` are the row's,
    for `accept`.
    """
    last: Rejected | None = None
    for answer in reversed(answers):
        judged = _judged(step, step.criteria, answer, values)
        if isinstance(judged, Accepted):
            return judged
        last = last or judged
    return last or Rejected("there is no answer yet")


def _judged(step: Step, criteria: Criteria, answer: Answer, values: Mapping[str, Any]) -> Accepted | Rejected:
    value = answer.value if not step.passed else response_body(step.kind, answer)
    if step.kind == "chat":
        ended = _ending(answer)
        if ended is not None and ended not in criteria.ended:
            return _ended_otherwise(criteria, answer, ended)
        if answer.tool_calls and not step.passed:
            try:
                value = with_calls(answer, step.tools)
            except BadCall as error:
                return Rejected(f"the answer is not accepted: {error}")
            except TooMuchToJudge as error:
                return Rejected(f"the answer cannot be judged: {error}", "nothing")
        elif step.tools is not None and step.tools.whole:
            value = with_calls(answer, step.tools)
        if answer.tool_calls or ended == "empty":  # there is no text that JSON could stand in
            return _by_function(criteria, answer, None if criteria.as_json and not answer.tool_calls else value, values)
        if criteria.as_json:
            try:
                value = json_in(answer_text(answer))
            except NoJson as error:
                return _wrong(criteria, answer, f"the answer is no JSON: {error}", f"it is no JSON: {error}")
    if criteria.schema is not None:
        try:
            wrong = criteria.schema.wrong_with(value)
        except TooMuchToJudge as error:
            return Rejected(f"the answer cannot be judged: {error}", "nothing")
        if wrong is not None:
            return _wrong(criteria, answer, f"the answer does not fit the schema: {wrong}", f"it does not fit: {wrong}")
    if criteria.columns and not isinstance(value, dict):
        return _wrong(criteria, answer, "the answer is no object, which has columns", "it is no JSON object")
    return Accepted(value) if criteria.accept is None else _by_function(criteria, answer, value, values)


def _by_function(criteria: Criteria, answer: Answer, value: Any, values: Mapping[str, Any]) -> Accepted | Rejected:
    objection = None if criteria.accept is None else criteria.accept.objection(value, values)
    if objection is None:
        return Accepted(value)
    if objection.final:
        return Rejected(objection.reason, "nothing")
    return _wrong(criteria, answer, f"the answer was not accepted: {objection.reason}", objection.reason)


def _ending(answer: Answer) -> Ended | None:
    if answer.ended == "stop" and not answer.tool_calls and not answer_text(answer).strip():
        return "empty"
    return answer.ended


def refuses(step: Step, answer: Answer) -> bool:
    """Whether an answer is the refusal of its model, which the step does not accept: it would say so again."""
    return answer.ended in _REFUSED and answer.ended not in step.criteria.ended


def answer_text(answer: Answer) -> str:
    """The text of an answer, as it can go back to the model; that of a refusal where there is no other."""
    if answer.text is not None:
        return answer.text
    return answer.value if isinstance(answer.value, str) else answer.refusal or ""


def _ended_otherwise(criteria: Criteria, answer: Answer, ended: Ended) -> Rejected:
    said = _WHY.get(ended, "it ended otherwise")
    if ended == "refusal" and answer.refusal:
        said = f"{said}: {' '.join(answer.refusal.split())[:200]}"
    reason = f"the answer is not accepted: {said} (accept_ended does not name {ended!r})"
    if ended in _REFUSED:
        return Rejected(reason, "later")
    return _wrong(criteria, answer, reason, _TOLD[ended]) if ended in _TOLD else Rejected(reason)


def _wrong(criteria: Criteria, answer: Answer, reason: str, told: str) -> Rejected:
    """An answer that goes back with what is wrong with it, if the step says so and there is a text to go back."""
    if not criteria.repair or answer.ended is None or answer.tool_calls or not answer_text(answer).strip():
        return Rejected(reason)
    return Rejected(reason, "repair", told)


def repair_text(told: str) -> str:
    """What is said to the model of its answer.

    >>> repair_text("it is no JSON")
    'This answer cannot be used: it is no JSON. Give the whole answer again, put right, and nothing else.'
    """
    return f"This answer cannot be used: {told}. Give the whole answer again, put right, and nothing else."


def last_words(answers: Sequence[Answer]) -> Any:
    """What the model said last, for people who look at a row that failed; `None` if it said nothing."""
    if not answers:
        return None
    answer = answers[-1]
    return (answer_text(answer) or answer.value) if not answer.tool_calls else answer.value
