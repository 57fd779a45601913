"""Events as lines of JSON: as the standard library writes them, one at a time or many."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings, strategies as st

from penstock import (
    RuntimeCorrelation,
    RuntimeEvent,
    event_from_dict,
    event_to_dict,
    event_to_json,
    events_to_json_lines,
)

any_text = st.text(st.characters() | st.sampled_from('\x00\x1f\x7f"\\/ \u2028é東\U0001f600\ud800\udfff'), max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | any_text | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=5,
)
events = st.builds(
    RuntimeEvent,
    stream=st.just("scheduler"),
    event_kind=st.just("selected"),
    captured_at_monotonic=st.floats(0.0, 1e9),
    sequence=st.integers(1, 10**9),
    correlation=st.none() | st.builds(RuntimeCorrelation, run_id=any_text, task_column=st.none() | any_text),
    task_id=st.none() | any_text,
    group=st.none() | any_text,
    diagnostics=st.none() | st.dictionaries(any_text, values, max_size=3),
    labels=st.none() | st.dictionaries(any_text, any_text, max_size=2),
)


def event(**fields: Any) -> RuntimeEvent:
    return RuntimeEvent(stream="scheduler", event_kind="selected", captured_at_monotonic=1.5, sequence=1, **fields)


def is_finite(data: object) -> bool:
    return "Infinity" not in json.dumps(data)


@settings(max_examples=200)
@given(st.lists(events, max_size=4))
@example([event(task_id="null"), event(group="\ud800"), event(diagnostics={"a": None})])
def test_lines_are_those_of_the_standard_library(several: list[RuntimeEvent]) -> None:
    several = [each for each in several if is_finite(event_to_dict(each))]
    lines = events_to_json_lines(several)
    assert lines.isascii()
    assert lines == b"".join(event_to_json(each).encode() + b"\n" for each in several)
    for line, each in zip(lines.splitlines(), several, strict=True):
        assert json.loads(line) == event_to_dict(each)
        assert event_from_dict(json.loads(line)) == each


@given(events.filter(lambda each: each.diagnostics is None))
@example(event(task_id="\x7f"))
@example(event(group="é東\U0001f600", labels={"a": "\x00\u2028"}))
def test_a_line_without_figures_is_that_of_the_standard_library_to_the_byte(told: RuntimeEvent) -> None:
    data = {**event_to_dict(told), "captured_at_monotonic": 1.5}
    assert event_to_json(event_from_dict(data)) == json.dumps(data, separators=(",", ":"))


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_refused_wherever_it_stands(wrong: float) -> None:
    nowhere = RuntimeEvent(stream="scheduler", event_kind="selected", captured_at_monotonic=wrong, sequence=1)
    for bad in (event(diagnostics={"a": [wrong]}), event(snapshot={"a": wrong, "b": None}), nowhere):
        with pytest.raises(ValueError, match="JSON"):
            event_to_json(bad)
        with pytest.raises(ValueError, match="JSON"):
            events_to_json_lines([event(), bad, event()])


def test_what_json_has_no_form_for_is_refused() -> None:
    for bad in (event(diagnostics={"a": object()}), event(diagnostics={"a": {(1, 2): 3}})):
        with pytest.raises(TypeError):
            event_to_json(bad)
        with pytest.raises(TypeError):
            events_to_json_lines([event(), bad])


def test_what_a_correlation_has_beside_its_names_is_in_no_line() -> None:
    told = event(correlation=RuntimeCorrelation("run").of_task("a", object(), {"tenant": "acme"}))
    assert json.loads(event_to_json(told))["correlation"] == {"run_id": "run"}
