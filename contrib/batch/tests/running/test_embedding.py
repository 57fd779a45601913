"""Whole runs whose texts go together, in virtual time, at the embedded provider in this process."""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import httpx2
import pytest
import trio
from contrib.batch.tests.embedder import Embedder, vector_of
from trio.testing import MockClock

from penstock import ConfigError, open_scheduler
from penstock_batch import run as run_rows
from penstock_batch.command import check_command, run_command
from penstock_batch.pipeline.loading import Pipeline, load_pipeline
from penstock_batch.providers.clients import ModelClient, ProxiedClient
from penstock_batch.providers.endpoints import Endpoints, mock_config
from penstock_batch.report.commands import plan_command
from penstock_batch.rows.working_files import Workplace
from penstock_batch.running.assembly import Assembled, assemble
from penstock_batch.running.redoing import Redo
from penstock_batch.running.runner import BatchRun
from penstock_batch.running.staged import StagedRows
from penstock_batch.running.summary import summary_lines
from penstock_batch.running.text_room import rows_in_flight, with_room
from penstock_batch.running.watched import watched
from penstock_batch.store.store import Store
from penstock_mockprovider.answers import embedding
from penstock_mockprovider.app import MockApp

if TYPE_CHECKING:
    from contrib.batch.tests.conftest import Folder

TOML = """
[input]
path = "rows.jsonl"
[output]
path = "out/answers.jsonl"
[[steps]]
name = "vector"
kind = "embedding"
model = "p/e"
input = "{{ text }}"
batch_size = 100
[providers.p]
kind = "mock"
[providers.p.models.e]
max_parallel_requests = 16
price = { input = 1.0 }
[providers.p.options]
dimensions = 8
[providers.p.options.models.e]
latency = { mean = 0.5, sigma = 0.0 }
[scheduler]
shutdown_grace = 1_000_000
"""


@attrs.frozen
class Ended:
    """A run that has ended."""

    run: BatchRun
    result: Assembled


def text_of(number: int) -> str:
    """A text that no other row has, in words."""
    letters = "abcdefghij"
    return " ".join(letters[int(digit)] * 3 + letters[place] for place, digit in enumerate(str(number)))


def written(folder: Folder, count: int, *replaced: tuple[str, str], toml: str = TOML) -> Pipeline:
    folder.lines(*(json.dumps({"id": number, "text": text_of(number)}) for number in range(count)))
    folder.write(*replaced, toml=toml)
    return load_pipeline(folder.toml)


async def ran(pipeline: Pipeline, client: ModelClient, *, stop_at: int | None = None, redo: str | None = None) -> Ended:
    """The pipeline carried out at this client; stopped, as by one Ctrl+C, when so many calls have come to it.

    Commits are made by threads, for which virtual time does not wait: nothing here may depend on a moment.
    """
    pipeline.store.parent.mkdir(exist_ok=True)
    with Store(pipeline.store) as store, StagedRows(pipeline, None, Workplace(pipeline.store.parent)) as staged:
        if redo is not None:
            Redo(pipeline, redo, None).retire(store, None)
        run = BatchRun(pipeline, store, staged)
        if stop_at is not None:
            assert isinstance(client, Embedder)
            client.arrived = lambda count: run.stop(at_once=False) if count == stop_at else None
        if await run.anything_to_do():
            async with open_scheduler(with_room(watched(pipeline.config), pipeline.batch, pipeline.steps)) as scheduler:
                await run.carry_out(scheduler, Endpoints({"p/e": client}, {}), "none", signals=False)
            await run.look_at_the_rest()
        return Ended(run, assemble(pipeline, staged))


def in_process(pipeline: Pipeline) -> tuple[MockApp, ModelClient]:
    """The provider of a pipeline, and a client of it, without a socket."""
    config = mock_config("p", pipeline.config.providers["p"])
    app = MockApp(config, trio.current_time(), time.time())
    transport = httpx2.ASGITransport(app=app.asgi)
    make = partial(httpx2.AsyncClient, transport=transport, base_url="http://mock/v1", timeout=None)
    return app, ProxiedClient("http://mock/v1", make)


