"""The cells of one step, over answers that the test gives."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Literal

import pytest

from penstock import Ended
from penstock_batch.calls.tallies import StepTally
from penstock_batch.calls.until_accepted import NotAccepted, UntilAccepted
from penstock_batch.pipeline.accepting import Accept
from penstock_batch.pipeline.criteria import Criteria
from penstock_batch.pipeline.steps import Step
from penstock_batch.store.answer import Answer

BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "?"}]}


def said(text: str, ended: Ended = "stop") -> Answer:
    return Answer(value=text, text=text, ended=ended)


def numbers(kind: Literal["chat", "python"] = "chat", **criteria: Any) -> Step:
    """A step that accepts digits only, three attempts."""
    digits = Accept(lambda value: str(value).isdigit() or f"{value} is no number")
    how: dict[str, Any] = {"accept": digits, "attempts": 3, **criteria}
    return Step(name="s", kind=kind, uses=frozenset(), criteria=Criteria(**how))


class Asking:
    """What is answered one after another, and the bodies that were asked."""

    def __init__(self, *answers: Answer | str) -> None:
        self._answers = iter(answers)
        self.bodies: list[Mapping[str, Any]] = []

    async def __call__(self, body: Mapping[str, Any]) -> Answer:
        self.bodies.append(body)
        answer = next(self._answers)
        return said(answer) if isinstance(answer, str) else answer

    @property
    def lengths(self) -> list[int]:
        """How many messages each call had."""
        return [len(body["messages"]) for body in self.bodies]


async def value(step: Step, ask: Asking, *kept: Answer, until: UntilAccepted | None = None) -> Any:
    return await (until or UntilAccepted(step, 20, StepTally())).value(BODY, kept, {}, ask)


async def reason(step: Step, ask: Asking, *kept: Answer, until: UntilAccepted | None = None) -> str:
    with pytest.raises(NotAccepted) as caught:
        await value(step, ask, *kept, until=until)
    return str(caught.value)


async def test_a_cell_is_asked_until_an_answer_is_accepted() -> None:
    ask = Asking("a", "b", "3")
    assert await value(numbers(), ask) == "3"
    assert ask.lengths == [1, 3, 3]
    assert ask.bodies[2]["messages"][1]["content"] == "b", "only the last answer goes back"
    assert "b is no number" in ask.bodies[2]["messages"][2]["content"]


async def test_it_is_not_asked_more_often_than_may_be_in_one_run() -> None:
    ask = Asking("a", "b", "c")
    assert "c is no number" in await reason(numbers(), ask)
    assert len(ask.bodies) == 3


async def test_a_kept_answer_that_is_accepted_is_not_paid_for_again() -> None:
    assert await value(numbers(), Asking(), said("a"), said("3")) == "3"


async def test_a_kept_answer_that_is_not_goes_back_like_a_new_one() -> None:
    ask = Asking("b", "c", "d")
    await reason(numbers(), ask, said("1x"), said("2x"))
    assert ask.lengths == [3, 3, 3]
    assert ask.bodies[0]["messages"][1]["content"] == "2x"


async def test_without_repair_all_calls_are_the_same() -> None:
    ask = Asking("a", "b", "3")
    await value(numbers(repair=False), ask)
    assert ask.bodies == [BODY] * 3


async def test_a_refusal_is_asked_again_by_the_next_run_only() -> None:
    ask = Asking(said("no", "refusal"), "3")
    await reason(numbers(), ask)
    assert len(ask.bodies) == 1
    assert await value(numbers(), ask, said("no", "refusal")) == "3"
    assert ask.lengths == [1, 1]


def _fails(_: Any) -> None:
    raise TypeError


async def test_where_the_function_is_wrong_nothing_is_asked_anew() -> None:
    broken = numbers(accept=Accept(_fails))
    assert "accept failed" in await reason(broken, Asking(), said("3"))
    ask = Asking("3")
    await reason(broken, ask)
    assert len(ask.bodies) == 1


async def test_what_nobody_accepts_is_given_up() -> None:
    step = numbers(attempts=1)
    until = UntilAccepted(step, 2, StepTally())
    ask = Asking("a", "b")
    for _ in range(2):
        assert "is no number" in await reason(step, ask, until=until)
    assert "of the first 2 rows none" in await reason(step, ask, until=until)
    assert await value(step, ask, said("3"), until=until) == "3", "what is kept is judged all the same"
    assert len(ask.bodies) == 2


async def test_answers_in_the_place_of_others_are_counted() -> None:
    tally = StepTally()
    until = UntilAccepted(numbers(), 20, tally)
    await value(numbers(), Asking("a", "1"), until=until)
    await value(numbers(), Asking("1"), until=until)
    await value(numbers(), Asking("1"), said("a"), until=until)
    assert tally.asked_again == 2


async def test_results_of_functions_are_made_anew_without_repair() -> None:
    ask = Asking(Answer(value="x"), Answer(value="3"))
    assert await value(numbers("python"), ask) == "3"
    assert ask.bodies == [BODY] * 2


@pytest.mark.loopback
async def test_a_function_judges_beside_the_loop_and_not_for_ever() -> None:
    threads: list[str] = []
    never = threading.Event()

    def here(value: Any) -> bool:
        threads.append(threading.current_thread().name)
        return True

    await value(numbers(accept=Accept(here)), Asking("1"))
    assert threads != [threading.main_thread().name]
    slow = numbers(accept=Accept(lambda value: never.wait()))
    hurried = Step(name="s", kind="chat", uses=frozenset(), criteria=slow.criteria, timeout=0.01)
    assert "longer than 0.01 s" in await reason(hurried, Asking("1"))
    never.set()
