"""What a run that is under way answers by its local socket: what it waits for, and another configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from penstock.config.reading import SchedulerConfig
from penstock.config.words import did_you_mean
from penstock.run.explain_protocol import Question
from penstock.run.health import Health
from penstock.run.parts import RunParts
from penstock.run.reconfiguring import another_config, reconfigure
from penstock.words.errors import ConfigError, PluginError

__all__ = ["RunQuestions"]


class RunQuestions:
    """The answers of one run. `health` gives how it is; `on_figures` is given other figures for what watches it."""

    def __init__(
        self, run: RunParts, health: Callable[[], Health], on_figures: Callable[[SchedulerConfig], None]
    ) -> None:
        self._run = run
        self._health = health
        self._on_figures = on_figures

    def answer(self, question: Question) -> Mapping[str, Any]:
        """The answer: `text` or `records`, or `error`, or `refused` with every problem of a configuration."""
        if question.reconfigure is None:
            return _answer_about(self._run, question, self._health())
        try:
            config = another_config(Path(question.reconfigure), foreign_tables=True)
            done = reconfigure(self._run, self._on_figures, config, None)
        except ConfigError as error:
            return {"refused": list(error.problems)}
        except PluginError as error:
            return {"refused": [str(error)]}
        if question.records:
            return {"records": {"run_id": self._run.run_id, **done.as_dict()}}
        return {"text": str(done)}


def _answer_about(run: RunParts, question: Question, health: Health) -> Mapping[str, Any]:
    """The answer of a run: `text` or `records`, or `error` if no task of the group asked about is queued or runs.

    Health and the request gate's standing are part of it only if all groups are asked about: calls know no groups of
    tasks.
    """
    group = question.group
    if group is not None:
        names = _group_names(run)
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


def _group_names(run: RunParts) -> set[str]:
    queued, running = run.tasks.gate.view.queued_by_group, run.tasks.gate.controller.view().running_counts_by_group
    return {str(group) for group in (*queued, *running)}
