"""What holds for every test, wherever it runs.

Hypothesis judges answers, never how long they took, and keeps examples only where it may: a busy machine, a fresh
checkout in which it first builds its tables, or one that may not be written, is no reason for a test to fail. Nor is a
proxy in the environment, which cannot reach the servers that tests have on loopback.
"""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis.database import DirectoryBasedExampleDatabase

HOUSE = Path(__file__).parent
EXAMPLES = HOUSE / ".hypothesis" / "examples"

for name in [name for name in os.environ if name.lower() in ("http_proxy", "https_proxy", "all_proxy", "no_proxy")]:
    del os.environ[name]

settings.register_profile(
    "penstock",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    database=DirectoryBasedExampleDatabase(EXAMPLES) if os.access(HOUSE, os.W_OK) else None,
)
settings.load_profile("penstock")
