"""Each cell of ours runs at a tiny size, does all of its work, and says how much that was."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from itertools import count
from types import ModuleType

import pytest

from penstock_bench import FULL, QUICK, Local, Row, Sizes, load_targets, request_cells, stopwatch, task_cells, task_gate
from penstock_bench.command import BENCHES
from penstock_bench.memory import Weighed, main, queue, scheduler
from penstock_bench.request_cells import contended
from penstock_bench.task_gate import NOW, TaskGate, tasks_of, whole
from penstock_bench.tasks_rows import tasks_rows
from penstock_bench.workloads import Workload, all_fits, turning, window


def weighs_nothing(what: str, tasks: int) -> Weighed:
    return Weighed(tasks, before=1000, queued=1000 + 500 * tasks, after=1010)


def rows_of(bench: str, sizes: Sizes) -> list[Row]:
    return tasks_rows(sizes, weighs_nothing) if bench == "tasks" else BENCHES[bench](sizes)


@pytest.mark.parametrize("bench", BENCHES)
def test_every_row_of_a_bench_measures_something(bench: str, tiny: Sizes) -> None:
    for row in rows_of(bench, tiny):
        if isinstance(row.other, Local):
            assert row.other.measure(None).cost > 0, row.name

        assert row.ours(None).cost > 0, row.name


@pytest.mark.parametrize("bench", BENCHES)
@pytest.mark.parametrize("sizes", [FULL, QUICK], ids=["full", "quick"])
def test_every_target_is_of_a_row_that_there_is(bench: str, sizes: Sizes) -> None:
    names = [row.name for row in rows_of(bench, sizes)]
    wanted = {target.row for target in load_targets() if target.bench == bench}

    assert wanted <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("make", [all_fits, window, turning])
@pytest.mark.parametrize("groups", [1, 2, 7, 64, 100])
def test_a_workload_has_as_many_tasks_and_groups_as_it_was_asked_for(
    make: Callable[[int, int], Workload], groups: int
) -> None:
    workload = make(groups, 1000)
    arrivals = list(workload.arrivals())

    assert workload.total == len(arrivals) == 1000
    assert len({task_id for _, task_id in arrivals}) == 1000
    assert {at for at, _ in arrivals} == set(range(groups))


def test_the_turning_window_can_be_filled_by_its_preferred_groups_alone() -> None:
    preferred = [kind for kind in turning(256, 10_000).groups if kind.admitted_limit is not None]

    assert sum(kind.admitted_limit or 0 for kind in preferred) == turning(256, 10_000).places == 64
    assert min(kind.tasks for kind in preferred) > 100


def test_32_groups_stay_blocked_in_the_window_until_the_others_have_nothing_left() -> None:
    workload = window(256, 2_000)
    gate = TaskGate(workload.places)
    gate.queue.enqueue(tasks_of(workload), NOW)
    for _ in range(9):
        gate.cycles_with_held(200, workload.held, keeping=True)
        gate.queue.select_next(gate.is_eligible, NOW)
        at_caps = {str(block.group) for block in gate.queue.blocked() if block.denied.reason == "group_cap"}
        assert at_caps == {f"local/hot{n}" for n in range(32)}

    assert gate.cycles_with_held(2_000, workload.held, keeping=True) == 200


def test_what_is_preferred_and_at_its_limit_is_blocked_while_the_turning_window_is_full() -> None:
    workload = turning(8, 400)
    gate = TaskGate(workload.places)
    gate.queue.enqueue(tasks_of(workload), NOW)
    gate.cycles_with_held(40, workload.held)
    gate.queue.select_next(gate.is_eligible, NOW)

    blocked = {str(block.group) for block in gate.queue.blocked()}

    assert blocked == {f"local/hot{n}" for n in range(4)}


@pytest.mark.parametrize(
    "workload", [all_fits(3, 50), window(8, 300), turning(8, 300)], ids=["all fits", "window", "turning"]
)
def test_what_the_first_tasks_took_is_less_than_what_all_took(workload: Workload) -> None:
    sample = whole(workload, mark=10)

    assert sample.units == workload.total
    assert sample.amount_at_mark is not None
    assert sample.first(10).units == 10
    assert 0 < sample.first(10).amount < sample.amount


def each_takes_a_second(monkeypatch: pytest.MonkeyPatch, cells: ModuleType) -> None:
    """Each stretch between two looks at the clock."""
    ticks = count()
    for module in (stopwatch, cells):
        monkeypatch.setattr(module, "perf_counter", lambda: float(next(ticks)))


def test_tasks_up_to_the_mark_bear_their_share_of_enqueueing_all(monkeypatch: pytest.MonkeyPatch) -> None:
    each_takes_a_second(monkeypatch, task_gate)

    sample = whole(all_fits(2, 40), mark=10)

    assert sample.amount_at_mark == 10 / 40 + 1


async def test_tasks_up_to_the_mark_bear_their_share_of_what_was_done_before_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    each_takes_a_second(monkeypatch, task_cells)
    counted = task_cells.Count(mark=1)

    counted.begin()
    for _ in range(4):
        await counted.task()

    assert counted.sample(4).amount_at_mark == 1 / 4 + 1


def test_acquisitions_up_to_the_mark_bear_their_share_of_asking_all(monkeypatch: pytest.MonkeyPatch) -> None:
    each_takes_a_second(monkeypatch, request_cells)

    sample = contended(4, 2, 1, mark=1)

    assert sample.amount_at_mark == 1 / 4 + 1


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("weigh", [queue, scheduler])
def test_queued_tasks_weigh_something_and_drain(weigh: Callable[[int], Weighed]) -> None:
    weighed = weigh(200)

    assert 100 < weighed.each < 5000
    assert weighed.after < weighed.queued


@pytest.mark.usefixtures("traced")
def test_the_program_that_weighs_prints_what_its_caller_reads(capsys: pytest.CaptureFixture[str]) -> None:
    main(["queue", "50"])

    assert '"tasks": 50' in capsys.readouterr().out


def test_a_task_weighs_what_is_more_while_it_is_queued_and_what_is_left_is_a_share() -> None:
    weighed = Weighed(10, before=1000, queued=7000, after=1100)

    assert weighed.each == 600
    assert weighed.left == pytest.approx(0.1)
