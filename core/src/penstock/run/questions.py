"""What a run that is under way answers by its local socket: what it waits for, what limits it, its figures, and another
configuration."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import trio

from penstock.config.words import did_you_mean
from penstock.run.explain_protocol import Question
from penstock.run.figures import figures_of
from penstock.run.health import Health
from penstock.run.parts import RunParts
from penstock.run.reconfiguration import Changes
from penstock.words.errors import ConfigError, PluginError

__all__ = ["answer_question"]


async def answer_question(
    run: RunParts, health: Callable[[], Health], reconfigured: Callable[[Path], Awaitable[Changes]], question: Question
) -> Mapping[str, Any]:
    """The answer of a run: `text` or `records`, or `error`, or `refused` with every problem of a configuration.

    `health` gives how the run is; `reconfigured` gives it the configuration of a file.
    """
    if question.capacity:
        plan = run.capacity.plan(trio.current_time())
        return {"records": plan.as_dict()} if question.records else {"text": f"what limits it\n{plan}"}
    if question.figures:
        return {"records": figures_of(run).as_dict()}
    if question.reconfigure is None:
        return _answer_about(run, question, health())
    try:
        done = await reconfigured(Path(question.reconfigure))
    except (ConfigError, PluginError) as error:
        return {"refused": list(error.problems) if isinstance(error, ConfigError) else [str(error)]}
    if question.records:
        return {"records": {"run_id": run.run_id, **done.as_dict()}}
    return {"text": str(done)}


def _answer_about(run: RunParts, question: Question, health: Health) -> Mapping[str, Any]:
    """The answer of a run: `text` or `records`, or `error` if no task of the group asked about is queued or runs.

    Health and the request gate's standing are part of it only if all groups are asked about: calls know no groups of
    tasks.
    """
    group = question.group
    if group is not None:
        gate = run.tasks.gate
        known = (*gate.view.queued_by_group, *gate.controller.view().running_counts_by_group)
        names = {str(each) for each in known}
        if not any(group in (name, name.rpartition("/")[2]) for name in names):
            near = did_you_mean(group, names, otherwise="there are")
            return {"error": f"no task of group {group!r} is queued or runs; {near}"}
    if not question.records:
        return {"text": run.explain(group)}
    explanation = run.explanation(group)
    records: dict[str, Any] = {"run_id": run.run_id, "tasks": explanation.tasks_as_dict()}
    if group is None:
        records |= {"requests": explanation.requests.as_dict(), "health": health.as_dict()}
        records["perhaps_deadlock"] = list(explanation.perhaps_deadlock)
    return {"records": records}
