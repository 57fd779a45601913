"""A request gate on a bench, ready to be asked."""

from __future__ import annotations

import pytest

from penstock.testing.request_bench import CHAT, RequestBench


@pytest.fixture
def bench() -> RequestBench:
    """Provider `p`, model `m` with a cap of 2, in the domain `chat`; a scripted limiter for every scope."""
    return RequestBench({CHAT: 2})
