"""What a chat step says: by a prompt, by files beside the TOML, or turn by turn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from penstock import ConfigError, Problem
from penstock_batch.calls.asking import ask
from penstock_batch.pipeline.config import MessageConfig, StepConfig
from penstock_batch.pipeline.loading import load_pipeline
from penstock_batch.pipeline.turns import Turns, compile_turns

if TYPE_CHECKING:
    from contrib.batch.tests.conftest import Folder

PROMPT = 'prompt = "Summarise in one sentence: {{ text }}"'
MESSAGES = [MessageConfig(role="user", content="{{ a }}"), MessageConfig(role="assistant", content="{{ b }}!")]


def compiled(folder: Path, **said: Any) -> tuple[Turns, list[Problem]]:
    found: list[Problem] = []
    return compile_turns(StepConfig(name="s", kind="chat", **said), folder, found), found


def said(turns: Turns, **values: object) -> list[tuple[str, str]]:
    return [(turn.role, turn.template.render(values)) for turn in turns.turns]


def test_a_prompt_is_said_by_the_user_after_the_system(tmp_path: Path) -> None:
    turns, found = compiled(tmp_path, prompt="Hi {{ a }}", system="You are {{ b }}.")
    assert found == []
    assert turns.variables == {"a", "b"}
    assert said(turns, a="x", b="kind") == [("system", "You are kind."), ("user", "Hi x")]


def test_messages_are_said_in_their_order(tmp_path: Path) -> None:
    turns, found = compiled(tmp_path, messages=MESSAGES)
    assert found == []
    assert turns.variables == {"a", "b"}
    assert said(turns, a="x", b="y") == [("user", "x"), ("assistant", "y!")]


def test_files_are_templates_and_known_by_what_is_in_them(tmp_path: Path) -> None:
    (tmp_path / "ask.txt").write_text("\ufeffHi\n{{ a }}\n", encoding="utf-8")
    (tmp_path / "system.txt").write_text("Be {{ b }}.", encoding="utf-8")
    turns, found = compiled(tmp_path, prompt_file="ask.txt", system_file="system.txt")
    assert found == []
    assert said(turns, a="x", b="kind") == [("system", "Be kind."), ("user", "Hi\nx")]
    (tmp_path / "ask.txt").write_text("Hello {{ a }}", encoding="utf-8")
    assert compiled(tmp_path, prompt_file="ask.txt", system_file="system.txt")[0].seen != turns.seen


@pytest.mark.parametrize(
    ("contents", "complaint"),
    [
        (None, "ask.txt: is not there"),
        (b" \n", "ask.txt: is empty"),
        (b"fine\nfine\n\xff", "ask.txt: line 3: is no text in UTF-8"),
        (b"fine\nfine {{ a\n", "ask.txt: line 2: unexpected end of template"),
        (b"x" * ((1 << 20) + 1), "ask.txt: has more than 1,048,576 bytes"),
    ],
)
def test_a_file_that_is_no_template_is_named_with_its_line(
    tmp_path: Path, contents: bytes | None, complaint: str
) -> None:
    if contents is not None:
        (tmp_path / "ask.txt").write_bytes(contents)
    _, (problem,) = compiled(tmp_path, prompt_file="ask.txt")
    assert problem.path == ("prompt_file",)
    assert complaint in problem.what


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({}, ("prompt",)),
        ({"prompt": "x", "prompt_file": "ask.txt"}, ("prompt_file",)),
        ({"prompt": "x", "messages": MESSAGES}, ("messages",)),
        ({"prompt": "x", "system": "x", "system_file": "ask.txt"}, ("system_file",)),
        ({"messages": []}, ("messages",)),
        ({"messages": MESSAGES, "system": "x"}, ("system",)),
        ({"messages": [*MESSAGES, MessageConfig(role="user", content="{{ a")]}, ("messages", 2, "content")),
    ],
)
def test_what_is_asked_is_said_in_one_way(tmp_path: Path, given: dict[str, Any], path: tuple[str | int, ...]) -> None:
    _, found = compiled(tmp_path, **given)
    assert [problem.path for problem in found] == [path]


@pytest.mark.parametrize(
    "said",
    [
        'messages = [{ role = "user", content = "Summarise in one sentence: {{ text }}" }]',
        'prompt_file = "ask.txt"',
    ],
)
def test_a_call_is_the_same_however_it_is_said(folder: Folder, said: str) -> None:
    values = {"text": "x"}
    folder.write()
    before = ask(load_pipeline(folder.toml).steps[0], values, values)
    (folder.path / "ask.txt").write_text("Summarise in one sentence: {{ text }}\n", encoding="utf-8")
    folder.write((PROMPT, said))
    step = load_pipeline(folder.toml).steps[0]
    assert step.uses == {"text"}
    assert ask(step, values, values) == before


def test_who_says_something_is_one_of_four(folder: Folder) -> None:
    folder.write((PROMPT, 'messages = [{ role = "usr", content = "x" }]'))
    with pytest.raises(ConfigError, match=r"steps\[0\].messages\[0\].role: must be \"system\" or \"developer\" or"):
        load_pipeline(folder.toml)


def test_a_vector_has_no_turns(folder: Folder) -> None:
    folder.write(('input = "{{ summary }}"', 'input = "{{ summary }}"\nprompt_file = "x"'))
    with pytest.raises(ConfigError, match=r"steps\.vector\.prompt_file: means nothing in a embedding step"):
        load_pipeline(folder.toml)
