"""The commands `penstock run` and `penstock check`, from the files they are given to the exit code."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import trio

from penstock import ConfigError, FileCheck, PluginManager, Problem
from penstock_batch.money.budget import budget_lines
from penstock_batch.pipeline.loading import Pipeline, load_pipeline
from penstock_batch.pipeline.steps import Step
from penstock_batch.providers.models import StepModel
from penstock_batch.providers.open_files import open_files_limit, too_few_files
from penstock_batch.rows.own_files import OutputLost, folder_problem
from penstock_batch.rows.target import STANDARD
from penstock_batch.running.assembly import Assembled, assemble, claim_output, refuse_to_replace, remove_results
from penstock_batch.running.forecast import forecast
from penstock_batch.running.progress import ProgressKind
from penstock_batch.running.redoing import Redo
from penstock_batch.running.staged import StagedRows
from penstock_batch.running.summary import summary_lines
from penstock_batch.running.taking_over import take_over
from penstock_batch.running.unchanged import note_whole, unchanged
from penstock_batch.running.whole_run import Ran, run_rows
from penstock_batch.running.workplaces import clear_before_anew, workplace_of
from penstock_batch.store.aside import forget_aside, note_aside, put_aside
from penstock_batch.store.reading import StoreReader
from penstock_batch.store.store import Store, StoreLost
from penstock_batch.words.amounts import counted, money
from penstock_batch.words.terminal import say

__all__ = ["check_command", "check_pipeline", "run_command"]

ALL_DONE: Final = 0
SOME_FAILED: Final = 1
INTERRUPTED: Final = 130  # what shells give a command that SIGINT ended


def run_command(
    path: Path,
    *,
    limit: int | None,
    overwrite: bool,
    plugins: Sequence[object],
    progress: ProgressKind,
    redo: str | None = None,
    where: str | None = None,
    trace: Path | None = None,
) -> int:
    """Run a pipeline and print its summary; the cells of the step `redo` are asked again, or those `where` an
    expression is true of their answer. All decisions are written to the file `trace`. Returns the exit code; raises
    `ConfigError` and `PluginError`."""
    try:
        pipeline = _traced(load_pipeline(path), trace)
        gc.freeze()  # what has been loaded stays to the end, and need not be gone through again for every few rows
        refuse_to_replace(pipeline, overwrite=overwrite)
        again = None if redo is None else Redo(pipeline, redo, where)
        if overwrite:
            clear_before_anew(pipeline)
        aside = overwrite and put_aside(pipeline.store)
        if overwrite:
            remove_results(pipeline)
        with Store(pipeline.store) as store, StagedRows(pipeline, limit, workplace_of(pipeline, store)) as staged:
            if aside:
                note_aside(store)
            claim_output(pipeline, store, overwrite=overwrite)
            if taken := take_over(pipeline, store):
                cells = f"{counted(taken, 'cell')} of an earlier release's journal {'is' if taken == 1 else 'are'}"
                say(f"{cells} taken over into {pipeline.store.name}")
            if again is not None:
                retired = again.retire(store, limit)
                say(f"{counted(retired, 'cell')} of {redo} {'is' if retired == 1 else 'are'} asked again")
            elif unchanged(pipeline, store):
                rows = pipeline.facts.rows
                did = "its only row" if rows == 1 else f"all {rows:,} rows"
                say(f"nothing has changed since the last run, which did {did}")
                say(f"answers: {pipeline.target}")
                return ALL_DONE
            run = partial(run_rows, pipeline, store, staged, plugins=plugins, progress=progress)
            try:
                ran = trio.run(run)
            except ConfigError:
                raise
            except BaseException:  # nobody foresaw it: what was answered is assembled all the same
                with suppress(OutputLost):
                    assemble(pipeline, staged)
                raise
            result = assemble(pipeline, staged)
            whole = staged.complete and not result.open
            if limit is None and ran.broken is None and whole:
                with suppress(StoreLost):  # the next run then looks at its rows
                    forget_aside(store)
                    if not result.failed:
                        note_whole(pipeline, store)
            if store.damaged:
                say(f"damaged answers of the store, which count as cells not done: {store.damaged:,}", err=True)
    except BaseException as error:
        if not _interrupted(error):  # before or after the run's stages, which hear signals by themselves
            raise
        say("interrupted", err=True)
        return INTERRUPTED
    _show_summary(pipeline, ran, result, staged)
    if ran.broken is not None:
        say(f"penstock: {ran.broken}", pipeline.secrets, err=True)
        return SOME_FAILED
    if ran.interrupted and not whole:
        return INTERRUPTED
    return SOME_FAILED if result.failed or not whole else ALL_DONE


def _traced(pipeline: Pipeline, file: Path | None) -> Pipeline:
    """The pipeline whose decisions are all written to a file, if there is one."""
    if file is None:
        return pipeline
    plugins = attrs.evolve(pipeline.config.plugins, trace=1.0, trace_file=str(file))
    return attrs.evolve(pipeline, config=attrs.evolve(pipeline.config, plugins=plugins))


def _interrupted(error: BaseException) -> bool:
    """Whether this is a Ctrl+C and nothing else; what opens providers and plugins puts it into groups."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_interrupted, error.exceptions))
    return isinstance(error, KeyboardInterrupt)


