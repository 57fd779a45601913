"""Both shells in virtual time, at rest held against the naive gates; at the end all leases are back."""

from __future__ import annotations

from collections import Counter

import pytest
from trio.testing import MockClock

from penstock_model.request_seeds import ALL_REQUEST_HOLDS
from penstock_model.shell_requests import run_of_requests
from penstock_model.shell_tasks import run_of_tasks
from penstock_model.task_seeds import ALL_HOLDS

pytestmark = pytest.mark.no_cover


async def test_a_run_of_random_tasks_comes_to_what_the_tasks_are(autojump_clock: MockClock) -> None:
    completed = [await run_of_tasks(seed, ALL_HOLDS) for seed in range(30)]
    assert sum(completed) > 100


async def test_random_calls_end_once_and_give_their_leases_back(autojump_clock: MockClock) -> None:
    ends: Counter[str] = Counter()
    for seed in range(40):
        ends += await run_of_requests(seed, ALL_REQUEST_HOLDS)
    assert ends["done"] > 100
    assert ends["cancelled"] > 10
