"""The answer to a question of `penstock explain`: what both gates tell, joined, as text or as records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.config.words import did_you_mean
from penstock.run.explain_protocol import Question
from penstock.run.health import Health
from penstock.run.parts import RunParts

__all__ = ["answer_about"]


def answer_about(run: RunParts, question: Question, health: Health) -> Mapping[str, Any]:
    """The answer of a run: `text` or `records`, or `error` if no task of the group asked about is queued or runs.

    Health and the request gate's standing are told only if all groups are asked about: calls know no groups of tasks.
    """
    group = question.group
    if group is not None:
        names = _group_names(run)
        if not any(group in (name, name.rpartition("/")[2]) for name in names):
            near = did_you_mean(group, names, otherwise="there are")
            return {"error": f"no task of group {group!r} is queued or runs; {near}"}
    if not question.records:
        return {"text": run.explain(group)}
    told = run.explanation(group)
    records: dict[str, Any] = {"run_id": run.run_id, "tasks": told.tasks_as_dict()}
    if group is None:
        records |= {"requests": told.requests.as_dict(), "health": health.as_dict()}
        records["perhaps_deadlock"] = list(told.perhaps_deadlock)
    return {"records": records}


def _group_names(run: RunParts) -> set[str]:
    queued, running = run.tasks.queue_view.queued_by_group, run.tasks.admission.view().running_counts_by_group
    return {str(group) for group in (*queued, *running)}
