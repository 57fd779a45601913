"""What the tests of a gateway at work share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock_gateway.testing import World, open_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A gateway, its provider and clients; nothing is served yet."""
    async with open_world(tmp_path) as world:
        yield world
