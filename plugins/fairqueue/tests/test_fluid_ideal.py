"""The fair queue against the fluid ideal (generalised processor sharing), in exact fractions.

In the ideal every group that has something queued is served at all times, at a rate in proportion to its
weight. Both are given the same work and serve the same amount in all; no group may lag behind the ideal by
more than two maximal tasks, or lead it by more than three.
"""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings, strategies as st

from penstock import Denied, QueueView, Released, SchedulableTask, TaskGroupSpec
from penstock.testing import make_task, take_one
from penstock_fairqueue import FairTaskQueue

LIMIT = 8


class Fluid:
    """The ideal server: work by group, served by weight."""

    def __init__(self, weights: list[float]) -> None:
        self.weights = [Fraction(weight) for weight in weights]
        self.left = [Fraction(0)] * len(weights)
        self.served = [Fraction(0)] * len(weights)

    def serve(self, amount: Fraction) -> None:
        while amount:
            busy = [group for group, left in enumerate(self.left) if left]
            total = sum(self.weights[group] for group in busy)
            until_one_is_empty = min(self.left[group] * total / self.weights[group] for group in busy)
            step = min(amount, until_one_is_empty)
            for group in busy:
                share = step * self.weights[group] / total
                self.left[group] -= share
                self.served[group] += share
            amount -= step


class Race:
    """A fair queue and the ideal, side by side."""

    def __init__(self, weights: list[float], resource: str = "submission") -> None:
        self.queue = FairTaskQueue({"submission": LIMIT if resource == "submission" else 1000, resource: LIMIT})
        self.fluid = Fluid(weights)
        self.groups = [TaskGroupSpec.named(f"g{number}", weight) for number, weight in enumerate(weights)]
        self.served = [Fraction(0)] * len(weights)
        self.largest = Fraction(0)
        self.resource = resource
        self.arrived = 0

    def arrive(self, group: int, amount: int) -> None:
        self.arrived += 1
        self.queue.enqueue([make_task(f"{self.arrived}", self.groups[group], {self.resource: amount})], 0.0)
        cost = Fraction(amount, LIMIT)
        self.fluid.left[group] += cost
        self.largest = max(self.largest, cost)

    def serve(self) -> int | None:
        """Serve one task; the number of its group."""
        task = take_one(self.queue)
        return None if task is None else self.count(task)

    def count(self, task: SchedulableTask) -> int:
        group = int(task.group.key.identity[1][1:])
        cost = Fraction(task.resource_request.amounts[self.resource], LIMIT)
        self.served[group] += cost
        self.fluid.serve(cost)
        self.check()
        return group

    def check(self) -> None:
        for group, served in enumerate(self.served):
            ahead = served - self.fluid.served[group]
            assert ahead >= -2 * self.largest, f"group {group} lags by {float(-ahead / self.largest):.2f} maximal tasks"
            assert ahead <= 3 * self.largest, f"group {group} leads by {float(ahead / self.largest):.2f} maximal tasks"


