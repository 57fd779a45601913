"""Calls that never reached a provider: they cost no row while their model is not given up."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from penstock_batch.command import run_command

if TYPE_CHECKING:
    from contrib.batch.tests.conftest import Folder

pytestmark = pytest.mark.loopback

ANSWER = {"choices": [{"index": 0, "message": {"content": "A sentence."}, "finish_reason": "stop"}]}
VECTOR = {"data": [{"embedding": [0.5, 0.25]}]}


class Answering(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(VECTOR if self.path.endswith("/embeddings") else ANSWER).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def nobody_listens_for(seconds: float) -> Iterator[str]:
    """The base URL of a provider whose port refuses connections for so long."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering, bind_and_activate=False)
    server.server_bind()

    def serve() -> None:
        time.sleep(seconds)
        server.server_activate()
        server.serve_forever(poll_interval=0.01)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_refused_connections_cost_no_row_while_the_model_is_not_given_up(folder: Folder) -> None:
    with nobody_listens_for(3.0) as url:
        folder.rows(30)
        folder.write(("BASE_URL", url))
        assert run_command(folder.toml, limit=None, overwrite=False, plugins=(), progress="none") == 0
    assert len(folder.answers()) == 30


@pytest.mark.skipif(sys.platform == "win32", reason="a limit of open files is none there")
def test_too_few_open_files_cost_no_row_and_no_attempt(served: Folder) -> None:
    served.rows(60)
    served.write(
        ("[requests]", "[requests]\nmax_attempts = 1"),
        ("[plugins.aimd]\ninitial_limit = 4", '[plugins]\nrequest_limiters = ["cooldown"]'),
        (
            "[providers.p.models.embedder]\nmax_parallel_requests = 16",
            "[providers.p.models.embedder]\nmax_parallel_requests = 64",
        ),
    )
    command = [sys.executable, "-m", "penstock", "run", str(served.toml), "--progress", "none"]
    limit = 26

    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    done = subprocess.run(command, preexec_fn=few, capture_output=True, text=True, timeout=40, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(served.answers()) == 60
