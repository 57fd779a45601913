"""The dispatch loop, line by line as contracts.md section 4 has it; in virtual time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from penstock import (
    NEVER,
    At,
    Backlog,
    Condition,
    ConfigError,
    Denied,
    FifoTaskQueue,
    PluginError,
    QueueSelection,
    QueueView,
    Released,
    RuntimeCorrelation,
    SchedulableTask,
    Signal,
    TaskAdmissionLease,
    TaskAdmissionPolicyDecision,
    TaskAdmissionView,
    TaskDropped,
    TaskGroupSpec,
    TaskRefused,
    TaskSpec,
    current_correlation,
)
from penstock.testing import anything_goes, open_rig

Rule = Callable[[SchedulableTask, QueueView, TaskAdmissionView, float], Denied | None]


async def nothing() -> None:
    return None


async def until_a_second_has_passed() -> float:
    await trio.sleep(1)
    return trio.current_time()


def group_rule(name: str, denied: Callable[[float], Denied | None]) -> Rule:
    """Refuses one group by what `denied` says."""

    def rule(task: SchedulableTask, queue: QueueView, admission: TaskAdmissionView, now: float) -> Denied | None:
        return denied(now) if task.group.key.identity[1] == name else None

    return rule


async def test_the_events_of_a_task_come_in_order(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        first, second = rig.scheduler.add(
            [TaskSpec(task_id="first", fn=nothing), TaskSpec(task_id="second", fn=nothing, after=("first",))]
        ).values()
        await second
        await first
    expected = [
        "dependency_ready", "ready_enqueued", "selected", "task_lease_acquired", "worker_spawned", "task_completed",
        "task_lease_released",
    ]  # fmt: skip
    assert rig.kinds("first") == expected
    assert rig.kinds("second") == expected
    kinds = [(event.event_kind, event.task_id) for event in rig.events]
    assert kinds.index(("task_lease_released", "first")) < kinds.index(("dependency_ready", "second"))
    assert rig.kinds()[0] == "scheduler_job_started"
    assert rig.kinds()[-2:] == ["queue_drained", "scheduler_job_completed"]


async def test_a_root_task_tells_the_same_as_any_other(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        await rig.scheduler.start_soon(nothing, task_id="alone")
    assert rig.kinds("alone")[0] == "dependency_ready"


async def test_an_empty_queue_and_a_blocked_one_are_told_apart(autojump_clock: MockClock) -> None:
    async with open_rig(places=1) as rig:
        rig.scheduler.start_soon(until_a_second_has_passed)
        await trio.sleep(0.5)
        assert "queue_empty" in rig.kinds()
        assert "admission_blocked" not in rig.kinds()
        rig.scheduler.start_soon(until_a_second_has_passed)
        await trio.sleep(0.1)
        assert rig.kinds()[-1] == "admission_blocked"
        blocked = rig.events[-1]
        assert blocked.diagnostics == {"queued": 1, "reasons": {"no_capacity": 1}, "available_after": None}


async def test_a_queue_that_only_caps_keep_back_is_told_as_group_capped(autojump_clock: MockClock) -> None:
    rule = group_rule("capped", lambda now: Denied("group_cap", {At(5.0)}, by="caps") if now < 5 else None)
    async with open_rig(rule=rule) as rig:
        rig.scheduler.start_soon(nothing, group="capped")
        await trio.sleep(1)
        assert rig.kinds()[-1] == "group_capped"


async def test_a_release_lets_the_next_start_at_once(autojump_clock: MockClock) -> None:
    async with open_rig(places=2) as rig:
        handles = [rig.scheduler.start_soon(until_a_second_has_passed) for _ in range(5)]
        assert [await handle for handle in handles] == [1.0, 1.0, 2.0, 2.0, 3.0]


async def test_two_releases_at_one_instant_let_two_start(autojump_clock: MockClock) -> None:
    async with open_rig(places=8, resources={"gpu": 2}) as rig:
        handles = [
            rig.scheduler.start_soon(until_a_second_has_passed, needs={"gpu": 1}, group=f"g{n}") for n in range(6)
        ]
        assert [await handle for handle in handles] == [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]


async def test_the_earliest_moment_that_a_refusal_names_wakes_the_loop(autojump_clock: MockClock) -> None:
    rule = group_rule("late", lambda now: Denied("policy_denial", {At(7.0)}, by="quiet") if now < 7 else None)
    async with open_rig(rule=rule) as rig:
        handle = rig.scheduler.start_soon(until_a_second_has_passed, group="late")
        assert await rig.scheduler.start_soon(until_a_second_has_passed) == 1.0
        assert await handle == 8.0


async def test_a_signal_wakes_who_waits_for_it(autojump_clock: MockClock) -> None:
    shut = True
    rule = group_rule("shy", lambda now: Denied("policy_denial", {Signal("open")}, by="door") if shut else None)
    async with open_rig(rule=rule) as rig:
        handle = rig.scheduler.start_soon(until_a_second_has_passed, group="shy")
        await trio.sleep(3)
        rig.scheduler.signal("something else")
        await trio.sleep(1)
        shut = False
        assert handle.status == "pending"
        rig.scheduler.signal("open")
        assert await handle == 5.0


async def test_a_candidate_that_is_denied_its_lease_is_parked_under_that_refusal(autojump_clock: MockClock) -> None:
    class Careless(FifoTaskQueue):
        def select_next(self, is_eligible: object, now: float) -> QueueSelection | None:
            return super().select_next(anything_goes, now)

    async with open_rig(places=1, queue=Careless()) as rig:
        handles = [rig.scheduler.start_soon(until_a_second_has_passed, task_id=f"{n}") for n in range(3)]
        assert [await handle for handle in handles] == [1.0, 2.0, 3.0]
    assert "admission_denied" in rig.kinds("1")
    denied = next(event for event in rig.events if event.event_kind == "admission_denied")
    assert (denied.reason_or_outcome, denied.diagnostics) == ("no_capacity", {"by": "core"})


class Fickle(FifoTaskQueue):
    """Has changed since, for the first so many commits."""

    def __init__(self, stale: int) -> None:
        super().__init__()
        self.stale = stale

    def commit(self, selection: QueueSelection, now: float) -> SchedulableTask | None:
        if self.stale:
            self.stale -= 1
            return None
        return super().commit(selection, now)


async def test_a_stale_selection_gives_its_lease_back_and_is_tried_again(autojump_clock: MockClock) -> None:
    async with open_rig(queue=Fickle(2)) as rig:
        await rig.scheduler.start_soon(nothing, task_id="it")
    assert rig.kinds().count("stale_selection") == 2
    assert rig.kinds().count("worker_spawned") == 1
    assert rig.scheduler.admission.leases == (3, 3)


async def test_the_third_stale_selection_in_a_row_is_the_queues_error(autojump_clock: MockClock) -> None:
    with pytest.raises(PluginError, match="'Fickle': its selections were outdated three times in a row"):  # noqa: PT012
        async with open_rig(queue=Fickle(3)) as rig:
            handle = rig.scheduler.start_soon(nothing)
            await trio.sleep_forever()
    assert handle.status == "shutdown"
    assert rig.scheduler.admission.leases == (3, 3)


async def test_a_worker_that_cannot_be_spawned_gives_its_lease_back(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_soon = trio.Nursery.start_soon

    def fails(self: trio.Nursery, fn: Any, *args: Any, **options: Any) -> None:
        if any(isinstance(arg, TaskAdmissionLease) for arg in args):
            raise OSError("no more tasks in this world")
        start_soon(self, fn, *args, **options)

    monkeypatch.setattr(trio.Nursery, "start_soon", fails)
    with pytest.raises(OSError, match="no more tasks"):  # noqa: PT012
        async with open_rig() as rig:
            handle = rig.scheduler.start_soon(nothing, task_id="it")
            await trio.sleep_forever()
    assert handle.status == "cancelled"
    assert "worker_spawned" not in rig.kinds()
    leased = ["selected", "task_lease_acquired", "task_lease_released"]
    assert rig.kinds("it")[-5:] == [*leased, "worker_spawn_failed", "cancelled"]


async def test_what_could_never_fit_is_refused_where_it_is_submitted(autojump_clock: MockClock) -> None:
    async with open_rig(resources={"gpu": 2}) as rig:
        for needs, said in (({"gpu": 3}, "3 of 'gpu', and the limit is 2"), ({"tpu": 1}, "no resource 'tpu'")):
            with pytest.raises(TaskRefused, match=said):
                rig.scheduler.start_soon(nothing, needs=needs)
            with pytest.raises(TaskRefused, match=said):
                rig.scheduler.add([TaskSpec(task_id="a", fn=nothing), TaskSpec(task_id="b", fn=nothing, needs=needs)])
        assert rig.scheduler.progress["unfinished"] == 0


async def test_a_refusal_for_good_drops_the_task_and_what_depends_on_it(autojump_clock: MockClock) -> None:
    rule = group_rule("bad", lambda now: Denied("policy_denial", {NEVER}, "group", detail="banned", by="law"))
    async with open_rig(rule=rule) as rig:
        handles = rig.scheduler.add(
            [
                TaskSpec(task_id="bad", fn=nothing, group="bad"),
                TaskSpec(task_id="after", fn=nothing, after=("bad",)),
                TaskSpec(task_id="good", fn=nothing),
            ]
        )
        await handles["good"]
        with pytest.raises(TaskDropped, match="policy_denial by law: banned"):
            await handles["bad"]
        with pytest.raises(TaskDropped, match="bad was not carried out"):
            await handles["after"]
    assert rig.scheduler.progress["dropped"] == 2
    assert [rig.scheduler.endings.not_done[name].split(":")[0] for name in ("bad", "after")] == ["dropped", "dropped"]


async def test_a_deadline_drops_what_could_not_start_in_time_at_that_moment(autojump_clock: MockClock) -> None:
    rule = group_rule("never", lambda now: Denied("policy_denial", {Signal("never")}, by="law"))
    async with open_rig(places=1, rule=rule) as rig:
        running = rig.scheduler.start_soon(trio.sleep, 10, deadline=5.0)
        queued = rig.scheduler.start_soon(nothing, deadline=5.0)
        parked = rig.scheduler.start_soon(nothing, group="never", deadline=3.0)
        waiting = rig.scheduler.add([TaskSpec(task_id="w", fn=nothing, after=(running.task_id,), deadline=4.0)])["w"]
        for handle, moment in ((parked, 3.0), (waiting, 4.0), (queued, 5.0)):
            with pytest.raises(TaskDropped, match="deadline"):
                await handle
            assert trio.current_time() == moment
        await running
        assert trio.current_time() == 10.0


async def test_a_deadline_that_passed_while_the_loop_was_held_up_lets_no_task_start(autojump_clock: MockClock) -> None:
    async def holds_the_loop_up() -> None:
        autojump_clock.jump(10.0)

    async with open_rig(places=1) as rig:
        rig.scheduler.start_soon(holds_the_loop_up)
        late = rig.scheduler.start_soon(nothing, deadline=5.0)
        with pytest.raises(TaskDropped, match="deadline"):
            await late


async def test_at_its_deadline_itself_a_task_may_still_start(autojump_clock: MockClock) -> None:
    rule = group_rule("late", lambda now: Denied("policy_denial", {At(7.0)}, by="quiet") if now < 7 else None)
    async with open_rig(rule=rule) as rig:
        assert await rig.scheduler.start_soon(until_a_second_has_passed, group="late", deadline=7.0) == 8.0


async def test_a_lower_limit_of_a_peer_met_elsewhere_frees_a_place_for_who_waited(autojump_clock: MockClock) -> None:
    """The policy waits for a change of backlog; a peer that reaches its cap is one."""

    class Caps:
        stateless = True

        def evaluate(self, task: SchedulableTask, queue: QueueView, view: TaskAdmissionView, now: float) -> Any:
            limit = task.group.admitted_limit
            if limit is None or view.running(task.group.key) < limit or not view.runnable_peers("gpu", task.group.key):
                return TaskAdmissionPolicyDecision()
            until: set[Condition] = {Released(task.group.key), Backlog("gpu")}
            return TaskAdmissionPolicyDecision(Denied("group_cap", until, "shape"))

        def on_acquire(self, *args: object) -> None:
            return None

        on_release = on_acquire

    a, b = TaskGroupSpec.named("a", 1.0, 1), TaskGroupSpec.named("b", 1.0, 1)
    async with open_rig(places=8, resources={"gpu": 2}, policies=[("caps", Caps())]) as rig:
        first = rig.scheduler.start_soon(until_a_second_has_passed, group=a, needs={"gpu": 1})
        second = rig.scheduler.start_soon(until_a_second_has_passed, group=a, needs={"gpu": 1})
        plain = rig.scheduler.start_soon(until_a_second_has_passed, group=b)
        typed = rig.scheduler.start_soon(until_a_second_has_passed, group=b, needs={"gpu": 1})
        assert [await handle for handle in (first, second, plain, typed)] == [1.0, 1.0, 1.0, 2.0]


async def test_a_task_runs_under_its_own_correlation(autojump_clock: MockClock) -> None:
    async def who() -> tuple[Any, ...]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 1)
        told = current_correlation()
        assert told is not None
        return told.run_id, told.row_group, told.task_column, told.task_execution_id

    async with open_rig() as rig:
        first = await rig.scheduler.start_soon(who, row_group="rg", column="summary")
        second = await rig.scheduler.start_soon(who)
        assert first[:3] == ("run", "rg", "summary")
        assert first[3] != second[3]
        assert current_correlation() is None


async def test_all_events_of_an_execution_bear_one_correlation_which_is_that_of_its_code(
    autojump_clock: MockClock,
) -> None:
    """It is built once."""

    async def twice() -> None:
        told.append(current_correlation())
        if len(told) == 1:
            raise ValueError

    told: list[RuntimeCorrelation | None] = []
    async with open_rig() as rig:
        await rig.scheduler.start_soon(twice, retry_on=(ValueError,))
    borne = {id(event.correlation) for event in rig.events if event.task_execution_id is not None}
    assert borne == {id(correlation) for correlation in told}
    assert len(borne) == 2
    for kind in ("task_lease_acquired", "worker_spawned", "task_completed", "task_lease_released"):
        assert len({event.task_lease_id for event in rig.events if event.event_kind == kind}) == 2


async def test_a_custom_runner_runs_the_tasks(autojump_clock: MockClock) -> None:
    seen: list[tuple[str, str]] = []

    class Runner:
        def check(self, fn: object, args: object) -> None: ...

        async def run(self, task: SchedulableTask, lease: TaskAdmissionLease) -> object:
            seen.append((task.task_id, lease.item.task_id))
            return await task.payload()

    async with open_rig(runners={"own": Runner()}) as rig:
        assert await rig.scheduler.start_soon(until_a_second_has_passed, task_id="it", runner="own") == 1.0
        assert await rig.scheduler.start_soon(until_a_second_has_passed, task_id="another") == 2.0
    assert seen == [("it", "it")]


async def test_events_of_the_callers_own_go_into_the_stream(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        rig.scheduler.emit("row_group_admitted", diagnostics={"row_group": "rg1"})
        assert rig.kinds()[-1] == "row_group_admitted"
        with pytest.raises(ConfigError, match="no event kind"):
            rig.scheduler.emit("something_else")  # type: ignore[arg-type]


async def test_a_barrier_waits_for_members_that_come_later(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        scheduler = rig.scheduler
        total = scheduler.add([TaskSpec(task_id="total", fn=until_a_second_has_passed, barrier=True)])["total"]
        for row in range(3):
            scheduler.add([TaskSpec(task_id=f"{row}", fn=until_a_second_has_passed, members_of=("total",))])
            await trio.sleep(1)
        scheduler.seal("total")
        assert await total == 4.0
    assert rig.kinds("total")[0] == "dependency_ready"


async def test_explain_says_what_every_group_waits_for(autojump_clock: MockClock) -> None:
    rule = group_rule(
        "quiet", lambda now: Denied("policy_denial", {At(9.0)}, "group", "quiet hours", by="hours") if now < 9 else None
    )
    async with open_rig(places=2, resources={"gpu": 1}, rule=rule) as rig:
        rig.scheduler.start_soon(trio.sleep, 5, needs={"gpu": 1})
        rig.scheduler.start_soon(nothing, group="video", needs={"gpu": 1})
        rig.scheduler.start_soon(nothing, group="quiet")
        await trio.sleep(2)
        text = rig.scheduler.explain()
        assert rig.scheduler.explain("nobody").splitlines() == text.splitlines()[:1]
    assert "1 running, 2 queued" in text
    video, quiet = (text.partition(f"group local/{name}:")[2].partition("  group")[0] for name in ("video", "quiet"))
    for said in ("1 queued", "no_capacity by core", "less than 1 of gpu is free", "2.0 s", "a release of gpu"):
        assert said in video
    for said in ("1 queued", "policy_denial by hours", "quiet hours", "longest wait 2.0 s"):
        assert said in quiet


async def test_explain_tells_what_is_next_in_its_turn_and_counts_the_rest(autojump_clock: MockClock) -> None:
    async with open_rig(places=1) as rig:
        rig.scheduler.start_soon(trio.sleep, 5)
        for number in range(25):
            await trio.sleep(0.1)
            rig.scheduler.start_soon(nothing, group=f"g{number}")
        await trio.sleep(0.1)
        told = rig.scheduler.explanation()
        text = str(told)
    assert [group.group for group in told.groups] == [f"local/g{number}" for number in range(25)]
    assert told.groups[0].longest_wait == pytest.approx(2.5)
    assert all(group.reasons == ("no_capacity",) for group in told.groups)
    assert "and 5 more groups: 5 no_capacity" in text
    json.dumps(told.as_dict(), allow_nan=False)


async def test_many_tasks_that_wait_for_the_same_are_a_few_lines(autojump_clock: MockClock) -> None:
    async with open_rig(places=1) as rig:
        scheduler = rig.scheduler
        scheduler.add([TaskSpec(task_id="total", fn=nothing, barrier=True)])
        scheduler.add([TaskSpec(task_id=f"t{number}", fn=nothing, after=("total",)) for number in range(2000)])
        await trio.sleep(1)
        lines = scheduler.explain().splitlines()
        scheduler.cancel()
    assert lines[1:] == [
        "  task total: a barrier that nobody has sealed",
        "  2000 tasks (t0, t1, t2, t3, t4 and 1995 more): not ready, waits for 1 other task",
    ]


async def test_a_back_off_is_told_with_its_end(autojump_clock: MockClock) -> None:
    async def fail() -> None:
        raise ValueError

    async with open_rig() as rig:
        rig.scheduler.start_soon(fail, task_id="flaky", retry_on=(ValueError,))
        await trio.sleep(0.1)
        (line,) = rig.scheduler.explanation().backing_off
        rig.scheduler.cancel()
    assert line.startswith("task flaky: tried again after a failure, 0.")
    assert line.endswith(" s from now")
