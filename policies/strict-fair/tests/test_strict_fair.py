"""Strict fair: a cap binds while a peer that could run wants the place, and no longer."""

from __future__ import annotations

from penstock import (
    Denied,
    FifoTaskQueue,
    Released,
    SchedulableTask,
    TaskAdmissionConfig,
    TaskAdmissionController,
    TaskAdmissionDenied,
    TaskAdmissionPolicy,
    TaskGroupSpec,
    Uncontested,
)
from penstock.testing import TaskBench, TaskPolicyContract, make_task
from penstock_strict_fair import StrictFairConfig, StrictFairPlugin, StrictFairPolicy

A = TaskGroupSpec.named("a", 1.0, 1)
B = TaskGroupSpec.named("b", 1.0, 1)
FREE = TaskGroupSpec.named("free")


class TestStrictFairContract(TaskPolicyContract):
    def make_policy(self) -> TaskAdmissionPolicy:
        return StrictFairPolicy()

    def check_start(self, task: SchedulableTask, fitting: list[SchedulableTask], running: dict[str, int]) -> None:
        """Above its limit only where no peer below its own limit could have taken the place."""
        limit = task.group.admitted_limit
        if limit is None or running[task.group.key.identity[1]] < limit:
            return
        peers = [
            peer.task_id
            for peer in fitting
            if peer.group.key != task.group.key
            and (peer.group.admitted_limit is None or running[peer.group.key.identity[1]] < peer.group.admitted_limit)
        ]
        assert not peers, f"{task.task_id} was started above its group's limit, and {peers} could have been"


def gate_with(*tasks: SchedulableTask, places: int = 4, **resources: int) -> TaskBench:
    controller = TaskAdmissionController(TaskAdmissionConfig(places, resources), [("strict-fair", StrictFairPolicy())])
    gate = TaskBench(FifoTaskQueue(), controller)
    gate.enqueue(tasks)
    return gate


def test_a_group_at_its_limit_waits_while_a_peer_wants_the_place() -> None:
    gate = gate_with(make_task("a1", A), make_task("a2", A), make_task("f1", FREE), make_task("f2", FREE), places=3)
    assert gate.start_all() == ["a1", "f1", "f2"]
    gate.release(gate.out[1])
    assert gate.start_all() == ["a2"], "no peer wants the place that came free"


def test_the_refusal_says_who_what_and_what_would_end_it() -> None:
    gate = gate_with(make_task("a1", A), make_task("a2", A), make_task("f1", FREE))
    assert gate.start_one() is not None
    denied = gate.controller.try_acquire(gate.queued["a2"], gate.queue.view(), 0.0)
    assert isinstance(denied, TaskAdmissionDenied)
    assert denied.denied.by == "strict-fair"
    assert denied.denied.reason == "group_cap"
    assert "1 running, the limit is 1" in denied.denied.detail


def refusal(gate: TaskBench, task: SchedulableTask) -> Denied:
    answer = gate.controller.try_acquire(task, gate.queue.view(), 0.0)
    assert isinstance(answer, TaskAdmissionDenied)
    return answer.denied


def test_a_typed_resource_that_a_peer_wants_is_named_before_submission() -> None:
    gpu = {"gpu": 1}
    gate = gate_with(make_task("a1", A, gpu), make_task("a2", A, gpu), make_task("f1", FREE, gpu), gpu=4)
    assert gate.start_one() is not None
    assert refusal(gate, gate.queued["a2"]).until == {Released(A.key), Uncontested("gpu")}


def test_a_refusal_names_the_limit_of_today() -> None:
    narrow, wide = TaskGroupSpec.named("g", 1.0, 1), TaskGroupSpec.named("g", 1.0, 2)
    gate = gate_with(*(make_task(f"{n}", wide) for n in range(3)), make_task("n", narrow), make_task("f", FREE))
    assert [gate.start_one() is not None for _ in range(2)] == [True, True]
    assert "the limit is 2" in refusal(gate, gate.queued["2"]).detail
    assert "the limit is 1" in refusal(gate, gate.queued["n"]).detail


