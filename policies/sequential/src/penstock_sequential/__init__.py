"""One task at a time on a named resource, in the order of arrival, and a run that would break it does not begin."""

from __future__ import annotations

from penstock_sequential.plugin import SequentialConfig, SequentialPlugin
from penstock_sequential.policy import SequentialPolicy

__all__ = ["SequentialConfig", "SequentialPlugin", "SequentialPolicy"]
