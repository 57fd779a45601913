"""An executor at work, for the tests of its waiting and of its attempts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from random import Random

import pytest

from penstock import ModelRequestExecutor
from penstock.executor.retries import RetryRules
from penstock.testing import RequestBench


@pytest.fixture
async def executor(bench: RequestBench) -> AsyncIterator[ModelRequestExecutor]:
    """Over the bench; up to three attempts, with pauses of 0.5 to 1 s, 1 to 2 s."""
    rules = RetryRules(max_attempts=3, backoff=1.0, backoff_max=30.0)
    async with ModelRequestExecutor(bench.controller, bench.events, retries=rules, rng=Random(3)) as executor:
        yield executor
