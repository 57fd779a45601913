"""kill -9 at any moment: every row is answered in the end, and nothing is paid for twice but what was out.

Three moments belong to the ordinary tests; `tox -e kills` tries fifty, ten of each job (`PENSTOCK_KILLS`).
"""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
from collections import Counter
from contextlib import closing
from operator import attrgetter
from typing import TYPE_CHECKING

import attrs
import pytest
import trio
from contrib.batch.tests.running.test_interrupted import command, run_to_its_end

from penstock.testing import Latency, ProviderLimits
from penstock_mockprovider import MockProvider, MockProviderConfig, serve

if TYPE_CHECKING:
    from contrib.batch.tests.conftest import Folder

pytestmark = pytest.mark.loopback

KILLS = int(os.environ.get("PENSTOCK_KILLS", "3"))
IN_A_JOB = min(KILLS, 10)
"""Kills of one job, each of the run that goes on where the last was killed."""
ROWS = 40
"""For each kill."""
PLACES = 16
"""Calls of a model that may be out: each holds its place until its answer is on the disk."""
MODELS = {"summary": "writer", "vector": "embedder"}
PROVIDER = MockProviderConfig(
    models={
        "writer": ProviderLimits(latency=Latency(0.01, 0.5)),
        "embedder": ProviderLimits(latency=Latency(0.002, 0.5)),
    }
)


def paid(mock: MockProvider, step: str) -> int:
    return mock.report().models[MODELS[step]].total.completed


def kept(folder: Folder) -> Counter[str]:
    """The answers of each step in the store, which must be whole."""
    if not folder.store.exists() or not folder.store.stat().st_size:
        return Counter()
    with closing(sqlite3.connect(folder.store)) as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if not store.execute("SELECT 1 FROM sqlite_master").fetchall():
            return Counter()
        return Counter(dict(store.execute("SELECT step, count(*) FROM answers GROUP BY step")))


async def kill_at_a_moment(folder: Folder, mock: MockProvider, moment: random.Random) -> None:
    """Kill a run when so many calls of a model have come, or were answered, and some checkpoints later, so that commits
    are met at any point; where it has fewer to make, when it has ended.
    """
    process = await trio.lowlevel.open_process(command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    model = moment.choice(list(MODELS.values()))
    count = attrgetter(moment.choice(["arrived", "completed"]))
    calls = count(mock.report().models[model].total) + moment.randrange(1, ROWS)
    async with trio.open_nursery() as nursery:

        async def until_it_ends() -> None:
            await process.wait()
            nursery.cancel_scope.cancel()

        nursery.start_soon(until_it_ends)
        await mock.until(lambda report: count(report.models[model].total) >= calls)
        for _ in range(moment.randrange(200)):
            await trio.lowlevel.checkpoint()
        process.kill()
    await mock.until(lambda report: all(report.models[each].in_flight == 0 for each in MODELS.values()))


@pytest.mark.parametrize("seed", range(KILLS // IN_A_JOB))
async def test_a_kill_at_any_moment_costs_no_more_than_what_was_out(folder: Folder, seed: int) -> None:
    moments = random.Random(seed)
    rows = ROWS * IN_A_JOB
    async with serve(PROVIDER) as mock:
        served = attrs.evolve(folder, provider_url=mock.base_url)
        served.rows(rows)
        served.write()
        before = out = dict.fromkeys(MODELS, 0)
        for _ in range(IN_A_JOB):
            await kill_at_a_moment(served, mock, moments)
            there = kept(served)
            before, out = out, {step: paid(mock, step) - there[step] for step in MODELS}
            assert all(0 <= out[step] - before[step] <= PLACES for step in MODELS), (before, out)
        ended = await run_to_its_end(served)
        assert ended.returncode == 0, ended.stderr
        assert {step: paid(mock, step) - rows for step in MODELS} == out
        assert kept(served) == dict.fromkeys((*MODELS, "length"), rows)
        answers = served.answers()
        assert [answer["id"] for answer in answers] == list(range(rows))
        assert all(answer["length"] == len(answer["summary"]) > 0 for answer in answers)
        assert all(answer["vector"] for answer in answers)
        print(f"{IN_A_JOB} kills, {rows} rows; paid for and lost: {out}")
