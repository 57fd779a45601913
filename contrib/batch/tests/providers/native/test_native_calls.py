"""Whole runs at servers that speak Anthropic's and Gemini's dialect and nothing else."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from penstock import ConfigError
from penstock_batch.command import check_command, run_command
from penstock_batch.pipeline.loading import load_pipeline

if TYPE_CHECKING:
    from contrib.batch.tests.conftest import Folder

KEY = "sk-native-0123456789"

PIPELINE = """
[output]
path = "out/answers.jsonl"
[input]
path = "rows.jsonl"
[[steps]]
name = "said"
kind = "chat"
model = "p/m"
system = "Be brief."
prompt = "{{ text }}"
[providers.p]
kind = "KIND"
base_url = "BASE_URL"
api_key_env = "NATIVE_KEY"
[providers.p.models.m]
model = "model-1"
max_parallel_requests = 4
price = { input = 1.0, output = 2.0 }
"""
EMBED = ('kind = "chat"\nmodel = "p/m"\nsystem = "Be brief."\nprompt =', 'kind = "embedding"\nmodel = "p/m"\ninput =')


@attrs.define
class Native:
    """A server of both dialects, and the calls that it got: path, headers, body."""

    base_url: str = ""
    calls: list[tuple[str, dict[str, str], dict[str, Any]]] = attrs.field(factory=list)
    told: dict[str, Any] = attrs.field(factory=dict)
    """By the last word of a question: what is answered in the place of an echo."""

    def answer(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.calls.append((path, headers, body))
        if path == "/v1/messages":
            if headers.get("x-api-key") != KEY or "anthropic-version" not in headers:
                return 401, {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}}
            asked = body["messages"][-1]["content"][-1]["text"]
            content = self.told.get(asked.split()[-1], [{"type": "text", "text": f"A: {asked}"}])
            ended = "tool_use" if content[0]["type"] == "tool_use" else "end_turn"
            usage = {"input_tokens": 7, "cache_read_input_tokens": 3, "output_tokens": 2}
            return 200, {"type": "message", "content": content, "stop_reason": ended, "usage": usage}
        if headers.get("x-goog-api-key") != KEY:
            return 400, {"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}
        if path == "/v1beta/models/model-1:batchEmbedContents":
            texts = [asked["content"]["parts"][0]["text"] for asked in body["requests"]]
            return 200, {"embeddings": [{"values": [float(len(text)), 0.25]} for text in texts]}
        if path == "/v1beta/models/model-1:embedContent":
            return 200, {"embedding": {"values": [0.5, 0.25]}, "usageMetadata": {"promptTokenCount": 4}}
        if path != "/v1beta/models/model-1:generateContent":
            return 404, {"error": {"code": 404, "message": f"{path} is not found", "status": "NOT_FOUND"}}
        asked = body["contents"][-1]["parts"][-1]["text"]
        parts = self.told.get(asked.split()[-1], [{"text": f"A: {asked}"}])
        usage = {"promptTokenCount": 10, "candidatesTokenCount": 2}
        return 200, {
            "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}],
            "usageMetadata": usage,
        }


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> Iterator[Native]:
    found = Native()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, said = found.answer(self.path, headers, asked)
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    monkeypatch.setenv("NATIVE_KEY", KEY)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    found.base_url = f"http://127.0.0.1:{server.server_address[1]}"
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def asked(folder: Folder, native: Native) -> Folder:
    return attrs.evolve(folder, provider_url=native.base_url)


def run(folder: Folder) -> int:
    return run_command(folder.toml, limit=None, overwrite=False, plugins=(), progress="none")


@pytest.mark.loopback
@pytest.mark.parametrize("kind", ["anthropic", "gemini"])
def test_a_pipeline_is_answered_in_the_providers_own_dialect(
    asked: Folder, native: Native, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked.write(("KIND", kind), toml=PIPELINE)
    assert run(asked) == 0
    rows = asked.answers()
    assert [row["said"] for row in rows] == [f"A: {row['text']}" for row in rows]
    _, _, body = native.calls[0]
    assert "Be brief." in json.dumps(body.get("system", body.get("systemInstruction")))
    assert "stream" not in body
    told = capsys.readouterr().out
    assert "50 tokens in, 10 out" in told  # five calls: what a cache gave is counted in
    assert "cost: 0.00007" in told
    assert KEY not in told
    assert run(asked) == 0
    assert len(native.calls) == 5


@pytest.mark.loopback
def test_a_cell_of_one_dialect_is_none_of_another(asked: Folder, native: Native) -> None:
    asked.write(("KIND", "anthropic"), toml=PIPELINE)
    run(asked)
    asked.write(("KIND", "gemini"), toml=PIPELINE)
    assert run(asked) == 0
    assert len(native.calls) == 10


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("anthropic", [{"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}]),
        ("gemini", [{"functionCall": {"id": "t1", "name": "f", "args": {"a": 1}}}]),
    ],
)
def test_calls_of_tools_come_back(asked: Folder, native: Native, kind: str, answer: list[Any]) -> None:
    asked.lines('{"text": "weather"}')
    native.told["weather"] = answer
    tools = 'params = { tools = [{ type = "function", function = { name = "f" } }] }\naccept_ended = ["tool_calls"]\n'
    asked.write(("KIND", kind), ("system =", f"{tools}system ="), toml=PIPELINE)
    assert run(asked) == 0
    assert asked.answers()[0]["said"]["tool_calls"] == [{"id": "t1", "name": "f", "arguments": {"a": 1}}]


@pytest.mark.loopback
def test_a_vector_is_geminis(asked: Folder) -> None:
    asked.write(("KIND", "gemini"), EMBED, toml=PIPELINE)
    assert run(asked) == 0
    assert [row["said"] for row in asked.answers()] == [[0.5, 0.25]] * 5


@pytest.mark.loopback
def test_texts_go_to_gemini_together_and_each_has_its_vector(asked: Folder, native: Native) -> None:
    asked.lines(*(json.dumps({"text": "x" * count}) for count in range(1, 8)))
    asked.write(("KIND", "gemini"), EMBED, ('input = "{{', 'batch_size = 7\ninput = "{{'), toml=PIPELINE)
    assert run(asked) == 0
    assert [row["said"] for row in asked.answers()] == [[float(count), 0.25] for count in range(1, 8)]
    assert [path for path, _, _ in native.calls] == ["/v1beta/models/model-1:batchEmbedContents"]


@pytest.mark.loopback
@pytest.mark.parametrize("kind", ["anthropic", "gemini"])
def test_an_answer_that_does_not_fit_goes_back_in_the_same_dialect(asked: Folder, native: Native, kind: str) -> None:
    asked.lines('{"text": "first"}')
    good = [{"type": "text", "text": '{"a": "b"}'}]
    again = "nothing", "else."
    native.told[again[1]] = good if kind == "anthropic" else [{"text": good[0]["text"]}]
    schema = 'schema = { type = "object", required = ["a"], additionalProperties = false, properties = { a = {} } }\n'
    asked.write(("KIND", kind), ("system =", f"{schema}system ="), toml=PIPELINE)
    assert run(asked) == 0
    assert asked.answers()[0]["said"] == {"a": "b"}
    _, _, body = native.calls[1]
    turns = body["messages"] if kind == "anthropic" else body["contents"]
    assert [turn["role"] for turn in turns] == ["user", "assistant" if kind == "anthropic" else "model", "user"]
    wanted = body["output_config"]["format"] if kind == "anthropic" else body["generationConfig"]
    assert "additionalProperties" in json.dumps(wanted)


@pytest.mark.loopback
@pytest.mark.parametrize("kind", ["anthropic", "gemini"])
def test_a_bad_key_gives_the_provider_up_after_a_few_calls(
    asked: Folder, native: Native, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NATIVE_KEY", "sk-wrong-123456")
    asked.rows(100)
    asked.write(("KIND", kind), toml=PIPELINE, more="[batch]\ngive_up_failures = 4\n")
    assert run(asked) == 1
    assert len(native.calls) < 12
    assert all("given up after" in row["error"] or "HTTP 40" in row["error"] for row in asked.failed())


@pytest.mark.loopback
@pytest.mark.parametrize("kind", ["anthropic", "gemini"])
def test_messages_that_a_row_has_wrong_fail_that_row_alone(asked: Folder, native: Native, kind: str) -> None:
    bad: list[object] = [None, "hello", [{"role": "usr"}], [{"role": "user", "content": [{"type": "x"}]}]]
    bodies: list[dict[str, Any]] = [
        {"messages": [{"role": "user", "content": "Well?"}]},
        {},
        {"messages": [{"role": "user", "content": "?"}], "logit_bias": {}},
        *({"messages": messages} for messages in bad),
    ]
    lines = [
        {"custom_id": str(number), "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m", **body}}
        for number, body in enumerate(bodies)
    ]
    asked.lines(*map(json.dumps, lines))
    head, _, rest = PIPELINE.partition("[[steps]]")
    files = head.replace('path = "rows.jsonl"', 'path = "rows.jsonl"\nformat = "openai-batch"')
    asked.write(("KIND", kind), toml=files + rest[rest.index("[providers") :])
    assert run(asked) == 1
    assert [row["response"]["choices"][0]["message"]["content"] for row in asked.answers()] == ["A: Well?"]
    assert len(native.calls) == 1
    reasons = [row["error"] for row in asked.failed()]
    assert all(reason.startswith("not called, p cannot be told: ") for reason in reasons)
    assert "logit_bias: has no place in a call to p" in reasons[1]
    assert "messages[0].role: must be the role of a message" in reasons[4]


def problems(folder: Folder, *replaced: tuple[str, str]) -> list[str]:
    folder.write(*replaced, toml=PIPELINE)
    with pytest.raises(ConfigError) as caught:
        load_pipeline(folder.toml)
    return [f"{problem}".partition("pipeline.toml: ")[2] for problem in caught.value.records]


@pytest.mark.parametrize(
    ("kind", "old", "new", "says"),
    [
        ("anthropic", *EMBED, "steps.said.model: p speaks anthropic, which has no embedding"),
        (
            "anthropic",
            "system =",
            "params = { seed = 1 }\nsystem =",
            "steps.said.params.seed: has no place in a call to p",
        ),
        ("gemini", "system =", 'params = { user = "a" }\nsystem =', "steps.said.params.user: has no place"),
        ("gemini", "BASE_URL", "http://h/v1beta/", "providers.p.base_url: ends in /v1beta, which the path"),
        ("anthropic", "BASE_URL", "http://h/v1", "providers.p.base_url: ends in /v1, which the path"),
        ("anthropic", "BASE_URL", "http://h?x=1", "providers.p.base_url: holds a query"),
        (
            "anthropic",
            "[providers.p.models.m]",
            "[providers.p.options]\nslots = 3\n[providers.p.models.m]",
            "providers.p.options.slots: means nothing for anthropic; there is body_keys",
        ),
        (
            "gemini",
            "[providers.p.models.m]",
            '[providers.p.options]\nbody_keys = "a"\n[providers.p.models.m]',
            "providers.p.options.body_keys: must be a list of the names of keys",
        ),
        (
            "anthropic",
            'api_key_env = "NATIVE_KEY"',
            'api_key_env = "NATIVE_KEY"\nheaders = { x-api-key = "NATIVE_KEY" }',
            "providers.p.headers.x-api-key: is where the key goes",
        ),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_called(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, kind: str, old: str, new: str, says: str
) -> None:
    monkeypatch.setenv("NATIVE_KEY", KEY)
    at = attrs.evolve(folder, provider_url="http://127.0.0.1:9")
    (problem,) = problems(at, (old, new), ("KIND", kind))
    assert problem.startswith(says)


def test_a_native_provider_needs_no_base_url_and_its_own_keys_may_be_named(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NATIVE_KEY", KEY)
    folder.write(
        ('base_url = "BASE_URL"\n', ""),
        ("KIND", "anthropic"),
        ("system =", "params = { thinking = {}, newest = 1 }\nsystem ="),
        ("[providers.p.models.m]", '[providers.p.options]\nbody_keys = ["newest"]\n[providers.p.models.m]'),
        toml=PIPELINE,
    )
    assert load_pipeline(folder.toml).steps[0].params == {"max_tokens": 4096, "thinking": {}, "newest": 1}
    assert check_command(folder.toml, plugins=()) == 0
