from __future__ import annotations

import re
from pathlib import Path

import pytest


@pytest.fixture
def readme_example() -> str:
    """The Python example of the README."""
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    found = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    assert found is not None
    return found[1]
