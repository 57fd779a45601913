"""What is it waiting for? The answer for every group, as records (`Explanation`) and in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from penstock.tasks.gate import TaskGate
from penstock.tasks.ready_queue import Blocked
from penstock.words.labels import labels_in_words
from penstock.words.plugin_failures import PluginFailure
from penstock.words.printable import printable
from penstock.words.shadow import ShadowTally
from penstock.words.verdicts import Denied, describe_until

__all__ = ["Explanation", "GroupStanding", "explain", "explain_groups", "refusals_by_group"]

LISTED_GROUPS: Final = 20
"""How many groups, and how many kinds of tasks that are not ready, are listed one by one."""

NAMED: Final = 5
"""How many tasks of one kind are named."""


@attrs.frozen(kw_only=True)
class GroupStanding:
    """One group with something queued.

    `waits_for` is a line per refusal, with who said it, since when and what would end it; a line for what is next in
    order is among them. `reasons` are the codes, for counting. `labels` are those of its oldest task. Durations are in
    seconds.
    """

    group: str
    queued: int
    running: int
    longest_wait: float
    reasons: tuple[str, ...]
    waits_for: tuple[str, ...]
    labels: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Explanation:
    """The task gate at one moment: counts, resource to (free, limit), the groups by their longest wait, and tasks
    that wait for others, equal ones in one line; `backing_off` lists tasks that failed and are tried again, and
    until when; `asked_in_vain` has the latest event for which more than a thousand were asked in vain: how many, and
    how many seconds ago; `shadows` says what each plugin in shadow would have done so far, `plugin_failures` what
    plugins raised, at either gate; `promises` has what each plugin promises of the run."""

    running: int
    queued: int
    unfinished: int
    resources: Mapping[str, tuple[int, int]]
    groups: tuple[GroupStanding, ...]
    not_ready: tuple[str, ...]
    backing_off: tuple[str, ...] = ()
    asked_in_vain: tuple[int, float] | None = None
    shadows: tuple[ShadowTally, ...] = ()
    plugin_failures: tuple[PluginFailure, ...] = ()
    promises: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, JSON-safe."""
        return attrs.asdict(self)

    def __str__(self) -> str:
        free = ", ".join(f"{name} {free} of {limit} free" for name, (free, limit) in self.resources.items())
        lines = [f"{self.running} running, {self.queued} queued, {self.unfinished} unfinished; {free}"]
        for group in self.groups[:LISTED_GROUPS]:
            counts = f"{group.queued} queued, {group.running} running, longest wait {group.longest_wait:.1f} s"
            if group.labels:
                counts += f", the oldest with {labels_in_words(group.labels)}"
            lines.append(f"  group {group.group}: {counts}")
            lines += [f"    {line}" for line in group.waits_for]
        if rest := self.groups[LISTED_GROUPS:]:
            reasons = Counter(reason for group in rest for reason in group.reasons)
            counted = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
            lines.append(f"  and {len(rest)} more groups: {counted}")
        lines += [f"  {line}" for line in (*self.not_ready, *self.backing_off)]
        if self.asked_in_vain is not None:
            asked, ago = self.asked_in_vain
            why = "give refusals that hold for many a scope or a cohort"
            lines.append(f"  {asked:,} tasks were asked in vain for one event, {ago:.1f} s ago: {why}")
        lines += [f"  {tally}" for tally in self.shadows]
        lines += [f"  {plugin} promises: {text}" for plugin, texts in self.promises.items() for text in texts]
        return "\n".join(map(printable, lines))


def explain(
    gate: TaskGate,
    now: float,
    group: str | None = None,
    *,
    unfinished: int,
    not_ready: Iterable[tuple[str, str, int]] = (),
    backing_off: Iterable[tuple[float, str]] = (),
) -> Explanation:
    """What every group with something queued waits for, or only the one of this name (`"/"` between its parts).

    `unfinished` is how many tasks have not ended; `not_ready` yields, of those that are not queued, id, state and how
    many tasks each waits for; `backing_off` those that failed and are tried again, with the moment.
    """
    view, admission = gate.view, gate.controller
    ledger = admission.view()
    groups = explain_groups(gate, now)
    if group is not None:
        groups = [each for each in groups if group in (each.group, each.group.rpartition("/")[2])]
    idle = not admission.in_flight and not view.queued_total
    return Explanation(
        running=admission.in_flight,
        queued=view.queued_total,
        unfinished=unfinished,
        resources={name: (ledger.resources_available[name], limit) for name, limit in ledger.resource_limits.items()},
        groups=tuple(groups),
        not_ready=_not_ready(not_ready) if idle else (),
        backing_off=_backing_off(backing_off, now),
        asked_in_vain=None if gate.herd is None else (gate.herd.refused, now - gate.herd.at),
    )


