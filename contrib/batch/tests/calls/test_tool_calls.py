"""What an answer to a step with tools is worth: its text and its calls, with arguments that are read."""

from __future__ import annotations

from typing import Any

import pytest

from penstock_batch.calls.judging import Accepted, Rejected, judge
from penstock_batch.pipeline.answer_schema import AnswerSchema
from penstock_batch.pipeline.criteria import Criteria
from penstock_batch.pipeline.steps import Step
from penstock_batch.pipeline.tools import Tools
from penstock_batch.store.answer import Answer

CITY = AnswerSchema({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})


def step(*, whole: bool = True, **criteria: Any) -> Step:
    """A step that offers to look up the weather of a city, and what time it is."""
    tools = Tools(params={}, functions={"weather": CITY, "now": None}, whole=whole)
    judged = Criteria(ended=frozenset(("stop", "tool_calls")), **criteria)
    return Step(name="s", kind="chat", uses=frozenset(), tools=tools, criteria=judged)


def calls(*said: tuple[str, str], text: str | None = None) -> Answer:
    made = tuple({"id": f"c{n}", "name": name, "arguments": arguments} for n, (name, arguments) in enumerate(said))
    return Answer(value={"text": text or "", "tool_calls": list(made)}, text=text, ended="tool_calls", tool_calls=made)


def test_arguments_are_read_and_stand_beside_the_text() -> None:
    answer = calls(("weather", '{"city": "Bern"}'), ("now", ""), text="I look it up.")
    assert judge(step(), [answer], {}) == Accepted(
        {
            "text": "I look it up.",
            "tool_calls": [
                {"id": "c0", "name": "weather", "arguments": {"city": "Bern"}},
                {"id": "c1", "name": "now", "arguments": {}},
            ],
        }
    )


def test_an_answer_that_calls_nothing_has_the_same_members() -> None:
    text = Answer(value="Sunny.", text="Sunny.", ended="stop")
    assert judge(step(), [text], {}) == Accepted({"text": "Sunny.", "tool_calls": []})
    assert judge(step(whole=False), [text], {}) == Accepted("Sunny.")


def test_a_refusal_that_is_accepted_is_the_text() -> None:
    refusal = Answer(value="I will not", refusal="I will not", ended="stop")
    assert judge(step(), [refusal], {}) == Accepted({"text": "I will not", "tool_calls": []})


@pytest.mark.parametrize(
    ("name", "arguments", "complaint"),
    [
        ("weather", '{"city": ', "it calls weather with what is no JSON"),
        ("weather", '{"town": "Bern"}', "it calls weather with what does not fit: 'city' is a required"),
        ("forecast", "{}", "it calls 'forecast', which is none of its tools"),
    ],
)
def test_a_call_that_nobody_could_carry_out_is_asked_afresh(name: str, arguments: str, complaint: str) -> None:
    judged = judge(step(), [calls((name, arguments))], {})
    assert isinstance(judged, Rejected)
    assert judged.then == "fresh"
    assert complaint in judged.reason


def test_calls_pass_through_a_batch_file_as_they_came() -> None:
    passed = Step(name="s", kind="chat", uses=frozenset(), passed=[["/v1", "m"]], criteria=step().criteria)
    judged = judge(passed, [calls(("weather", "{"))], {})
    assert isinstance(judged, Accepted)
    assert judged.value["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == "{"
