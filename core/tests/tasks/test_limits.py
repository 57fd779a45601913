"""The task gate takes other limits while tasks hold what there is."""

from __future__ import annotations

import pytest

from penstock import (
    ConfigError,
    FifoTaskQueue,
    TaskAdmissionConfig,
    TaskAdmissionController,
    TaskAdmissionDenied,
    TaskAdmissionLease,
    TaskGroupSpec,
)
from penstock.testing import make_task


def controller() -> TaskAdmissionController:
    return TaskAdmissionController(TaskAdmissionConfig(4, {"gpu": 4}))


def lease(gate: TaskAdmissionController, name: str, gpu: int) -> TaskAdmissionLease | TaskAdmissionDenied:
    return gate.try_acquire(make_task(name, needs={"gpu": gpu}), FifoTaskQueue().view(), 0.0)


def test_a_raised_limit_is_there_at_once() -> None:
    gate = controller()
    assert isinstance(lease(gate, "a", 3), TaskAdmissionLease)
    assert isinstance(lease(gate, "b", 2), TaskAdmissionDenied)
    gate.set_limits({"submission": 4, "gpu": 5})
    assert isinstance(lease(gate, "b", 2), TaskAdmissionLease)
    gate.check_invariants()


def test_more_than_a_lowered_limit_may_be_out_and_comes_back() -> None:
    gate = controller()
    first = lease(gate, "a", 4)
    assert isinstance(first, TaskAdmissionLease)
    gate.set_limits({"submission": 4, "gpu": 2})
    assert gate.view().resources_available["gpu"] == -2
    assert gate.view().leased_resources["gpu"] == 4
    gate.check_invariants()
    refused = lease(gate, "b", 1)
    assert isinstance(refused, TaskAdmissionDenied)
    assert refused.denied.reason == "no_capacity"
    gate.release(first, 1.0)
    assert isinstance(lease(gate, "b", 2), TaskAdmissionLease)
    gate.check_invariants()


def test_what_could_never_fit_under_other_limits_is_told_without_setting_them() -> None:
    gate = controller()
    task = make_task("a", needs={"gpu": 3})
    assert gate.never_fits(task) is None
    for limits in ({"submission": 4, "gpu": 2}, {"submission": 4}):
        denied = gate.never_fits(task, limits)
        assert denied is not None
        assert denied.final
    assert isinstance(lease(gate, "a", 3), TaskAdmissionLease)


@pytest.mark.parametrize(
    ("limits", "error"), [({"submission": 4}, ValueError), ({"submission": 0, "gpu": 4}, ConfigError)]
)
def test_limits_that_cannot_be_set_change_nothing(limits: dict[str, int], error: type[Exception]) -> None:
    gate = controller()
    lease(gate, "a", 1)
    with pytest.raises(error):
        gate.set_limits(limits)
    assert dict(gate.view().resource_limits) == {"submission": 4, "gpu": 4}
    gate.check_invariants()


def test_a_group_at_its_new_limit_is_no_peer_any_more() -> None:
    gate, queue = controller(), FifoTaskQueue()
    gate.attach(queue.view())
    busy, other = TaskGroupSpec.named("busy"), TaskGroupSpec.named("other")
    queue.enqueue([make_task("a", group=busy), make_task("b", group=busy)], 0.0)
    selection = queue.select_next(lambda task, view: gate.is_eligible(task, view, 0.0), 0.0)
    assert selection is not None
    assert isinstance(gate.try_acquire(selection.item, queue.view(), 0.0), TaskAdmissionLease)
    queue.commit(selection, 0.0)
    assert gate.view().runnable_peers("submission", other.key) == 1
    gate.set_admitted_limit(busy.key, 1)
    assert gate.view().runnable_peers("submission", other.key) == 0
    gate.set_admitted_limit(busy.key, None)
    assert gate.view().runnable_peers("submission", other.key) == 1
    gate.check_invariants()
