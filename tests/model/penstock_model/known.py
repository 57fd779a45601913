"""What the gates of today are known to fail in, by the numbers under which it was reported.

A test of such a fault is expected to fail, and random runs leave out what would run into it. Whoever mends a fault
takes its number out: then its test has to pass, and the runs have to hold.
"""

from __future__ import annotations

from typing import Final

import pytest

from penstock_model.request_seeds import ALL_REQUEST_HOLDS, RequestHolds
from penstock_model.task_seeds import ALL_HOLDS, Holds

__all__ = ["REQUEST_FAULTS", "REQUEST_HOLDS", "TASK_FAULTS", "TASK_HOLDS", "known_request_fault", "known_task_fault"]

TASK_FAULTS: Final[frozenset[str]] = frozenset()

TASK_HOLDS: Final = Holds(backlog=False, peers=False, cohorts=False, room_by_law=False) if TASK_FAULTS else ALL_HOLDS
"""What random runs of the task gate hold it to."""


REQUEST_FAULTS: Final[frozenset[str]] = frozenset()
REQUEST_HOLDS: Final = RequestHolds(large=False) if REQUEST_FAULTS else ALL_REQUEST_HOLDS
"""What random runs of the request gate hold it to."""


def known_task_fault(*faults: str) -> pytest.MarkDecorator:
    """Marks a test that fails as long as the task gate has one of these faults."""
    return _known(TASK_FAULTS, faults)


def known_request_fault(*faults: str) -> pytest.MarkDecorator:
    """Marks a test that fails as long as the request gate has one of these faults."""
    return _known(REQUEST_FAULTS, faults)


def _known(there: frozenset[str], faults: tuple[str, ...]) -> pytest.MarkDecorator:
    found = sorted(there.intersection(faults))
    return pytest.mark.xfail(bool(found), reason=f"known: {', '.join(found)}", strict=True, raises=AssertionError)
