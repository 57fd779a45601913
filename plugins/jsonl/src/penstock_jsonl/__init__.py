"""Everything that happened in a run, in one file, one JSON object per line."""

from __future__ import annotations

from penstock_jsonl.config import JsonlConfig
from penstock_jsonl.plugin import JsonlPlugin

__all__ = ["JsonlConfig", "JsonlPlugin"]
