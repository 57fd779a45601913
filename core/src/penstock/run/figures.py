"""The figures of a run, taken when somebody asks: nothing is counted for them beside what both gates know anyway."""

from __future__ import annotations

import queue
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

import attrs
import trio

from penstock.requests.standing import RequestExplanation
from penstock.run.parts import RunParts
from penstock.tasks.standing import refusals_by_group
from penstock.words.identity import RequestResourceKey
from penstock.words.report import CallsFigures, RunFigures, TasksFigures, TenantFigures, WaitingFor

__all__ = ["FiguresForThreads", "figures_of"]

ANSWER_TIMEOUT: Final = 1.0
"""Seconds of real time that another thread waits for the loop."""


def figures_of(run: RunParts) -> RunFigures:
    """The figures of a run. Costs the number of groups, of models, and of who waits."""
    now = trio.current_time()
    ledger = run.tasks.gate.controller.view()
    free = ledger.resources_available
    return RunFigures(
        run_id=run.run_id,
        captured_at=now,
        running_for=now - run.notes.started_at,
        unfinished=len(run.tasks.book.jobs),
        resources={name: (limit - free[name], limit) for name, limit in ledger.resource_limits.items()},
        ended=dict(run.tasks.endings.counts),
        tasks=tuple(_tasks(run, now)),
        calls=tuple(_calls(run, now)),
        tenants=tuple(_tenants(run)),
        decisions=run.plugins.trace.figures,
    )


def _tasks(run: RunParts, now: float) -> Iterator[TasksFigures]:
    gate = run.tasks.gate
    view, running = gate.view, gate.controller.view().running_counts_by_group
    refused, shut = refusals_by_group(gate)
    since = view.waiting_since_by_group
    for key in dict.fromkeys((*view.queued_by_group, *running)):
        queued = view.queued_by_group.get(key, 0)
        reasons: Counter[tuple[str, str]] = Counter()
        for block in refused.get(key, ()):
            reasons[block.denied.reason, block.denied.by] += block.tasks
        if offered := queued - sum(reasons.values()):
            why = (shut[0].denied.reason, shut[0].denied.by) if shut else ("turn", "core")
            reasons[why] += offered
        yield TasksFigures(
            group=str(key),
            kind=key.kind,
            active=running.get(key, 0),
            waiting=queued,
            longest_wait=max(0.0, now - since.get(key, now)) if queued else 0.0,
            waits_for=_sorted(reasons),
        )


def _calls(run: RunParts, now: float) -> Iterator[CallsFigures]:
    requests = run.requests
    explanation: RequestExplanation = requests.explanation()
    standings = {standing.resource: standing for standing in explanation.resources}
    pauses = {pause.resource: pause.calls for pause in explanation.pauses}
    for key, snapshot in requests.pressure.snapshots(now).items():
        name, reasons, longest = str(key), Counter[tuple[str, str]](), 0.0
        if name in standings:
            longest = standings[name].first_wait
            for refused in standings[name].refusals:
                reasons[refused.reason, refused.by or "core"] += refused.waiting
        known = requests.controller.standings.standing(key, now)
        yield CallsFigures(
            provider=key.provider_name,
            model=key.model_id,
            domain=key.domain,
            limit=snapshot.effective_max if snapshot.current_limit is None else snapshot.current_limit,
            cap=snapshot.effective_max,
            active=snapshot.in_flight_count,
            waiting=snapshot.waiters,
            gone_out=0 if known is None else known.arrived - known.waiters,
            longest_wait=longest,
            cooldown=snapshot.cooldown_remaining,
            paused=pauses.get(name, 0),
            waits_for=_sorted(reasons),
        )


def _tenants(run: RunParts) -> Iterator[TenantFigures]:
    controller = run.requests.controller
    active, waiting = controller.in_flight_by_group, controller.queue_view.queued_by_group
    for group in dict.fromkeys((*active, *waiting)):
        if isinstance(group, RequestResourceKey):  # for nobody in particular
            continue
        figures = TenantFigures(group=str(group), active=active.get(group, 0), waiting=waiting.get(group, 0))
        if figures.active or figures.waiting:
            yield figures


def _sorted(reasons: Counter[tuple[str, str]]) -> tuple[WaitingFor, ...]:
    return tuple(WaitingFor(reason, by, count) for (reason, by), count in reasons.most_common() if count > 0)


@attrs.define(eq=False)
class FiguresForThreads:
    """`LiveFigures` of one run, until it is `over`.

    A thread does not read the gates itself, since the loop changes them meanwhile: it asks the loop, which answers
    between two steps. It does not wait for ever, since the loop may be waiting for that very thread.
    """

    take: Callable[[], RunFigures]
    token: trio.lowlevel.TrioToken
    over: bool = False

    def __call__(self) -> RunFigures | None:
        if self.over:
            return None
        if self._in_the_loop():
            return self.take()
        answer: queue.SimpleQueue[RunFigures | None] = queue.SimpleQueue()
        try:
            self.token.run_sync_soon(self._answer, answer)
            return answer.get(timeout=ANSWER_TIMEOUT)
        except (trio.RunFinishedError, queue.Empty):
            return None

    def _answer(self, answer: queue.SimpleQueue[RunFigures | None]) -> None:
        figures = None
        try:
            figures = None if self.over else self.take()
        finally:
            answer.put(figures)

    def _in_the_loop(self) -> bool:
        try:
            return trio.lowlevel.current_trio_token() is self.token
        except RuntimeError:
            return False
