"""The worker of a program: its decorators, and the functions that run it on standard input and output."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from penstock_worker.entry import loaded_context, run_process
from penstock_worker.handlers import Handlers
from penstock_worker.serving import Prepared
from penstock_worker.settings import worker_settings

__all__ = ["Worker"]


class Worker(Handlers):
    """A worker with tasks of its own: `app = Worker()`, `@app.task`, `@app.load`, and `penstock worker module:app`."""

    def run(
        self,
        workers: int = 1,
        *,
        config: Path | str | Mapping[str, Any] | None = None,
        plugins: Iterable[object] = (),
    ) -> None:
        """The whole life of the worker on standard input and output: returns when that has ended, or after SIGTERM.

        `workers`  how many tasks run at a time; with 1 they run one by one, in the order in which they came. The
                   environment variable `PENSTOCK_WORKERS`, or else `RUNQY_PYTHON_WORKERS`, overrides it
        `config`   a TOML file or a mapping, as `penstock.open_scheduler` takes it, with a table `[worker]` if need be
        `plugins`  further plugin objects, or paths of plugin files

        Ends the process by `SystemExit` with a code other than 0 where it could not start, or ends otherwise.
        """
        self._run(workers, config, tuple(plugins), once=False)

    def run_once(self, *, config: Path | str | Mapping[str, Any] | None = None, plugins: Iterable[object] = ()) -> None:
        """As `run`, for one task: returns when that is answered."""
        self._run(1, config, tuple(plugins), once=True)

    def prepare(
        self,
        workers: int = 1,
        *,
        config: Path | str | Mapping[str, Any] | None = None,
        plugins: tuple[object, ...] = (),
    ) -> Prepared:
        """What a run begins with, a plain `@load` carried out. Raises `ConfigError` and `LoadFailed`."""
        settings = worker_settings(config, workers, os.environ, self)
        return Prepared(self, settings, loaded_context(self), plugins)

    def _run(
        self,
        workers: int,
        config: Path | str | Mapping[str, Any] | None,
        plugins: tuple[object, ...],
        *,
        once: bool,
    ) -> None:
        code = run_process(lambda: self.prepare(workers, config=config, plugins=plugins), once=once, in_a_script=True)
        if code:
            sys.exit(code)
