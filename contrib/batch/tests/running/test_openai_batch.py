"""An OpenAI batch file run as it is: calls in, results in OpenAI's shape out, failures among them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from penstock import ConfigError
from penstock_batch.command import run_command
from penstock_batch.pipeline.loading import load_pipeline
from penstock_dialects import Prices

pytestmark = pytest.mark.loopback

PIPELINE = """
[input]
path = "calls.jsonl"
format = "openai-batch"

[output]
path = "results.jsonl"
format = "openai-batch"

[providers.p]
kind = "mock"

[providers.p.models.small]
max_parallel_requests = 8

[providers.p.models.vectors]
model = "embed-1"
max_parallel_requests = 8

[providers.p.options.models.broken]
error_rate = 1.0

[providers.p.models.broken]
max_parallel_requests = 8

[requests]
max_attempts = 1
"""
CHAT, EMBEDDINGS = "/v1/chat/completions", "/v1/embeddings"


@attrs.frozen
class Batch:
    path: Path

    def write(self, *calls: Any, toml: str = PIPELINE) -> None:
        (self.path / "pipeline.toml").write_text(toml, encoding="utf-8")
        (self.path / "calls.jsonl").write_text("".join(f"{json.dumps(call)}\n" for call in calls), encoding="utf-8")

    def run(self) -> int:
        return run_command(self.path / "pipeline.toml", limit=None, overwrite=False, plugins=(), progress="none")

    def results(self, name: str = "results.jsonl") -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.path / name).read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    return Batch(tmp_path)


def call(custom_id: str, said: str, model: str = "small", **more: Any) -> dict[str, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": said}], **more}
    return {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": body}


def embedding(custom_id: str, text: Any, model: str = "embed-1") -> dict[str, Any]:
    return {"custom_id": custom_id, "method": "POST", "url": EMBEDDINGS, "body": {"model": model, "input": text}}


def test_each_call_has_a_line_in_the_order_of_the_input(batch: Batch) -> None:
    batch.write(*(call(f"c{i}", f"say {i}", max_tokens=50) for i in range(20)))
    assert batch.run() == 0
    results = batch.results()
    assert [result["custom_id"] for result in results] == [f"c{i}" for i in range(20)]
    assert len({result["id"] for result in results}) == 20
    first = results[0]
    assert first.keys() == {"id", "custom_id", "response", "error"}
    assert first["error"] is None
    assert first["response"]["status_code"] == 200
    body = first["response"]["body"]
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["message"]["content"] == "say 0"
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"] > 0


def test_calls_of_several_kinds_and_models_go_each_to_its_own(batch: Batch) -> None:
    calls = [call("a", "hello"), embedding("b", "x"), call("c", "hi", "p/small"), embedding("d", "y", "vectors")]
    batch.write(*calls)
    assert batch.run() == 0
    bodies = [result["response"]["body"] for result in batch.results()]
    assert [body["object"] for body in bodies] == ["chat.completion", "list", "chat.completion", "list"]
    assert isinstance(bodies[1]["data"][0]["embedding"][0], float)
    assert bodies[1]["data"] != bodies[3]["data"]


def test_what_cannot_be_called_is_an_error_in_its_line_and_a_failed_row(batch: Batch) -> None:
    calls: list[Any] = [
        call("good", "hello"),
        call("broken", "hello", "broken"),
        call("unknown", "hello", "nobody"),
        {**call("responses", "hello"), "url": "/v1/responses"},
        call("streamed", "hello", stream=True),
        embedding("several", ["x", "y"]),
        {"custom_id": "no call"},
        "no object",
    ]
    batch.write(*calls)
    assert batch.run() == 1
    results = batch.results()
    assert [result["custom_id"] for result in results] == [
        *("good", "broken", "unknown", "responses", "streamed", "several"),
        *(None, None),
    ]
    assert results[0]["error"] is None
    errors = [result["error"] for result in results[1:]]
    assert [error["code"] for error in errors] == ["request_failed"] * 5 + ["invalid_line"] * 2
    for error, part in zip(
        errors, ("HTTP 5", "'nobody'", "/v1/responses", "'stream'", "one text", "method", "JSON object"), strict=True
    ):
        assert part in error["message"]
    failed = batch.results("results.jsonl.failed.jsonl")
    assert failed[0]["body"] == calls[1]["body"]  # so the failed file is a batch again
    text = PIPELINE.replace("calls.jsonl", "again.jsonl").replace("results.jsonl", "more.jsonl")
    failed_rows = (batch.path / "results.jsonl.failed.jsonl").read_text(encoding="utf-8")
    (batch.path / "again.jsonl").write_text(failed_rows.replace("broken", "small"), encoding="utf-8")
    (batch.path / "pipeline.toml").write_text(text, encoding="utf-8")
    assert batch.run() == 1
    assert batch.results("more.jsonl")[0]["response"]["status_code"] == 200


def test_answers_may_go_to_a_file_of_another_kind(batch: Batch) -> None:
    toml = PIPELINE.replace('path = "results.jsonl"\nformat = "openai-batch"', 'path = "results.jsonl"')
    batch.write(call("a", "hello"), embedding("b", "x"), toml=toml)
    assert batch.run() == 0
    first, second = batch.results()
    assert list(first) == ["custom_id", "method", "url", "body", "response"]
    assert first["response"]["choices"][0]["message"]["content"] == "hello"
    assert second["response"]["object"] == "list"


def test_the_same_calls_again_cost_nothing(batch: Batch, capsys: pytest.CaptureFixture[str]) -> None:
    batch.write(call("a", "hello"), embedding("b", "x"))
    assert batch.run() == 0
    before = batch.results()
    capsys.readouterr()
    assert batch.run() == 0
    assert batch.results() == before
    assert " calls, " not in capsys.readouterr().out


def test_no_calls_are_no_results(batch: Batch) -> None:
    batch.write()
    assert batch.run() == 0
    assert batch.results() == []


def test_steps_may_read_calls_and_then_results_have_no_such_shape(batch: Batch) -> None:
    step = '[[steps]]\nname = "said"\nkind = "chat"\nmodel = "p/small"\nprompt = "{{ body.messages[0].content }}"\n'
    batch.write(call("a", "hello"), toml=PIPELINE + step)
    with pytest.raises(ConfigError, match="passed through"):
        batch.run()
    batch.write(
        call("a", "hello"), toml=PIPELINE.replace('"results.jsonl"\nformat = "openai-batch"', '"r.jsonl"') + step
    )
    assert batch.run() == 0
    assert batch.results("r.jsonl")[0]["said"] == "hello"


def test_a_file_without_a_call_that_can_be_made_is_refused(batch: Batch) -> None:
    batch.write(call("a", "hello", "nobody"))
    with pytest.raises(ConfigError, match=r"line 1: the model 'nobody' is in no \[providers\]"):
        batch.run()


def test_its_calls_have_the_prices_of_their_models(tmp_path: Path) -> None:
    batch = Batch(tmp_path)
    priced = PIPELINE.replace("8\n", "8\nprice = { input = 1.0, output = 2.0 }\n")
    batch.write({"custom_id": "a", "method": "POST", "url": CHAT, "body": {"model": "small", "messages": []}})
    (tmp_path / "pipeline.toml").write_text(f"{priced}\n[batch]\nbudget = 1.0\n", encoding="utf-8")
    (step,) = load_pipeline(tmp_path / "pipeline.toml").steps
    assert step.model is not None
    assert step.model.prices == Prices(input=1.0, output=2.0)
