"""The commands `penstock plan` and `penstock report`, from the files they are given to the exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

from penstock import ConfigError, PluginManager, Problem
from penstock_batch.pipeline.loading import load_pipeline
from penstock_batch.report.plan import plan_lines, plan_of
from penstock_batch.report.planning import facts_of
from penstock_batch.report.record.telling import told_by
from penstock_batch.report.text import report_lines, text_lines
from penstock_batch.report.writing import looks_like_a_page, write_page
from penstock_batch.rows.own_files import place_problems
from penstock_batch.store.reading import StoreReader
from penstock_batch.store.spent import spent_of
from penstock_batch.words.amounts import counted
from penstock_batch.words.terminal import say

__all__ = ["plan_command", "record_command", "record_text_command", "report_command", "text_command"]

DONE: Final = 0
NOT_WRITTEN: Final = 1


def plan_command(path: Path, *, rows: int, plugins: Sequence[object] = ()) -> int:
    """Print what a run with these `plugins` will take. Returns the exit code; raises `ConfigError` and `PluginError`,
    as the run would.
    """
    pipeline = load_pipeline(path)
    PluginManager.from_config(pipeline.config, extra=plugins)
    with StoreReader(pipeline.store) as reader:
        plans = [plan_of(facts) for facts in facts_of(pipeline, reader, rows)]
        spent = spent_of(reader.ask).cost
    say(f"{path}: {counted(pipeline.facts.rows, 'row')}")
    for line in plan_lines(plans, pipeline.batch.budget, spent):
        say(line, pipeline.secrets)
    return DONE


def text_command(path: Path, *, run: int | None) -> int:
    """Print a run. Returns the exit code; raises `ConfigError`."""
    pipeline = load_pipeline(path)
    for line in report_lines(pipeline, run=run):
        say(line, pipeline.secrets)
    return DONE


def report_command(path: Path, output: Path, *, run: int | None, rows: int) -> int:
    """Write the page of a run of a pipeline. Returns the exit code; raises `ConfigError`."""
    _need_charts()
    from penstock_batch.report.reporting import report_page

    pipeline = load_pipeline(path)
    others = {
        "the input": pipeline.source.path,
        "the pipeline's TOML": path,
        "the output": pipeline.target.path,
        "the store": pipeline.store,
        "the failed rows": pipeline.failed,
    }
    _check_place(output, others)
    return _written(output, report_page(pipeline, run=run, rows=rows))


def record_command(paths: Sequence[Path], output: Path, *, run: int | None) -> int:
    """Write the page of a run from its record of events. Returns the exit code; raises `ConfigError`."""
    _need_charts()
    from penstock_batch.report.record.page import record_page

    _check_place(output, {f"the record {path}": path for path in paths})
    return _written(output, record_page(paths, run=run))


def record_text_command(paths: Sequence[Path], *, run: int | None) -> int:
    """Print a run from its record of events. Returns the exit code; raises `ConfigError`."""
    for line in text_lines(told_by(paths, run=run)):
        say(line)
    return DONE


def _need_charts() -> None:
    for name in ("altair", "vl_convert"):
        try:
            import_module(name)
        except ImportError as error:
            what = f'penstock report needs {error.name}: python -m pip install "penstock-batch[report]"'
            raise ConfigError(what) from None


def _check_place(output: Path, others: Mapping[str, Path]) -> None:
    problems = place_problems({"the page": output}, others)
    if not problems and not looks_like_a_page(output):
        problems = [Problem((), "is no page that penstock report made; move it away or name another file")]
    if problems:
        raise ConfigError([Problem((), problem.what, str(output)) for problem in problems])


def _written(output: Path, made: bytes) -> int:
    try:
        write_page(output, made)
    except OSError as error:
        say(f"{output}: cannot be written: {error.strerror or error}", err=True)
        return NOT_WRITTEN
    say(f"report: {output}")
    return DONE
