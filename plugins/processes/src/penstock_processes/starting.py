"""What keeps worker processes from starting: a main file that starts its run when it is imported.

A worker imports the main file, to find the functions in it. Where that opens a run instead, each worker would do the
whole program's work once more; so a run that is opened by such an import is refused before it does anything.
"""

from __future__ import annotations

import multiprocessing
import sys

from penstock import ConfigError

__all__ = ["GUARD", "main_is_interactive", "refuse_while_a_worker_starts"]

GUARD = 'put what starts the run under `if __name__ == "__main__":` in the main file, which each worker imports'


def refuse_while_a_worker_starts() -> None:
    """Raises `ConfigError` in a worker that still imports the main file."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise ConfigError(f"a worker process must not open a run with a runner of processes: {GUARD}")


def main_is_interactive() -> bool:
    """Whether `__main__` is no file, so that no worker can find what is defined there."""
    main = sys.modules.get("__main__")
    return getattr(main, "__file__", None) is None and getattr(main, "__spec__", None) is None