@pytest.mark.parametrize(("count", "limits"), [(5000, ""), (1500, "slots = 1\n")], ids=["free", "limited"])
async def test_five_thousand_texts_are_embedded_in_fifty_calls(
    folder: Folder, count: int, limits: str, autojump_clock: MockClock
) -> None:
    pipeline = written(folder, count, ("latency =", f"{limits}latency ="))
    app, client = in_process(pipeline)
    ended = await ran(pipeline, client)
    seen = app.report().models["e"].total
    assert (ended.result.done, ended.result.failed) == (count, 0)
    assert seen.completed == seen.arrived - seen.refused == count // 100
    answers = folder.answers()
    assert [answer["id"] for answer in answers] == list(range(count))
    assert len({tuple(answer["vector"]) for answer in answers}) > count / 10  # it knows words, and no order of them
    assert all(answer["vector"] == pytest.approx(embedding(answer["text"], 8)) for answer in answers[::7])
    tallies = ended.run.tallies
    assert (tallies.steps["vector"].done, tallies.models["p/e"].answered) == (count, count // 100)
    assert tallies.models["p/e"].input_tokens == seen.tokens
    assert tallies.cost == pytest.approx(seen.tokens / 1_000_000)


async def test_another_batch_size_pays_for_nothing_again(folder: Folder, autojump_clock: MockClock) -> None:
    embedder = Embedder()
    first = await ran(written(folder, 150), embedder)
    assert (first.result.done, embedder.sizes) == (150, [100, 50])
    again = written(folder, 160, ("batch_size = 100", "batch_size = 7"))
    assert (await ran(again, embedder)).result.done == 160
    alone = written(folder, 161, ("batch_size = 100\n", ""))
    assert (await ran(alone, embedder)).result.done == 161
    assert embedder.sizes == [100, 50, 7, 3, 1]
    assert set(embedder.embedded.values()) == {1}
    assert folder.answers()[160]["vector"] == vector_of(text_of(160))
    await ran(written(folder, 161), embedder, redo="vector")
    assert embedder.sizes[5:] == [100, 61]


async def test_a_run_that_is_stopped_loses_nothing(folder: Folder, autojump_clock: MockClock) -> None:
    embedder = Embedder()
    pipeline = written(folder, 700, ("max_parallel_requests = 16", "max_parallel_requests = 2"))
    stopped = await ran(pipeline, embedder, stop_at=3)
    kept = sum(embedder.sizes)
    assert kept in (300, 400)  # another may just have been admitted
    assert (stopped.result.done, stopped.result.failed, stopped.result.open) == (kept, 0, 700 - kept)
    assert (await ran(pipeline, embedder)).result.done == 700
    assert set(embedder.embedded.values()) == {1}


async def test_a_bad_text_is_its_rows_failure_alone(folder: Folder, autojump_clock: MockClock) -> None:
    embedder = Embedder()
    embedder.refuses = lambda texts: "too long" if text_of(77) in texts else None
    ended = await ran(written(folder, 200), embedder)
    (failed,) = folder.failed()
    assert (failed["row"]["id"], failed["step"], failed["error"]) == (77, "vector", "p: HTTP 400: too long")
    assert (ended.result.done, ended.result.failed) == (199, 1)
    assert ended.run.tallies.models["p/e"].failed in (7, 8)
    words = summary_lines(ended.result, ended.run.tallies, {}, seconds=1.0, interrupted=False)
    calls = len(embedder.asked)
    assert any(line.startswith(f"  vector: 199 done by {calls} calls (199.0/s), 1 failed") for line in words)
    assert any(line.startswith(f"{calls} calls, ") for line in words)


LENGTH = """
[[steps]]
name = "length"
kind = "python"
function = "length_of_texts:length"
needs = ["text"]
thread = false
"""
FUNCTION = """
import trio

all_there = trio.Event()
computed = []

def length(text):
    computed.append(text)
    if len(computed) == 300:
        all_there.set()
    return len(text)
"""


async def test_texts_that_wait_hold_no_places_of_other_steps(folder: Folder, autojump_clock: MockClock) -> None:
    (folder.path / "length_of_texts.py").write_text(FUNCTION, encoding="utf-8")
    pipeline = written(folder, 300, ("[scheduler]", "[scheduler]\nsubmission_capacity = 20"), toml=TOML + LENGTH)
    embedder = Embedder()
    embedder.until = sys.modules["length_of_texts"].all_there
    with trio.fail_after(10_000):
        ended = await ran(pipeline, embedder)
    assert (ended.result.done, len(embedder.asked)) == (300, 3)


@pytest.mark.parametrize(
    ("rows", "cap", "size", "most"),
    [(None, 4, 1, 1000), (None, 4, 100, 1000), (None, 32, 100, 3300), (None, 64, 2048, 10_000), (50, 64, 2048, 50)],
)
def test_as_many_rows_are_in_memory_as_fill_the_calls(
    folder: Folder, rows: int | None, cap: int, size: int, most: int
) -> None:
    said = "" if rows is None else f"[batch]\nrows_in_flight = {rows}\n"
    replaced = {
        "batch_size = 100": f"batch_size = {size}",
        "= 16": f"= {cap}",
        "[providers.p]\n": f"{said}[providers.p]\n",
    }
    pipeline = written(folder, 1, *replaced.items())
    assert rows_in_flight(pipeline.batch, pipeline.steps) == most


@pytest.mark.parametrize(
    ("step", "key", "what"),
    [
        ("batch_size = 0", "batch_size", "at least 1"),
        ("batch_size = 5000", "batch_size", "at most 2048"),
        ("batch_size = true", "batch_size", "must be"),
        ('batch_size = "100"', "batch_size", "must be"),
        ("batch_size = 2.5", "batch_size", "must be"),
        ("batch_size = 10\nbatch_tokens = 0", "batch_tokens", "at least 1"),
        ("batch_tokens = 1000", "batch_tokens", "means nothing without batch_size"),
    ],
)
def test_a_wrong_size_is_refused_by_name(folder: Folder, step: str, key: str, what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        written(folder, 1, ("batch_size = 100", step))
    (problem,) = caught.value.records
    assert (problem.path[-1], problem.source) == (key, str(folder.toml))
    assert what in problem.what


def test_a_chat_has_no_batch_size(folder: Folder) -> None:
    with pytest.raises(ConfigError) as caught:
        written(folder, 1, ('kind = "embedding"', 'kind = "chat"'), ('input = "', 'prompt = "'))
    (problem,) = (each for each in caught.value.records if each.path[-1] == "batch_size")
    assert (problem.path, problem.what) == (("steps", "vector", "batch_size"), "means nothing in a chat step")


def test_check_and_plan_tell_calls_and_texts(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    written(folder, 5000)
    check_command(folder.toml, plugins=())
    plan_command(folder.toml, rows=100)
    said = capsys.readouterr().out
    assert "(at most 16 at a time, each for 100 texts or fewer)" in said
    assert "vector: 50 calls to p/e for 5,000 texts" in said


@pytest.mark.loopback
def test_the_command_and_the_python_door_put_texts_together(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    written(folder, 120)
    assert run_command(folder.toml, limit=None, overwrite=False, plugins=(), progress="none") == 0
    assert "vector: 120 done by 2 calls" in capsys.readouterr().out
    tables: dict[str, Any] = {
        "steps": [{"name": "v", "kind": "embedding", "model": "p/e", "input": "{{ t }}", "batch_size": 50}],
        "providers": {"p": {"kind": "mock", "models": {"e": {"max_parallel_requests": 4}}}},
    }
    rows = run_rows(tables, [{"t": text_of(number)} for number in range(100)])
    assert len({tuple(row.values["v"]) for row in rows}) > 50
    assert "100 done by 2 calls" in str(rows.summary)