def test_capped_groups_share_what_is_free_where_no_peer_could_run() -> None:
    tasks = [make_task(f"{name}{n}", group) for n in range(4) for name, group in (("a", A), ("b", B))]
    assert gate_with(*tasks, places=6).start_all() == ["a0", "b0", "a1", "b1", "a2", "b2"]


def test_a_peer_that_becomes_capped_by_other_work_is_no_peer_any_more() -> None:
    """B reaches its limit by a task that takes no gpu: then its gpu task cannot run, and A may have the gpu."""
    gpu = {"gpu": 1}
    tasks = (make_task("a1", A, gpu), make_task("a2", A, gpu), make_task("b1", B), make_task("b2", B, gpu))
    gate = gate_with(*tasks, places=8, gpu=2)
    assert gate.start_all()[:3] == ["a1", "b1", "a2"]


def test_a_peer_that_waits_for_a_typed_resource_comes_before_a_group_at_its_limit() -> None:
    """Both wait for the gpu when one is released: it is the peer's, though the other came first."""
    gate = gate_with(make_task("a1", A, {"gpu": 1}), make_task("x", FREE, {"gpu": 1}), gpu=2)
    assert gate.start_all() == ["a1", "x"]
    gate.enqueue([make_task("a2", A, {"gpu": 1}), make_task("b1", B, {"gpu": 1})])
    assert gate.start_all() == []
    gate.release(gate.out[1])
    assert gate.start_all() == ["b1"]


def test_a_peer_whose_task_does_not_fit_is_no_reason_to_leave_the_place_empty() -> None:
    big = make_task("b1", B, {"gpu": 2})
    gate = gate_with(make_task("a1", A, {"gpu": 1}), make_task("a2", A, {"gpu": 1}), big, gpu=2)
    assert gate.start_all() == ["a1", "a2"]


def test_a_peer_whose_resource_is_taken_again_is_no_reason_to_leave_another_place_empty() -> None:
    """A is refused the disk while B, which waits for a cpu, might get one; another gets it, and A may have the disk."""
    others = (make_task("x", FREE, {"cpu": 1}), make_task("z", FREE, {"disk": 1}))
    gate = gate_with(make_task("a1", A, {"disk": 1}), *others, places=8, cpu=1, disk=2)
    assert gate.start_all() == ["a1", "x", "z"]
    gate.enqueue(
        [make_task("a2", A, {"disk": 1}), make_task("y", FREE, {"cpu": 1}), make_task("b", B, {"cpu": 1, "disk": 1})]
    )
    assert gate.start_all() == []
    for lease in tuple(gate.out[1:]):
        gate.release(lease)
    assert gate.start_all() == ["y", "a2"]


def test_a_place_that_comes_back_goes_to_the_peer() -> None:
    gate = gate_with(*(make_task(f"a{n}", A) for n in range(4)), places=2)
    assert gate.start_all() == ["a0", "a1"]
    gate.enqueue([make_task("b1", B)])
    gate.release(gate.out[0])
    assert gate.start_all() == ["b1"]


def test_a_group_without_a_limit_is_never_held() -> None:
    gate = gate_with(*(make_task(f"f{n}", FREE) for n in range(3)), make_task("a", A), places=3)
    assert gate.start_all() == ["f0", "f1", "f2"]


def test_limits_that_change_between_tasks_of_a_group_leave_the_counts_true() -> None:
    gate = gate_with(make_task("1", TaskGroupSpec.named("g", 1.0, 3)), make_task("2", TaskGroupSpec.named("g", 1.0, 1)))
    gate.enqueue([make_task("3", TaskGroupSpec.named("g", 1.0, 2)), make_task("4", TaskGroupSpec.named("g"))])
    gate.start_all()
    while gate.out:
        assert gate.release(gate.out[0]).released
        gate.controller.check_invariants()
        gate.start_all()


def test_the_plugin_makes_the_policy() -> None:
    assert isinstance(StrictFairPlugin(StrictFairConfig()).penstock_task_policy(), StrictFairPolicy)