def _show_summary(pipeline: Pipeline, ran: Ran, result: Assembled, staged: StagedRows) -> None:
    interrupted = ran.interrupted and (result.open > 0 or not staged.complete)
    beside = pipeline.target.path == STANDARD  # nothing but rows goes to where they go
    for line in summary_lines(
        result,
        ran.tallies,
        ran.allowed,
        seconds=ran.seconds,
        interrupted=interrupted,
        costs=_costs(ran),
        where=_where(ran.limited_by),
        stages=staged.told,
        shadows=ran.shadows,
    ):
        say(line, pipeline.secrets, err=beside)
    if staged.refused is not None:
        say(f"penstock: {staged.refused}", err=True)
    say(f"answers: {_answers(pipeline, staged)}", err=beside)
    if result.failed:
        say(f"failed rows: {pipeline.failed}", err=beside)


def _answers(pipeline: Pipeline, staged: StagedRows) -> str:
    """Where the answers lie, or why there are none yet."""
    if staged.complete or staged.change is None:
        return str(pipeline.target)
    said = f"none yet, since {staged.change.name} waits for all rows before it"
    there = pipeline.target.occupied(ours=False) is not None
    return f"{said}; what lies at {pipeline.target} is of an earlier run" if there else said


def _costs(ran: Ran) -> Iterator[str]:
    if ran.tallies.cost is not None:
        yield f"cost: {money(ran.tallies.cost)}"
    if ran.spending is not None:
        budget = ran.spending.budget
        words = f"budget: {money(budget.limit)}, of which {money(budget.spent)} is spent by all runs"
        if budget.passed_by:
            words += f", {money(budget.passed_by)} more than there was: answers cost more than was to be foreseen"
        yield words


def _where(limited_by: Sequence[tuple[str, float]]) -> Iterator[str]:
    if limited_by:
        yield f"what the run waited for: {', '.join(f'{share:.0%} {what}' for what, share in limited_by)}"


def _as_listed(pipeline: Pipeline) -> Iterator[Step]:
    """All steps, those that make other rows of rows too, as they stand in the TOML."""
    by_name = {step.name: step for step in (*pipeline.changes, *pipeline.steps)}
    yield from (by_name[name] for name in pipeline.listed)


def _called(step: Step, model: StepModel) -> str:
    """`acme/large (at most 12 at a time, at acme@east and acme@west)`."""
    texts = f", each for {step.batch_size:,} texts or fewer" if step.batch_size > 1 else ""
    where = f", at {' and '.join(place.provider for place in model.places)}" if model.places else ""
    return f"{model.name} (at most {model.max_parallel_requests} at a time{texts}{where})"


def check_command(path: Path, *, plugins: Sequence[object]) -> int:
    """Print what a pipeline would do. Returns the exit code; raises `ConfigError` and `PluginError`."""
    found = check_pipeline(path, plugins=plugins)
    for line in found.lines:
        say(line)
    for line in found.notes:
        say(line, err=True)
    return SOME_FAILED if found.faulty else ALL_DONE


def check_pipeline(path: Path, *, plugins: Sequence[object]) -> FileCheck:
    """What a pipeline that is valid would do, and what should be seen to. Raises `ConfigError` and `PluginError`."""
    pipeline = load_pipeline(path)
    own = {pipeline.store} if pipeline.target.path == STANDARD else {pipeline.store, pipeline.target.path}
    if problems := {what for each in own if (what := folder_problem(each.parent)) is not None}:
        raise ConfigError([Problem(("output", "path"), what, str(path)) for what in sorted(problems)])
    manager = PluginManager.from_config(pipeline.config, extra=plugins)
    notes = []
    calls = sum(model.max_parallel_requests for model in {each.name: each for each in pipeline.models}.values())
    if (too_few := too_few_files(calls, open_files_limit())) is not None:
        notes.append(too_few)
    facts = pipeline.facts
    notes += [f"line {row.line}: {row.problem}" for row in facts.bad]
    if facts.bad_count:
        notes.append(f"{facts.bad_count:,} of {counted(facts.rows, 'row')} cannot be read; a run counts them as failed")
    return FileCheck(_told(path, pipeline, manager), notes, faulty=bool(facts.bad_count))


def _told(path: Path, pipeline: Pipeline, manager: PluginManager) -> Iterator[str]:
    facts = pipeline.facts
    columns = ", ".join(facts.columns) or "no columns"
    yield f"{path}: {counted(facts.rows, 'row')} with {columns}, from {pipeline.source.path}"
    with StoreReader(pipeline.store) as store:
        standing = forecast(pipeline, store)
    for step in _as_listed(pipeline):
        asked = (_called(step, model) for model in step.models)
        at = f" at {', else '.join(asked)}" if step.models else ""
        needs = ", ".join(sorted(step.uses)) or "nothing"
        yield f"  {step.name}: {step.kind}{at}, needs {needs}: {standing[step.name]}"
    for name in standing.keys() - set(pipeline.listed):
        yield f"  {name}: no step of this pipeline: {standing[name]}"
    yield from budget_lines(pipeline.batch.budget, pipeline.steps)
    yield f"plugins: {', '.join(manager.active) or 'none'}"
    yield from (f"  disabled: {name}: {problem}" for name, problem in manager.problems.items())
    yield f"answers go to {pipeline.target}"