def refusals_by_group(gate: TaskGate) -> tuple[Mapping[object, Sequence[Blocked]], Sequence[Blocked]]:
    """The refusals of each group's own tasks, by its key; and those that cover all groups."""
    refusals: dict[object, list[Blocked]] = {}
    shut: list[Blocked] = []
    for block in gate.blocked():
        (shut if block.group is None else refusals.setdefault(block.group, [])).append(block)
    return refusals, shut


def explain_groups(gate: TaskGate, now: float) -> list[GroupStanding]:
    """Every group with something queued, the longest wait first."""
    view, ledger = gate.view, gate.controller.view()
    refusals, shut = refusals_by_group(gate)
    since, first = view.waiting_since_by_group, view.first_candidate_by_group
    found = []
    for key, queued in view.queued_by_group.items():
        own, oldest = refusals.get(key, []), first.get(key)
        lines = _lines(own, now)
        reasons: list[str] = [block.denied.reason for block in own]
        offered = queued - sum(block.tasks for block in own)
        if offered and shut:
            lines += [_line(block.denied, offered, block.since, now) for block in shut]
            reasons += [block.denied.reason for block in shut]
        elif offered:
            lines.append(f"{offered} wait for their turn: nothing refuses them")
            reasons.append("turn")
        found.append(
            GroupStanding(
                group=str(key),
                queued=queued,
                running=ledger.running(key),
                longest_wait=max(0.0, now - since.get(key, now)),
                reasons=tuple(dict.fromkeys(reasons)),
                waits_for=tuple(lines),
                labels=dict((None if oldest is None else oldest.labels) or {}),
            )
        )
    return sorted(found, key=lambda group: (-group.longest_wait, -group.queued, group.group))


def _lines(refused: Sequence[Blocked], now: float) -> list[str]:
    """A line per refusal; equal ones are one, which is in force since the first of them was."""
    folded: dict[object, list[Blocked]] = {}
    for block in refused:
        denied = block.denied
        folded.setdefault((denied.reason, denied.by, denied.detail, denied.until), []).append(block)
    lines = [
        _line(same[0].denied, sum(block.tasks for block in same), min(block.since for block in same), now)
        for same in folded.values()
    ]
    return _first(lines, "refusals")


def _first(lines: list[str], what: str) -> list[str]:
    more = len(lines) - LISTED_GROUPS
    return [*lines[:LISTED_GROUPS], f"and {more} more {what}"] if more > 0 else lines


def _line(denied: Denied, tasks: int, since: float, now: float) -> str:
    who = f" by {denied.by}" if denied.by else ""
    detail = f": {denied.detail}" if denied.detail else ""
    until = describe_until(denied.until, now)
    return f"{tasks} refused, {denied.reason}{who}{detail}; for {now - since:.1f} s, until {until}"


def _not_ready(not_ready: Iterable[tuple[str, str, int]]) -> tuple[str, ...]:
    """A line per state, with the first tasks in it."""
    by_state: dict[str, list[str]] = {}
    for task_id, state, missing in not_ready:
        what = f"{state}, waits for {missing} other task{'s' * (missing != 1)}"
        if state == "open barrier":
            what = "a barrier that nobody has sealed"
        by_state.setdefault(what, []).append(task_id)
    return tuple(_first([f"{_named(ids)}: {what}" for what, ids in by_state.items()], "such lines"))


def _backing_off(backing_off: Iterable[tuple[float, str]], now: float) -> tuple[str, ...]:
    pauses = sorted(backing_off)
    if not pauses:
        return ()
    first, last = pauses[0][0] - now, pauses[-1][0] - now
    until = f"{first:.1f}" if len(pauses) == 1 else f"{first:.1f} to {last:.1f}"
    return (f"{_named([task_id for _, task_id in pauses])}: tried again after a failure, {until} s from now",)


def _named(task_ids: Sequence[str]) -> str:
    """`task a`, or `7 tasks (a, b, c and 4 more)`."""
    if len(task_ids) == 1:
        return f"task {task_ids[0]}"
    more = len(task_ids) - NAMED
    return f"{len(task_ids)} tasks ({', '.join(task_ids[:NAMED])}{f' and {more} more' if more > 0 else ''})"
