"""What holds for every test: Hypothesis judges answers, never how long they took.

A busy machine, or a fresh checkout in which Hypothesis first builds its tables, is no reason for a test to fail.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("penstock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("penstock")
