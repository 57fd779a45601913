"""`penstock_batch.run` from plain code, asyncio and trio: the same rows, and nothing that stays behind."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import trio

from penstock import ConfigError
from penstock_batch import BatchResult, BatchRows, run

pytestmark = pytest.mark.loopback

PROVIDER = {
    "kind": "mock",
    "models": {"m": {"max_parallel_requests": 8}},
    "options": {"models": {"m": {"latency": {"mean": 0.001}}}},
}
ECHO = {
    "steps": [{"name": "said", "kind": "chat", "model": "p/m", "prompt": "say {{ text }}"}],
    "providers": {"p": PROVIDER},
}
STUCK = {
    **ECHO,
    "providers": {"p": {**PROVIDER, "options": {"models": {"m": {"hang_share": 1.0}}}}},
}


def texts(count: int) -> list[dict[str, Any]]:
    return [{"text": f"row {i}"} for i in range(count)]


async def later() -> AsyncIterator[dict[str, Any]]:
    yield {"text": "a"}


def in_plain_code(rows: BatchRows) -> list[BatchResult]:
    return list(rows)


def in_asyncio(rows: BatchRows) -> list[BatchResult]:
    async def main() -> list[BatchResult]:
        return [row async for row in rows]

    return asyncio.run(main())


def in_trio(rows: BatchRows) -> list[BatchResult]:
    async def main() -> list[BatchResult]:
        return [row async for row in rows]

    return trio.run(main)


everywhere = pytest.mark.parametrize("gone_through", [in_plain_code, in_asyncio, in_trio])


@pytest.fixture(autouse=True)
def private_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files, of which nothing may be left, and no thread either."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    for thread in threading.enumerate():
        if thread.name == "penstock batch":
            thread.join(10)
            assert not thread.is_alive()


def left_in(folder: Path) -> list[str]:
    """What lies in a folder for temporary files, beside the sockets of `penstock explain`."""
    return [name for name in os.listdir(folder) if name.startswith(("penstock-batch-", "penstock-input-"))]


@everywhere
def test_rows_come_in_the_inputs_order_with_their_values_or_their_failure(
    gone_through: Callable[[BatchRows], list[BatchResult]], tmp_path: Path, private_folder: Path
) -> None:
    given: list[Any] = [*texts(30), {"other": 1}, {"text": object()}, 7]
    rows = run(ECHO, given)
    found = gone_through(rows)
    assert [row.index for row in found] == list(range(33))
    assert found[4].ok
    assert found[4].values == {"text": "row 4", "said": "say row 4"}
    missing, unfit, none = found[30:]
    assert missing.failure is not None
    assert (missing.failure.step, missing.values) == ("said", {"other": 1})
    assert unfit.failure is not None
    assert "'text' cannot be read" in unfit.failure.error
    assert none.failure is not None
    assert "must be a mapping" in none.failure.error
    assert (rows.summary.done, rows.summary.failed, rows.summary.open) == (30, 3, 0)
    assert rows.summary.reasons["unreadable row"] == 2
    assert "33 rows: 30 done, 3 failed" in str(rows.summary)
    assert os.listdir(tmp_path) == [private_folder.name]
    del rows
    assert left_in(private_folder) == []


@everywhere
def test_no_rows_are_no_results(gone_through: Callable[[BatchRows], list[BatchResult]]) -> None:
    rows = run({**ECHO, "steps": [{"name": "s", "kind": "chat", "model": "p/m", "prompt": "hello"}]}, [])
    assert gone_through(rows) == []
    assert rows.summary.done == 0


def test_a_slow_reader_gets_every_row_of_a_run_that_went_ahead() -> None:
    rows = run(ECHO, texts(700))  # more than wait to be taken at a time
    assert [row.index for row in rows] == list(range(700))


def test_values_of_python_come_as_json() -> None:
    pipeline = {**ECHO, "steps": [{"name": "said", "kind": "chat", "model": "p/m", "prompt": "{{ when }} {{ n }}"}]}
    (row,) = run(pipeline, [{"when": dt.date(2026, 1, 31), "n": float("nan")}])
    assert row.values == {"when": "2026-01-31", "n": "NaN", "said": "2026-01-31 NaN"}


def test_what_is_wrong_is_raised_before_anything_runs() -> None:
    with pytest.raises(ConfigError) as caught:
        run({**ECHO, "steps": [{"name": "s", "kind": "chat", "model": "p/m", "prompt": "{{ txt }}"}]}, texts(1))
    assert "did you mean 'text'" in str(caught.value)
    with pytest.raises(ConfigError):
        run(ECHO, texts(1), limit=0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"limit": "3"}, "limit must be a whole number, at least 1, or None for all rows, not"),
        ({"limit": True}, "limit must be a whole number"),
        ({"progress": "loud"}, "progress must be one of "),
        ({"progress": ["plain"]}, "progress must be one of "),
        ({"overwrite": "no"}, "overwrite must be True or False"),
        ({"output": 5}, "output must be a path, or None, not 5"),
        ({"store": 5}, "store must be a path, or None, not 5"),
        ({"plugins": "rules.py"}, "plugins must be a list of paths"),
        ({"plugins": ["rules.py", 5]}, "plugins[1] must be a path, not 5"),
        ({"output": "-"}, "output cannot be standard output"),
        ({"pipeline": 5}, "pipeline must be a path, or a mapping of tables, not 5"),
    ],
)
def test_an_argument_of_another_kind_is_named(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        run(**{"pipeline": ECHO, "rows": texts(1), **arguments})
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "right"),
    [
        ("rows.jsonl", "by [input] path"),
        (Path("rows.jsonl"), "by [input] path"),
        ({"text": "a"}, "write [row]"),
        (pa.table({"text": ["a"]}), "write table.to_pylist()"),
        (7, "not int"),
        (later(), "collect them first"),
    ],
)
def test_what_are_no_rows_is_refused_with_what_would_be_right(rows: Any, right: str) -> None:
    with pytest.raises(ConfigError) as raised:
        run(ECHO, rows)
    assert right in str(raised.value)


def test_what_the_rows_raise_is_raised_as_it_is(private_folder: Path) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield {"text": "a"}
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        run(ECHO, rows())
    assert left_in(private_folder) == []


def test_kept_cells_are_used_where_a_store_is_named(tmp_path: Path) -> None:
    store = tmp_path / "kept"
    first = run(ECHO, texts(20), store=store)
    assert len(list(first)) == 20
    again = run(ECHO, texts(20), store=store)
    assert [row.values["said"] for row in again] == [f"say row {i}" for i in range(20)]
    assert "calls" not in str(again.summary)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "temporary"]


def test_the_output_of_the_toml_is_written_where_the_input_is_its_own(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in texts(5)), encoding="utf-8")
    toml = tmp_path / "pipeline.toml"
    toml.write_text(
        """
        input.path = "rows.jsonl"
        output.path = "answers.csv"
        providers.p.kind = "mock"
        providers.p.models.m.max_parallel_requests = 4
        [[steps]]
        name = "said"
        kind = "chat"
        model = "p/m"
        prompt = "{{ text }}"
        """,
        encoding="utf-8",
    )
    assert len(list(run(toml))) == 5
    assert (tmp_path / "answers.csv").read_text(encoding="utf-8").startswith("text,said\nrow 0,row 0\n")
    (tmp_path / "answers.csv").unlink()
    assert len(list(run(str(toml), texts(3)))) == 3
    assert not (tmp_path / "answers.csv").exists()
    with pytest.raises(ConfigError, match="is the input"):
        run(toml, output=toml.with_name("rows.jsonl"))


def test_a_loop_that_is_left_ends_the_run() -> None:
    rows = run(ECHO, texts(2000))
    for row in rows:
        if row.index == 3:
            break
    assert rows.summary.open > 0
    with pytest.raises(RuntimeError):
        next(iter(rows))


@pytest.mark.parametrize("start", [asyncio.run, lambda main: trio.run(lambda: main)])
def test_an_asynchronous_loop_that_is_left_ends_the_run(start: Callable[[Any], None]) -> None:
    async def main() -> None:
        async with run(ECHO, texts(2000)) as rows:
            async for row in rows:
                if row.index == 3:
                    break
        assert rows.summary.open > 0
        dropped = run(ECHO, texts(2000))
        async for _ in dropped:
            break
        await dropped.aclose()
        assert dropped.summary.open > 0

    start(main())


async def test_a_cancellation_ends_the_run() -> None:
    rows = run(STUCK, texts(10))
    with trio.move_on_after(0.2) as scope:
        async for _ in rows:
            raise AssertionError("nothing is answered")
    assert scope.cancelled_caught
    await rows.aclose()
    assert rows.summary.open == 10


def test_two_runs_at_a_time_meet_only_in_a_store(tmp_path: Path) -> None:
    first, second = iter(run(ECHO, texts(300))), iter(run(ECHO, texts(300)))
    pairs = list(zip(first, second, strict=True))
    assert all(one.values == other.values for one, other in pairs)

    with run(STUCK, texts(3), store=tmp_path / "kept", plugins=[]) as busy:
        going = threading.Event()

        def read() -> None:
            going.set()
            list(busy)

        reader = threading.Thread(target=read)
        reader.start()
        going.wait()
        kept = tmp_path / "kept"
        while not kept.exists() or kept.stat().st_size == 0:  # it is locked before anything is written
            threading.Event().wait(0.01)
        with pytest.raises(ConfigError, match="another run"):
            list(run(STUCK, texts(3), store=kept))
        busy.worker.stop(at_once=True)
        reader.join()


def test_plain_loops_are_refused_where_they_would_block_a_loop() -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="async for"):
            iter(run(ECHO, texts(1)))

    asyncio.run(main())
    trio.run(main)


INTERRUPTED = """
import sys, threading
from penstock_batch import run
rows = run({pipeline!r}, [{{"text": "a"}}])
try:
    print("begun", flush=True)
    for row in rows:
        pass
except KeyboardInterrupt:
    print([t.name for t in threading.enumerate() if t.name == "penstock batch"])
"""


def test_an_interrupt_ends_the_run_and_is_raised() -> None:
    code = INTERRUPTED.format(pipeline=STUCK)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "[]\n"
        assert process.wait() == 0
