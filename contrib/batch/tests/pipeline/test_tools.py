"""The tools of a step, checked when the pipeline is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penstock import Problem
from penstock_batch.pipeline.config import StepConfig
from penstock_batch.pipeline.tools import Tools, compile_tools

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: dict[str, Any] = {"type": "function", "function": {"name": "weather", "parameters": CITY}}
BARE: dict[str, Any] = {"type": "function", "function": {"name": "now"}}
OWN: dict[str, Any] = {"type": "web_search", "max_uses": 2}


def compiled(folder: Path, tools: Any, **more: Any) -> tuple[Tools | None, list[Problem]]:
    found: list[Problem] = []
    return compile_tools(StepConfig(name="s", kind="chat", tools=tools, **more), folder, found), found


def sound(folder: Path, tools: Any, **more: Any) -> Tools:
    made, found = compiled(folder, tools, **more)
    assert found == []
    assert made is not None
    return made


def test_a_list_goes_out_as_it_is(tmp_path: Path) -> None:
    tools = sound(tmp_path, [WEATHER, BARE, OWN])
    assert tools.params == {"tools": [WEATHER, BARE, OWN]}
    assert list(tools.functions) == ["weather", "now"]


def test_a_file_holds_the_same_list_and_is_seen_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "tools.json"
    path.write_text(json.dumps([WEATHER]), encoding="utf-8")
    tools = sound(tmp_path, "tools.json")
    assert tools.params == sound(tmp_path, [WEATHER]).params
    path.write_text(json.dumps([BARE]), encoding="utf-8")
    assert sound(tmp_path, "tools.json").seen != tools.seen


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", "auto"),
        ("required", "required"),
        ("weather", {"type": "function", "function": {"name": "weather"}}),
    ],
)
def test_a_choice_is_a_word_or_a_function(tmp_path: Path, choice: str, sent: object) -> None:
    assert sound(tmp_path, [WEATHER], tool_choice=choice).params["tool_choice"] == sent


@pytest.mark.parametrize(
    ("tools", "path", "complaint"),
    [
        ([], ("tools",), "offers none"),
        ([{"name": "weather"}], ("tools", 0), "must say its type, as in"),
        ([WEATHER, {"type": "function"}], ("tools", 1, "function"), "is missing; write"),
        ([{"type": "function", "function": {"name": "a b"}}], ("tools", 0, "function", "name"), "must be letters"),
        ([WEATHER, WEATHER], ("tools", 1, "function", "name"), "is 'weather' again"),
        (
            [{"type": "function", "function": {"name": "f", "parameters": {"type": "objct"}}}],
            ("tools", 0, "function", "parameters"),
            "objct",
        ),
        (
            [{"type": "function", "function": {"name": "f", "parameters": 3}}],
            ("tools", 0, "function", "parameters"),
            "must be a JSON Schema",
        ),
        (
            [{"type": "function", "function": {"name": "f", "x": {1}}}],
            ("tools", 0, "function"),
            "cannot be sent as JSON",
        ),
        ("nothing.json", ("tools",), "nothing.json: is not there"),
        ("broken.json", ("tools",), "broken.json: is no JSON"),
        ("object.json", ("tools",), "object.json: must be a list of tools"),
        ("short.json", ("tools", 0), "short.json: must say its type"),
    ],
)
def test_what_is_no_list_of_tools_is_said_with_its_place(
    tmp_path: Path, tools: Any, path: tuple[str | int, ...], complaint: str
) -> None:
    (tmp_path / "broken.json").write_text("[", encoding="utf-8")
    (tmp_path / "object.json").write_text("{}", encoding="utf-8")
    (tmp_path / "short.json").write_text('["weather"]', encoding="utf-8")
    _, (problem,) = compiled(tmp_path, tools)
    assert problem.path == path
    assert complaint in problem.what


@pytest.mark.parametrize(
    ("tools", "more", "complaint"),
    [
        (None, {"tool_choice": "auto"}, "means nothing without tools"),
        ([WEATHER], {"tool_choice": "wether"}, "did you mean 'weather'"),
        ([WEATHER], {"params": {"tools": []}}, "is said by tools too"),
        ([WEATHER], {"tool_choice": "auto", "params": {"tool_choice": "none"}}, "is said by tool_choice too"),
    ],
)
def test_what_makes_no_sense_together_is_refused(
    tmp_path: Path, tools: Any, more: dict[str, Any], complaint: str
) -> None:
    _, (problem,) = compiled(tmp_path, tools, **more)
    assert complaint in problem.what


def test_a_call_is_judged_by_the_schema_of_its_function(tmp_path: Path) -> None:
    tools = sound(tmp_path, [WEATHER, BARE])
    assert tools.wrong_with("weather", {"city": "Bern"}) is None
    assert tools.wrong_with("now", {"anything": 1}) is None
    assert "'city' is a required" in str(tools.wrong_with("weather", {}))
    assert "none of its tools" in str(tools.wrong_with("forecast", {}))
