"""The command `penstock worker`: from the name of a module to the exit code."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import penstock_worker
from penstock import ConfigError, FileCheck, PluginManager, load_config
from penstock_worker.answers import words_of
from penstock_worker.entry import run_process
from penstock_worker.serving import Prepared
from penstock_worker.settings import TABLES, WorkerConfig, without_effect
from penstock_worker.worker import Worker

__all__ = ["check_worker", "find_worker", "run_worker"]


def run_worker(app: str, *, workers: int, config: Path | None, once: bool, plugins: Sequence[object]) -> int:
    """Run the worker of that name on standard input and output. Returns the exit code."""

    def prepare() -> Prepared:
        return find_worker(app, os.getcwd()).prepare(workers, config=config, plugins=tuple(plugins))

    return run_process(prepare, once=once)


def check_worker(path: Path, plugins: Sequence[object]) -> FileCheck:
    """What a worker makes of a file that is valid. Raises `ConfigError` and `PluginError`."""
    loaded = load_config(path, extra_tables=TABLES)
    worker: WorkerConfig = loaded.extras["worker"]
    manager = PluginManager.from_config(loaded.config, extra=plugins)
    limit = "as long as it takes" if worker.time_limit is None else f"{worker.time_limit:g} s at most"
    return FileCheck(
        [
            f"{path}: a worker; a task has {limit}, and {worker.grace:g} s after SIGTERM",
            f"plugins: {', '.join(manager.active) or 'none'}",
            *(f"  disabled: {name}: {problem}" for name, problem in manager.problems.items()),
        ],
        without_effect(loaded.config),
    )


def find_worker(app: str, folder: str) -> Worker:
    """The worker `module:app`, or of `module` alone what it marked with `@task`; modules are found in `folder` too.

    Raises `ConfigError` for what is not there; what a module raises when it is imported is its own.
    """
    module_name, colon, attribute = app.partition(":")
    if not module_name or (colon and not attribute) or "/" in app or module_name.endswith(".py"):
        raise ConfigError(f"app must be written as module or module:app, such as jobs or jobs:app, not {app!r}")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found: object = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise ConfigError(f"importing {module_name!r} failed: {words_of(error)}") from error
        raise ConfigError(f"there is no module {module_name!r}, neither installed nor in {folder}") from None
    if not attribute:
        return penstock_worker.default
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ConfigError(f"the module {module_name!r} has no {attribute!r}")
        found = getattr(found, part)
    if not isinstance(found, Worker):
        raise ConfigError(
            f"{app} must be a penstock_worker.Worker, and is {type(found).__name__}; "
            f"write {module_name} alone for what it marks with @task"
        )
    return found