weights = st.floats(0.1, 64.0) | st.sampled_from((0.1, 0.25, 1.0, 2.0, 64.0))
arrivals = st.lists(st.tuples(st.integers(0, 5), st.integers(1, LIMIT), st.integers(1, 5)), min_size=1, max_size=8)
rounds = st.lists(st.tuples(arrivals, st.integers(0, 12)), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(
    weights=st.lists(weights, min_size=2, max_size=6), rounds=rounds, resource=st.sampled_from(("submission", "gpu"))
)
def test_for_any_arrivals_weights_and_costs_nobody_strays_from_the_fluid_ideal(
    weights: list[float], rounds: list[tuple[list[tuple[int, int, int]], int]], resource: str
) -> None:
    race = Race(weights, resource)
    for fresh, serve in rounds:
        for group, amount, count in fresh:
            for _ in range(count):
                race.arrive(group % len(weights), amount)
        for _ in range(serve):
            race.serve()
    while race.serve() is not None:
        pass
    assert race.queue.is_empty()


@settings(max_examples=60, deadline=None)
@given(weights=st.lists(weights, min_size=2, max_size=6), backlog=st.integers(20, 60), most_free=st.integers(1, 3))
def test_a_contended_typed_resource_released_bit_by_bit_follows_the_weights(
    weights: list[float], backlog: int, most_free: int
) -> None:
    race = Race(weights, "gpu")
    free = 0

    def is_eligible(task: SchedulableTask, view: QueueView) -> Denied | None:
        if free:
            return None
        return Denied("no_capacity", {Released("gpu")}, "shape", cohort=("no_capacity", "gpu", 1))

    for _ in range(backlog):
        for group in range(len(weights)):
            race.arrive(group, 1)
    assert race.queue.select_next(is_eligible, 0.0) is None
    for step in range(backlog):  # so that every group has something queued all the time
        free += 1 + step % most_free
        race.queue.wake(Released("gpu"), free, 0.0)
        while (selection := race.queue.select_next(is_eligible, 0.0)) is not None:
            assert race.queue.commit(selection, 0.0) is selection.item
            free -= 1
            race.count(selection.item)
        if min(race.fluid.left) < 1:
            return


def test_weights_are_shares_of_cost_and_not_of_tasks() -> None:
    race = Race([1.0, 1.0])
    for _ in range(100):
        race.arrive(0, 8)
        for _ in range(8):
            race.arrive(1, 1)
    for _ in range(450):
        race.serve()
    assert abs(race.served[0] - race.served[1]) <= 2


def test_weights_below_one_count() -> None:
    race = Race([0.25, 1.0, 0.125])
    for _ in range(200):
        for group in range(3):
            race.arrive(group, 1)
    order = [race.serve() for _ in range(110)]
    assert [order.count(group) for group in range(3)] == [20, 80, 10]


def test_a_heavy_group_alternates_with_many_light_ones_and_does_not_burst() -> None:
    race = Race([64.0] + [1.0] * 64)
    for _ in range(200):
        for group in range(65):
            race.arrive(group, 1)
    order = [race.serve() for _ in range(256)]
    heavy = [group == 0 for group in order]
    assert sum(heavy) == 128
    longest = run = 0
    for is_heavy in heavy:
        run = run + 1 if is_heavy else 0
        longest = max(longest, run)
    assert longest <= 2
    assert len(set(order)) == 65, "every light group had its turn"


def test_an_idle_group_is_owed_no_burst() -> None:
    race = Race([1.0, 1.0])
    race.arrive(1, 1)
    for _ in range(300):
        race.arrive(0, 1)
    assert [race.serve() for _ in range(100)].count(1) == 1
    for _ in range(100):
        race.arrive(1, 1)
    order = [race.serve() for _ in range(40)]
    assert all(order[n] != order[n + 1] for n in range(39)), "they take turns from the first on"


def test_a_parked_group_is_owed_no_burst_and_loses_nothing() -> None:
    race = Race([1.0, 1.0])
    for _ in range(300):
        race.arrive(0, 1)
        race.arrive(1, 1)
    asleep = race.groups[1].key
    order = []
    for step in range(140):
        parked = 20 <= step < 100

        def is_eligible(task: SchedulableTask, view: QueueView, parked: bool = parked) -> Denied | None:
            return Denied("policy_denial", {Released("it")}, "group") if parked and task.group.key == asleep else None

        if step == 100:
            race.queue.wake(Released("it"), 1, 0.0)
        selection = race.queue.select_next(is_eligible, 0.0)
        assert selection is not None
        race.queue.commit(selection, 0.0)
        order.append(int(selection.item.group.key == asleep))
    assert sum(order[20:100]) == 0
    after = order[100:]
    assert all(after[n] != after[n + 1] for n in range(39)), "they take turns from the first on"


def test_a_stream_of_fresh_groups_does_not_starve_an_old_one() -> None:
    queue = FairTaskQueue({"submission": LIMIT})
    queue.enqueue([make_task(f"old{n}", "old") for n in range(10)], 0.0)
    taken = []
    for number in range(200):
        queue.enqueue([make_task(f"fresh{number}/{n}", f"fresh{number}", {"submission": 4}) for n in range(2)], 0.0)
        task = take_one(queue)
        assert task is not None
        taken.append(task.task_id)
    assert sum(task_id.startswith("old") for task_id in taken) == 10


def test_leaving_and_coming_back_does_not_pay() -> None:
    """A group that always has one task only, and comes back as soon as that is taken, gets its share and no more."""
    race = Race([4.0, 1.0])
    for _ in range(200):
        race.arrive(0, 1)
    race.arrive(1, 1)
    order = []
    for _ in range(100):
        group = race.serve()
        order.append(group)
        if group == 1:
            race.arrive(1, 1)
    assert 19 <= order.count(1) <= 21


def test_being_refused_and_woken_does_not_pay() -> None:
    """A group that is parked after each of its tasks, and woken at once, gets its share and no more."""
    race = Race([4.0, 1.0])
    for _ in range(200):
        race.arrive(0, 1)
        race.arrive(1, 1)
    restless = race.groups[1].key

    def refuse_both(task: SchedulableTask, view: QueueView) -> Denied | None:
        until = {Released("it")} if task.group.key == restless else {Released("them")}
        return Denied("policy_denial", until, "group")

    order = []
    for _ in range(100):
        order.append(race.serve())
        assert race.queue.select_next(refuse_both, 0.0) is None
        race.queue.wake(Released("them"), 1, 0.0)
        race.queue.wake(Released("it"), 1, 0.0)
    assert 19 <= order.count(1) <= 21


def test_what_other_resources_a_group_waits_for_does_not_change_its_share() -> None:
    """Both groups have work that cannot run; in what can, they are equal."""
    queue = FairTaskQueue({"submission": LIMIT, "gpu": 1})

    def is_eligible(task: SchedulableTask, view: QueueView) -> Denied | None:
        if "gpu" not in task.resource_request.amounts:
            return None
        return Denied("no_capacity", {Released("gpu")}, "shape", cohort=("no_capacity", "gpu", 1))

    for n in range(60):
        queue.enqueue([make_task(f"ag{n}", "a", {"gpu": 1}), make_task(f"a{n}", "a"), make_task(f"b{n}", "b")], 0.0)
    order = []
    for _ in range(60):
        selection = queue.select_next(is_eligible, 0.0)
        assert selection is not None
        queue.commit(selection, 0.0)
        order.append(selection.item.group.key.identity[1])
    assert order.count("a") == 30
