"""The line of texts beside a naive one: a list of those that wait, and one who leads."""

from __future__ import annotations

import attrs
from hypothesis import given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock_batch.calls.text_line import TextLine


@attrs.frozen(eq=False)
class Text:
    tokens: int
    alone: bool = False


class Beside(RuleBasedStateMachine):
    """A line of at most three texts and ten tokens a call, and a list."""

    def __init__(self) -> None:
        super().__init__()
        self.line: TextLine[Text] = TextLine(3, 10)
        self.waiting: list[Text] = []

    @rule(tokens=st.integers(1, 14), alone=st.booleans())
    def join(self, tokens: int, alone: bool) -> None:
        text = Text(tokens, alone)
        self.line.join(text)
        self.waiting.append(text)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        text = data.draw(st.sampled_from(self.waiting))
        self.line.leave(text)
        self.waiting.remove(text)
        self.line.pass_on(text)

    @precondition(lambda self: self.waiting)
    @rule(upto=st.none() | st.integers(0, 20))
    def take(self, upto: int | None) -> None:
        leader = self.line.leader
        assert leader is self.waiting[0]
        came = self.line.came if upto is None else max(upto, self.line.came)
        taken = self.line.take(came)
        assert taken == self.naive()
        for text in taken:
            self.waiting.remove(text)
        self.line.pass_on(leader)

    def naive(self) -> list[Text]:
        first, *others = self.waiting
        if first.alone:
            return [first]
        found = [first]
        for text in [text for text in others if not text.alone]:
            if len(found) == 3 or sum(each.tokens for each in found) + text.tokens > 10:
                break
            found.append(text)
        return found

    @invariant()
    def agrees(self) -> None:
        self.line.check_invariants()
        assert len(self.line) == len(self.waiting)


TestBeside = Beside.TestCase
TestBeside.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)


@given(st.integers(1, 5))
def test_only_those_that_had_come_by_then_are_taken(upto: int) -> None:
    line: TextLine[Text] = TextLine(10, 100)
    texts = [Text(1) for _ in range(5)]
    for text in texts:
        line.join(text)
    assert line.take(upto) == texts[:upto]
