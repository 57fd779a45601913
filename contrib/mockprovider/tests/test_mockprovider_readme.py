"""The example of the README runs, and prints what the README says."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.loopback


def test_the_example_of_the_readme_prints_what_it_says(readme_example: str) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", readme_example], capture_output=True, text=True, check=True, timeout=60
    )
    assert sorted(finished.stdout.splitlines()) == [
        "2 granted, 1 refused",
        "A penstock is a gate.",
        "A penstock is a gate.",
        "refused, retry after 1 s",
    ]
