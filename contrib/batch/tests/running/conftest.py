"""A provider that says what a test tells it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from contrib.batch.tests.conftest import Folder

Said = str | tuple[str, str | None] | dict[str, Any]
"""A text, a text and how it ended, or a whole message."""


class Scripted:
    """A provider that says what `answer` gives for the messages of a call, and remembers the bodies. Where `refuse`
    gives a status and an error for a body, that is what comes back.
    """

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.answer: Callable[[list[dict[str, Any]]], Said] = lambda messages: messages[-1]["content"]
        self.refuse: Callable[[dict[str, Any]], tuple[int, dict[str, Any]] | None] = lambda body: None
        self._lock = threading.Lock()

    def reply(self, body: dict[str, Any]) -> tuple[int, bytes]:
        with self._lock:
            self.bodies.append(body)
            refused = self.refuse(body)
            if refused is not None:
                return refused[0], json.dumps({"error": refused[1]}).encode()
            said = self.answer(body["messages"])
        return 200, json.dumps(_answered(body["model"], said)).encode()


def _answered(model: str, said: Said) -> dict[str, Any]:
    text, ended = said if isinstance(said, tuple) else (said, "stop")
    message = {"role": "assistant", "content": text}
    if isinstance(said, dict):
        message, ended = said, "tool_calls" if "tool_calls" in said else "stop"
    choice = {"index": 0, "message": message, "finish_reason": ended}
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    return {"model": f"{model}-1", "choices": [choice], "usage": usage}


@pytest.fixture
def scripted(folder: Folder) -> Iterator[Scripted]:
    """The provider of `folder`'s pipeline."""
    script = Scripted()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            status, body = script.reply(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        object.__setattr__(folder, "provider_url", f"http://127.0.0.1:{server.server_port}/v1")
        yield script
        server.shutdown()
        thread.join()
