"""What was seen at most, by the gates' own word, against naive twins that count their lists after every change."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from penstock_model.naive_requests import MODELS, RESOURCES, concerns
from penstock_model.request_run import RequestRun, RequestScenario
from penstock_model.request_seeds import ALL_REQUEST_HOLDS, requests_and_steps
from penstock_model.task_run import Step, TaskRun, TaskScenario
from penstock_model.task_seeds import ALL_HOLDS, scenario_and_steps

pytestmark = pytest.mark.no_cover


class CountsTasks(TaskRun):
    """Counts after each step, in which tasks come, go or end."""

    def __init__(self, scenario: TaskScenario) -> None:
        super().__init__(scenario)
        self.queued: Counter[str] = Counter()
        self.leased: Counter[str] = Counter()

    def take(self, step: Step) -> None:
        super().take(step)
        self.queued |= Counter(str(task.group.key) for task in self.naive.line)
        self.leased |= Counter({resource: self.naive.leased(resource) for resource in self.naive.limits})


class CountsRequests(RequestRun):
    """The same of calls. Limits change before anybody goes in the same step."""

    def __init__(self, scenario: RequestScenario) -> None:
        self.waiting: Counter[str] = Counter()
        self.in_flight: Counter[str] = Counter()
        self.limits: Counter[str] = Counter()
        self.seen: set[str] = set()
        super().__init__(scenario)

    def take(self, step: Step) -> None:
        super().take(step)
        naive = self.naive
        self.waiting |= Counter(str(waiter.item.resource) for waiter in naive.line)
        self.in_flight |= Counter({str(key): naive.in_flight(key) for key in (*RESOURCES, *MODELS)})
        for lease, _ in naive.out:
            if lease.lease_id not in self.seen:
                self.seen.add(lease.lease_id)
                limits = [limit.places for scope, limit in naive.limits.items() if concerns(scope, lease.item)]
                self.limits |= Counter({str(lease.item.resource): min(limits)})


def played(run: Any, steps: list[Step]) -> Any:
    for step in steps:
        run.take(step)
    return run


@pytest.mark.parametrize("start", range(0, 300, 50))
def test_the_most_tasks_queued_and_the_most_that_was_leased_are_what_a_count_of_lists_finds(start: int) -> None:
    for seed in range(start, start + 50):
        scenario, steps = scenario_and_steps(f"maxima/{seed}", ALL_HOLDS)
        run = played(CountsTasks(scenario), list(steps))
        assert run.gate.most_queued() == run.queued, f"seed {seed}, {scenario.queue}"
        assert Counter(run.gate.most_leased()) == run.leased, f"seed {seed}, {scenario.queue}"


@pytest.mark.parametrize("start", range(0, 300, 50))
def test_the_most_calls_waiting_and_in_flight_are_what_a_count_of_lists_finds(start: int) -> None:
    for seed in range(start, start + 50):
        scenario, steps = requests_and_steps(f"maxima/{seed}", ALL_REQUEST_HOLDS)
        run = played(CountsRequests(scenario), list(steps))
        seen = run.gate.maxima()
        resources = {str(key): each for key, each in seen.resources.items()}
        assert Counter({name: each.waiters for name, each in resources.items()}) == run.waiting, f"seed {seed}"
        in_flight = Counter({name: each.in_flight for name, each in resources.items()})
        in_flight |= Counter({str(key): most for key, most in seen.in_flight.items()})
        assert in_flight == run.in_flight, f"seed {seed}"
        assert Counter({name: each.highest_limit or 0 for name, each in resources.items()}) == run.limits, (
            f"seed {seed}"
        )
