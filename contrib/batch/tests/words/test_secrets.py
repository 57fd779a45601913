"""Keys: refused where no header can carry them, and blotted out of all that leaves a run."""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
import trio

from penstock import ConfigError
from penstock_batch.pipeline.loading import load_pipeline
from penstock_batch.words.failures import said_of
from penstock_batch.words.secrets import BLOT, Secrets, key_problem

if TYPE_CHECKING:
    from contrib.batch.tests.conftest import Folder

KEY = 'sk-"geheim\\-0123456789'

PIPELINE = """
[input]
path = "rows.jsonl"
[output]
path = "out/answers.jsonl"
[[steps]]
name = "said"
kind = "chat"
model = "p/m"
prompt = "{{ text }}"
[[steps]]
name = "again"
kind = "chat"
model = "p/m"
prompt = "{{ said }}"
[providers.p]
base_url = "BASE_URL"
api_key_env = "KEY_OF_P"
[providers.p.models.m]
max_parallel_requests = 4
[requests]
max_attempts = 2
retry_backoff = 0.01
"""


@pytest.mark.parametrize("key", ["sk-1\n", "sk-1\r", " sk-1", "sk-1 ", "sk 1", "sk-\t1", "sk-\x001", "schlüssel", "\n"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    assert key_problem(key) is not None
    folder.write(toml=PIPELINE)
    monkeypatch.setenv("KEY_OF_P", key.replace("\0", "\x01"))  # an environment cannot hold the first
    with pytest.raises(ConfigError) as caught:
        load_pipeline(folder.toml)
    assert "the key in KEY_OF_P has" in str(caught.value)
    assert key.strip() not in str(caught.value) or not key.strip()


@pytest.mark.parametrize("at", [*range(470, 502, 4), 499])
def test_nothing_is_left_of_a_key_in_which_a_text_was_cut(at: int) -> None:
    key = "sk-0123456789abcdef"
    said = Secrets([key]).text(said_of(ValueError("x" * at + key + "y" * 100)))
    assert not any(key[:length] in said for length in range(6, len(key) + 1))
    assert "…" in said


def test_a_key_is_blotted_out_wherever_it_stands() -> None:
    secrets = Secrets(["sk-123456", "sk-123456789", "none", ""])
    assert secrets.text("a sk-123456789, sk-123456 and none") == "a ***, *** and none"
    held = {"x": ["sk-123456", {"sk-123456": 1}], "v": [1.5, 2], "n": None}
    assert secrets.value(held) == {"x": ["***", {"***": 1}], "v": [1.5, 2], "n": None}
    numbers = [123456789.5, 12345678]
    assert Secrets(["12345678"]).value(numbers) == numbers


@pytest.mark.parametrize(
    "written",
    [
        lambda key: quote(key, safe=""),
        lambda key: re.sub("%..", lambda found: found[0].lower(), quote(key, safe="")),
        lambda key: json.dumps({"key": key}).replace("/", "\\/"),
        html.escape,
        lambda key: b64encode(f"user:{key}".encode()).decode(),
        lambda key: b64encode(f"Bearer {key} and more".encode()).decode(),
        lambda key: urlsafe_b64encode(f"12{key}1".encode()).decode(),
    ],
    ids=["percent", "percent, small", "JSON of others", "HTML", "base64", "base64 within", "base64 of URLs"],
)
def test_nothing_is_left_of_a_key_that_is_written_otherwise(written: Callable[[str], str]) -> None:
    key = "sk+01/23=45>67&89"
    said = Secrets([key]).text(f"You sent {written(key)}.")
    assert BLOT in said
    assert not any(said.count(written(key)[at : at + 8]) for at in range(6, 16))


def test_keys_that_are_no_text_that_can_be_sent_are_blotted_out_too() -> None:
    assert Secrets(["sk-\udc80-12345"]).text("a sk-\udc80-12345") == "a ***"


def _chat(text: str) -> bytes:
    body = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "usage": {"completion_tokens": 1}}
    return json.dumps(body).encode()


def _answer(status: str, body: bytes, *headers: str) -> bytes:
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}"))
    return f"{head}Content-Type: application/json\r\n\r\n".encode() + body


ECHOES: dict[str, Callable[[str], bytes]] = {
    "an answer": lambda key: _answer("200 OK", _chat(f"You sent {key}.")),
    "an error": lambda key: _answer("401 No", json.dumps({"error": {"message": f"bad key {key}"}}).encode()),
    "an error that is text": lambda key: _answer("500 No", key.encode()),
    "a broken header": lambda key: f"HTTP/1.1 200 OK\r\nbad header {key}\r\n\r\n".encode(),
    "a broken status": lambda key: f"HTTP/1.1 {key}\r\n\r\n".encode(),
    "a model's name": lambda key: _answer("200 OK", json.dumps({"error": {"code": key, "type": key}}).encode()),
}


@asynccontextmanager
async def serving(answer: bytes) -> AsyncIterator[str]:
    async def serve(stream: trio.SocketStream) -> None:
        got = b""
        async for part in stream:
            got += part
            head, end, rest = got.partition(b"\r\n\r\n")
            length = next(
                (int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"), 0
            )
            if end and len(rest) >= length:
                with trio.move_on_after(1):
                    await stream.send_all(answer)
                    await stream.send_eof()
                return

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/v1"
        nursery.cancel_scope.cancel()


@pytest.mark.loopback
@pytest.mark.parametrize("what", ECHOES)
async def test_a_key_that_a_provider_echoes_leaves_the_run_by_no_way(folder: Folder, what: str) -> None:
    import os
    import sys

    import attrs

    async with serving(ECHOES[what](KEY)) as url:
        served = attrs.evolve(folder, provider_url=url)
        served.rows(1)
        served.write(toml=PIPELINE, more='[plugins]\nsinks = ["jsonl"]\n[plugins.jsonl]\npath = "out/events.jsonl"\n')
        ended = await trio.run_process(
            [sys.executable, "-m", "penstock", "run", str(served.toml)],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            env={**os.environ, "KEY_OF_P": KEY},
        )
    shown = (ended.stdout + ended.stderr).decode()
    assert "Traceback" not in shown
    assert ended.returncode == (0 if what == "an answer" else 1), shown
    texts = {
        "terminal": shown,
        **{path.name: Path(path).read_bytes().decode("latin-1") for path in served.output.parent.iterdir()},
    }
    inner = json.dumps(KEY)[1:-1]
    assert [name for name, text in texts.items() if KEY in text or inner in text or "geheim" in text] == []
    if what == "an answer":
        assert served.answers()[0]["said"] == "You sent ***."
