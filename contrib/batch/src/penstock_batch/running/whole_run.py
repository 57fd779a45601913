"""A run from its first row to its last: providers are opened, the scheduler within them, and its stages go through."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs
import trio

import penstock
from penstock import open_scheduler
from penstock_batch.calls.spending import Spending
from penstock_batch.calls.tallies import Tallies
from penstock_batch.pipeline.loading import Pipeline
from penstock_batch.providers.endpoints import open_endpoints
from penstock_batch.running.progress import ProgressKind
from penstock_batch.running.runner import BatchRun
from penstock_batch.running.staged import StagedRows
from penstock_batch.running.standing import allowed_rates
from penstock_batch.running.summary import AllowedRate
from penstock_batch.running.text_room import with_room
from penstock_batch.running.watched import watched
from penstock_batch.store.store import Store

__all__ = ["Ran", "run_rows"]


@attrs.frozen
class Ran:
    """The result of a run, beside the rows that are over."""

    tallies: Tallies
    allowed: Mapping[str, AllowedRate]
    seconds: float
    interrupted: bool
    limited_by: Sequence[tuple[str, float]]
    """What limited the run, and for which share of its time."""
    shadows: tuple[penstock.ShadowTally, ...] = ()
    """The tallies of plugins in shadow."""
    broken: Exception | None = None
    """The error that ended the run, if one did that was no row's fault."""
    spending: Spending | None = None


async def run_rows(
    pipeline: Pipeline,
    store: Store,
    staged: StagedRows,
    *,
    plugins: Sequence[object],
    progress: ProgressKind,
    on_begun: Callable[[BatchRun], object] | None = None,
) -> Ran:
    """The result of a run, which does every cell of which the store has no answer that does. Raises `ConfigError` or
    `PluginError` if it cannot begin.

    Signals stop it, unless `on_begun` is given: that is called with the run, and whoever called may stop it.
    """
    started = trio.current_time()  # to see what is kept, and to split and filter it, takes its time too
    run = BatchRun(pipeline, store, staged)
    if on_begun is not None:
        on_begun(run)
    if not await run.anything_to_do():
        # Nothing is started then, neither a provider nor a sink: the records of the run that did the work stay as
        # they are.
        return Ran(run.tallies, {}, trio.current_time() - started, run.interrupted, (), broken=run.broken)
    async with open_endpoints(pipeline.config.providers, pipeline.places.values()) as endpoints:
        config = with_room(watched(pipeline.config), pipeline.batch, pipeline.steps)
        async with open_scheduler(config, plugins=plugins) as scheduler:
            await run.carry_out(scheduler, endpoints, progress, signals=on_begun is None)
        allowed = allowed_rates(run.models, endpoints, scheduler)
    await run.look_at_the_rest()
    seconds = trio.current_time() - started
    shadows = scheduler.plugins.shadows.tallies()
    return Ran(run.tallies, allowed, seconds, run.interrupted, run.limited_by, shadows, run.broken, run.spending)
