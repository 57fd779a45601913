"""Functions that compute, as tasks of a run, in worker processes on all cores.

Worker processes import this too, and have no use for what is here: it is imported when it is asked for, so that a
worker starts in a fraction of the time that the import of Penstock takes.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock_processes.plugin import ProcessesConfig, ProcessesPlugin
    from penstock_processes.runner import ProcessTaskRunner
else:  # for type checkers, a name that is not there is an error

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = "runner" if name == "ProcessTaskRunner" else "plugin"
        return getattr(import_module(f"penstock_processes.{module}"), name)


__all__ = ["ProcessTaskRunner", "ProcessesConfig", "ProcessesPlugin"]
