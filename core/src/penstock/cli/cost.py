"""What a plugin costs: a standard load, run in virtual time with every decision traced, and its figures in lines.

The load is the same for every plugin, and as long as it takes nothing but computing: 600 tasks in four groups on 32
places, half of them with a gpu of which there are eight; each makes a call that takes a second, to one of two models
with eight places each. How often a plugin is asked follows from that, but for the order of what happens at one moment,
which trio shuffles. How long an answer takes is measured on this machine, with the measuring in it, which is measured
too and shown beside; on a busy machine the shortest answer says more than the mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from penstock.cli.config_lines import columns
from penstock.config.reading import ModelConfig, PenstockConfig, ProviderConfig
from penstock.plugins.choice import EXTENSION_POINTS
from penstock.plugins.discovery import installed
from penstock.plugins.hook_checks import hooks_of
from penstock.plugins.loading import LoadedPlugin
from penstock.plugins.tracing import DecisionTrace, HookFigures
from penstock.requests.response import ResponseFacts
from penstock.run.calls import request
from penstock.run.opening import open_scheduler

__all__ = ["cost_lines"]

TASKS: Final = 600
GROUPS: Final = ("one", "two", "three", "four")
MODELS: Final = ("small", "large")
TRACED: Final = frozenset(
    {
        "penstock_task_policy",
        "penstock_task_eligible",
        "penstock_request_limiter",
        "penstock_request_eligible",
        "penstock_classify_outcome",
    }
)
"""The hooks through which decisions are asked for. Queues, runners, sinks and notes are not asked for any."""


def cost_lines(plugin: LoadedPlugin, config: PenstockConfig, files: Sequence[Path]) -> Iterator[str]:
    """The figures of a plugin under the standard load, by its table in `config`, in lines; `files` are those of
    `--plugin`. Raises what opening a run raises."""
    hooks = [hook for hook in hooks_of(plugin.target) if hook in TRACED]
    yield "Cost"
    if not hooks:
        yield "  it is asked for no decision, so there is nothing to measure: rules, policies and limiters are"
        return
    figures = [each for each in measured(plugin, config, files) if each.plugin == plugin.name]
    yield f"  under a standard load ({TASKS} tasks, each with a call, in virtual time), beside the default stack"
    rows = [
        (f"  {each.hook}", f"{each.questions:,}", f"{each.refusals:,}", f"{each.errors:,}", *_times(each))
        for each in figures
    ]
    yield from columns([("  HOOK", "QUESTIONS", "REFUSALS", "ERRORS", "MEAN", "SHORTEST"), *rows])
    for hook in hooks:
        if not any(each.hook.partition(".")[0] == hook for each in figures):
            yield f"  {hook} was not asked under this load"
    yield f"  times are this machine's, with the measuring in them: {_times(_nothing())[1]}"


def measured(plugin: LoadedPlugin, config: PenstockConfig, files: Sequence[Path]) -> tuple[HookFigures, ...]:
    """The figures of all plugins under the standard load, of which this is one."""
    import trio.testing  # here, since it loads pytest wherever that is installed, and every command would wait for it

    given = [file for file in files if file.stem == plugin.name]
    clock = trio.testing.MockClock(autojump_threshold=0)
    return trio.run(_load, _loaded(plugin, config), given, clock=clock)


def _loaded(plugin: LoadedPlugin, config: PenstockConfig) -> PenstockConfig:
    """The configuration of the load: the plugin in its lists, with its table; of all else nothing is taken over."""
    hooks, lists = hooks_of(plugin.target), dict[str, Any]()
    alone = getattr(plugin.target, "exclusive", None) is not None  # it takes the place of a default that is it, too
    for key, point in EXTENSION_POINTS.items():
        if any(hook in hooks for hook in point.hooks) and plugin.name not in point.default:
            there = () if alone else (name for name in point.default if name in installed().plugins)
            lists[key] = plugin.name if point.single else [*there, plugin.name]
    load = [path for path in config.plugins.load if Path(path).stem == plugin.name]
    model = ModelConfig(max_parallel_requests=8)
    return attrs.evolve(
        config,
        scheduler=attrs.evolve(PenstockConfig().scheduler, submission_capacity=32, resources={"gpu": 8}),
        requests=PenstockConfig().requests,
        providers={"acme": ProviderConfig(models=dict.fromkeys(MODELS, model))},
        plugins=attrs.evolve(PenstockConfig().plugins, load=load, required=[plugin.name], trace=1.0, **lists),
        sections={name: table for name, table in config.sections.items() if name == plugin.name},
    )


async def _load(config: PenstockConfig, given: Sequence[object]) -> tuple[HookFigures, ...]:
    async with open_scheduler(config, plugins=given) as scheduler:
        for number in range(TASKS):
            needs = {"gpu": 1} if number % 2 else {}
            model = f"acme/{MODELS[number % 3 % 2]}"
            scheduler.start_soon(_call, model, group=GROUPS[number % 4], needs=needs)
    return scheduler.plugins.trace.figures


async def _call(model: str) -> None:
    async with request(model) as attempt:
        await trio.sleep(1.0)
        attempt.answered(ResponseFacts(status=200))


def _nothing() -> HookFigures:
    """The figures of a question that takes no time but that of the measuring."""
    trace = DecisionTrace(1.0)
    ask = trace.asking("nobody", "nothing", lambda _: None)
    for _ in range(1000):
        ask((None,))
    return trace.figures[0]


def _times(figures: HookFigures) -> tuple[str, str]:
    return f"{figures.seconds / figures.questions * 1e6:.2f} µs", f"{figures.shortest * 1e6:.2f} µs"
