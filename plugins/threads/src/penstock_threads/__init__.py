"""Plain functions in threads, as tasks of a run, with a limit of their own."""

from __future__ import annotations

from penstock_threads.plugin import ThreadsConfig, ThreadsPlugin
from penstock_threads.runner import ThreadTaskRunner

__all__ = ["ThreadTaskRunner", "ThreadsConfig", "ThreadsPlugin"]
