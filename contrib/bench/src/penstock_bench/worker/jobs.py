"""The tasks that a worker does while it is measured: one that does nothing, async and plain, and one that waits."""

from __future__ import annotations

import time
from typing import Any

from penstock_worker import Worker

__all__ = ["app"]

app = Worker()


@app.task(name="async")
async def nothing(payload: Any) -> Any:
    """The payload."""
    return payload


@app.task(name="plain")
def nothing_in_a_thread(payload: Any) -> Any:
    """The payload, in a thread."""
    return payload


@app.task(name="wait")
def wait(payload: float) -> None:
    """Nothing, after so many seconds in a thread."""
    time.sleep(payload)
