"""A plugin for mypy, by which hooks are checked: `plugins = ["penstock.mypy"]` under `[tool.mypy]`."""

from penstock.mypy.hooks import plugin

__all__ = ["plugin"]
