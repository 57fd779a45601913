"""A real Prometheus scrapes a program and a gateway at work: it answers the five questions as it was, and every panel
shows something."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio
from contrib.dashboards.tests.at_work import AtWork, ask_the_gateway, call, open_work, some_work
from contrib.dashboards.tests.prometheus import Prometheus, open_prometheus

from penstock import METRICS
from penstock_wire import WireClient

pytestmark = pytest.mark.loopback

FOLDER = Path(__file__).parents[1]
PROGRAM = shutil.which("prometheus")
RUN = 'job="penstock-run"'


@attrs.frozen
class Watched:
    """A run that stands still, with calls out and calls that wait, and the Prometheus that has seen it."""

    work: AtWork
    prometheus: Prometheus


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    """Some seconds of work, and then a moment that lasts."""
    if PROGRAM is None:
        pytest.skip("no Prometheus is installed: `tox -e dashboards` installs it where it may")
    held = trio.Event()
    async with (
        open_work(tmp_path) as work,
        open_prometheus(PROGRAM, tmp_path, work.targets) as prometheus,
        WireClient(work.gateway.url) as client,
        trio.open_nursery() as nursery,
    ):
        await prometheus.until(f"up{{{RUN}}}", 1)
        for first in range(0, 90, 15):
            await some_work(work, client, first)
            await trio.sleep(1.0)
        while work.scheduler.figures().unfinished:
            await trio.sleep(0.05)
        for number in range(100, 120):
            work.scheduler.start_soon(partial(call, work.truth, number, held), group="column")
        for _ in range(3):
            nursery.start_soon(ask_the_gateway, client, "slow")
        counted = sum(work.truth.outcomes.values())
        await prometheus.until(f"sum(penstock_request_ended_total{{{RUN}}})", counted)
        await prometheus.until(f"sum(penstock_task_waiting{{{RUN}}})", 8)
        await prometheus.until("sum(penstock_waiting)", 2)
        yield Watched(work, prometheus)
        nursery.cancel_scope.cancel()
        held.set()


async def test_the_five_questions_are_answered_as_it_was(watched: Watched) -> None:
    work, prometheus = watched.work, watched.prometheus
    (calls,) = work.scheduler.figures().calls
    # What is the limit now?
    assert await prometheus.ask(f"sum by (gen_ai_request_model) (penstock_request_limit{{{RUN}}})") == [
        ({"gen_ai_request_model": "small"}, calls.limit)
    ]
    # Who waits, and why?
    why = await prometheus.ask(f"sum by (penstock_reason, penstock_by) (penstock_request_waiting{{{RUN}}})")
    told = {(labels["penstock_reason"], labels["penstock_by"]): count for labels, count in why}
    assert told == {(each.reason, each.by): each.waiting for each in calls.waits_for}
    assert sum(told.values()) == 12 - calls.active
    who = await prometheus.ask(f"penstock_group_request_waiting{{{RUN}}} > 0")
    assert {labels["penstock_group"] for labels, _ in who} <= {"acme", "umbrella", "other"}
    assert sum(count for _, count in who) == calls.waiting
    # What share of the calls gets a 429?
    ended = f"penstock_request_ended_total{{{RUN}}}"
    limited = f'penstock_request_ended_total{{{RUN}, penstock_outcome="rate_limited"}}'
    share = work.truth.outcomes["rate_limited"] / sum(work.truth.outcomes.values())
    assert await prometheus.one(f"sum({limited}) / sum({ended})") == pytest.approx(share)
    # What does each tenant use, and spend?
    tokens = await prometheus.ask(
        f"sum by (penstock_group, gen_ai_token_type) (gen_ai_client_token_usage_sum{{{RUN}}})"
    )
    assert {(labels["penstock_group"], labels["gen_ai_token_type"]): n for labels, n in tokens} == work.truth.tokens
    cost = await prometheus.ask(f"sum by (penstock_group) (penstock_request_cost_total{{{RUN}}})")
    assert {labels["penstock_group"]: much for labels, much in cost} == pytest.approx(work.truth.cost)
    # How long do calls wait?
    buckets = f'penstock_request_wait_duration_seconds_bucket{{{RUN}, penstock_outcome="completed"}}'
    told_p95 = await prometheus.one(f"histogram_quantile(0.95, sum by (le) ({buckets}))")
    waits = sorted(work.truth.waits)
    true_p95 = waits[int(0.95 * len(waits))]
    ends = (0.0, *METRICS.of_run["penstock.request.wait.duration"].boundaries)
    below = max(end for end in ends if end <= true_p95)
    above = min(end for end in ends if end > true_p95)
    assert told_p95 is not None
    assert below <= told_p95 <= above, (true_p95, told_p95)


async def test_every_panel_shows_something_and_every_metric_has_its_name(watched: Watched) -> None:
    empty, shown = [], 0
    for name in ("penstock-run", "penstock-gateway"):
        panels = json.loads(FOLDER.joinpath(f"{name}.json").read_text(encoding="utf-8"))["panels"]
        for panel in panels:
            for target in panel.get("targets", ()):
                expression = target["expr"].replace("$__rate_interval", "1m").replace("$job", ".*")
                values = [value for _, value in await watched.prometheus.ask(expression)]
                if all(map(math.isnan, values)):  # a quantile of nothing is no number
                    empty.append(f"{name}, {panel['title']}: {expression}")
                shown += 1
    assert empty == []
    assert shown > 30
    for name, metric in METRICS.of_run.items():
        series = metric.in_prometheus(name) + ("_bucket" if metric.kind == "histogram" else "")
        assert await watched.prometheus.ask(series), series


async def test_prometheus_evaluates_every_rule(watched: Watched) -> None:
    found: dict[str, str] = {}
    with trio.fail_after(60):
        while not found or "unknown" in found.values():
            await trio.sleep(0.2)
            groups = (await watched.prometheus.get("/api/v1/rules"))["groups"]
            found = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
    assert len(found) == 22
    assert set(found.values()) == {"ok"}
