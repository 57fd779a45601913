"""Whole runs of steps that ask by more than a prompt: tools, other models, images."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import TYPE_CHECKING, Any

import pytest

from penstock_batch.command import check_command, run_command
from penstock_batch.store.encoding import decoded
from penstock_batch.store.reading import StoreReader

if TYPE_CHECKING:
    from contrib.batch.tests.conftest import Folder
    from contrib.batch.tests.running.conftest import Scripted

pytestmark = pytest.mark.loopback

PIPELINE = """
[requests]
retry_backoff = 0.01
[output]
path = "out/answers.jsonl"
[input]
path = "rows.jsonl"
[[steps]]
name = "s"
kind = "chat"
model = "p/m"
MORE
[providers.p]
base_url = "BASE_URL"
[providers.p.models.m]
max_parallel_requests = 4
[providers.p.models.other]
max_parallel_requests = 4
"""


def run(folder: Folder, more: str, rows: int | None = None) -> int:
    """The exit code of a run of a step with `more` in its table."""
    if rows is not None:
        folder.lines(*(json.dumps({"id": i, "text": f"row {i}"}) for i in range(rows)))
    folder.write(("MORE", more), toml=PIPELINE)
    return run_command(folder.toml, limit=None, overwrite=False, plugins=(), progress="none")


WEATHER = """
prompt = "{{ text }}"
[[steps.tools]]
type = "function"
function = { name = "weather", parameters = { type = "object", properties = { city = { type = "string" } } } }
"""
TOLD = """
[[steps]]
name = "told"
kind = "chat"
model = "p/m"
messages = [
  { role = "user", content = "{{ text }}" },
  { role = "assistant", content = "{{ s.text }}{% for call in s.tool_calls %}{{ call.arguments.city }}{% endfor %}" },
  { role = "user", content = "So?" },
]
"""


def test_what_a_model_calls_is_a_value_that_later_steps_use(folder: Folder, scripted: Scripted) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bern"}'}}
    answers: dict[str, Any] = {"row 0": "Sunny.", "row 1": {"content": None, "tool_calls": [call]}}
    scripted.answer = lambda messages: answers.get(messages[-1]["content"]) or messages[-2]["content"]
    assert run(folder, WEATHER + TOLD, rows=2) == 0
    first, second = folder.answers()
    assert first["s"] == {"text": "Sunny.", "tool_calls": []}
    assert second["s"]["tool_calls"] == [{"id": "c", "name": "weather", "arguments": {"city": "Bern"}}]
    assert [first["told"], second["told"]] == ["Sunny.", "Bern"]
    assert scripted.bodies[0]["tools"][0]["function"]["name"] == "weather"
    assert [message["role"] for message in scripted.bodies[-1]["messages"]] == ["user", "assistant", "user"]


def test_a_prompt_that_changes_in_its_file_is_asked_anew(folder: Folder, scripted: Scripted) -> None:
    """The TOML is the same: the run does not take it for one that has nothing to do."""
    asking = folder.path / "ask.txt"
    for prompt, calls in (("Say {{ text }}", 2), ("Say {{ text }}", 0), ("Tell {{ text }}", 2)):
        asking.write_text(prompt, encoding="utf-8")
        assert run(folder, 'prompt_file = "ask.txt"', rows=2) == 0
        assert len(scripted.bodies) == calls
        scripted.bodies.clear()
    assert [answer["s"] for answer in folder.answers()] == ["Tell row 0", "Tell row 1"]


# -- another model in the place of the first --

FALLBACK = 'prompt = "{{ text }}"\nfallback = ["p/other"]'


def by(folder: Folder) -> set[str | None]:
    """Who gave the answers that are kept."""
    with StoreReader(folder.store) as store:
        rows = store.ask("SELECT body, vector FROM answers")
    return {decoded(body, vector).by for body, vector in rows}


def test_rows_are_done_by_another_model_and_kept_under_the_call_of_the_first(
    folder: Folder, scripted: Scripted
) -> None:
    scripted.refuse = lambda body: (401, {"message": "no such key"}) if body["model"] == "m" else None
    assert run(folder, FALLBACK, rows=12) == 0
    assert len(folder.answers()) == 12
    assert by(folder) == {"p/other"}
    scripted.bodies.clear()
    scripted.refuse = lambda body: None
    assert run(folder, 'prompt = "{{ text }}"') == 0
    assert (len(folder.answers()), scripted.bodies) == (12, [])


def test_a_row_that_is_refused_costs_only_itself_another_call(folder: Folder, scripted: Scripted) -> None:
    too_large = (400, {"message": "too large", "code": "context_length_exceeded"})
    scripted.refuse = lambda body: (
        too_large if (body["model"], body["messages"][0]["content"]) == ("m", "row 1") else None
    )
    assert run(folder, FALLBACK, rows=4) == 0
    assert sorted(body["model"] for body in scripted.bodies) == ["m", "m", "m", "m", "other"]
    assert by(folder) == {"p/m", "p/other"}


def test_rows_fail_when_all_models_are_given_up(folder: Folder, scripted: Scripted) -> None:
    scripted.refuse = lambda body: (401, {"message": f"no {body['model']}"})
    assert run(folder, FALLBACK, rows=3) == 1
    assert {line["error"].count("no m") + line["error"].count("no other") for line in folder.failed()} == {2}


def test_a_check_tells_who_is_asked_in_whose_place(
    folder: Folder, scripted: Scripted, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.write(("MORE", FALLBACK), toml=PIPELINE)
    assert check_command(folder.toml, plugins=()) == 0
    assert "at p/m (at most 4 at a time), else p/other (at most 4 at a time)" in capsys.readouterr().out


# -- images --

LOOK = 'prompt = "{{ image(photo) }} What is this?"\nattempts = 1'


def shown(*names: str, folder: Folder) -> int:
    """The exit code of a run over rows that name these images."""
    folder.lines(*(json.dumps({"photo": name}) for name in names))
    return run(folder, LOOK)


def test_images_go_out_with_their_calls_and_a_row_fails_alone(folder: Folder, scripted: Scripted) -> None:
    contents = {name: b"\x89PNG\r\n\x1a\n" + name.encode() for name in ("a.png", "b.png")}
    for name, held in contents.items():
        (folder.path / name).write_bytes(held)
    scripted.answer = lambda messages: messages[0]["content"][1]["text"]
    assert shown("a.png", "nothing.png", "b.png", "../x.png", "https://c.example/c.png", folder=folder) == 1
    urls = [body["messages"][0]["content"][0]["image_url"]["url"] for body in scripted.bodies]
    assert {b64decode(url.partition(",")[2]) for url in urls if url.startswith("data:image/png;base64,")} == set(
        contents.values()
    )
    assert "https://c.example/c.png" in urls
    assert [answer["s"] for answer in folder.answers()] == [" What is this?"] * 3
    missing, outside = folder.failed()
    assert "the template cannot be filled in: 'nothing.png' is not there" in missing["error"]
    assert "does not lie below" in outside["error"]


def test_an_image_that_is_replaced_is_asked_anew_and_no_other(folder: Folder, scripted: Scripted) -> None:
    """Neither the TOML nor the input tells that it is another one."""
    scripted.answer = lambda messages: "x"
    for name in ("a.png", "b.png"):
        (folder.path / name).write_bytes(b"\x89PNG\r\n\x1a\n" + name.encode())
    for new, calls in ((b"1", 2), (b"1", 0), (b"2", 1)):
        (folder.path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n" + new)
        assert shown("a.png", "b.png", folder=folder) == 0
        assert len(scripted.bodies) == calls
        scripted.bodies.clear()
    assert [answer["s"] for answer in folder.answers()] == ["x", "x"]
