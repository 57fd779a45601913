"""Whom the first process of a gateway starts, and whom it ends by force, moment by moment."""

from __future__ import annotations

from random import Random

import pytest

from penstock_gateway.supervision import COORDINATOR, FIRST_PAUSE, HANGING, LONGEST_PAUSE, SLACK, YOUNG, Supervision

GRACE = 4.0


class Machine:
    """Processes without processes."""

    def __init__(self, workers: int = 2) -> None:
        self.supervision = Supervision(workers, GRACE)
        self.now = 1000.0
        self.last_pid = 0

    def start_all(self) -> list[int]:
        """Who has been started."""
        started = []
        while found := self.supervision.to_start(self.now):
            for who in found:
                self.last_pid += 1
                self.supervision.started(who, self.last_pid, self.now)
                started.append(who)
        return started

    def end(self, who: int) -> None:
        assert self.supervision.ended(self.supervision.pids[who], self.now) == who


@pytest.fixture
def machine() -> Machine:
    machine = Machine()
    assert machine.start_all() == [COORDINATOR, 1, 2]
    machine.supervision.ready = True
    machine.now += YOUNG
    return machine


def test_a_worker_that_ends_is_started_anew_at_once(machine: Machine) -> None:
    machine.end(1)
    assert machine.start_all() == [1]
    assert machine.supervision.ended(4711, machine.now) is None


def test_who_ends_young_is_started_after_a_pause_that_doubles(machine: Machine) -> None:
    machine.end(2)
    pauses = []
    for _ in range(10):
        assert machine.start_all() == [2]
        machine.end(2)
        machine.supervision.lives(machine.now)
        due = machine.supervision.next_change()
        assert due is not None
        pauses.append(due - machine.now)
        assert machine.start_all() == []
        machine.now = due
    assert pauses[:3] == pytest.approx([FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE])
    assert pauses[-1] == pytest.approx(LONGEST_PAUSE)
    machine.start_all()
    machine.now += YOUNG
    machine.end(2)
    assert machine.start_all() == [2]


def test_after_the_coordinator_all_are_started_when_its_last_worker_has_gone(machine: Machine) -> None:
    machine.end(COORDINATOR)
    assert machine.start_all() == []
    machine.end(1)
    assert machine.start_all() == []
    machine.end(2)
    assert machine.start_all() == [COORDINATOR, 1, 2]


def test_a_worker_that_stays_after_its_coordinator_is_ended_by_force(machine: Machine) -> None:
    machine.end(COORDINATOR)
    machine.end(1)
    pid = machine.supervision.pids[2]
    assert machine.supervision.next_change() == machine.now + GRACE + SLACK
    assert machine.supervision.to_kill(machine.now + GRACE) == []
    assert machine.supervision.to_kill(machine.now + GRACE + SLACK) == [pid]
    assert machine.supervision.to_kill(machine.now + GRACE + SLACK) == []


def test_at_the_end_nobody_is_started_and_the_coordinator_is_the_last(machine: Machine) -> None:
    machine.supervision.drain(machine.now, 30.0)
    pids = machine.supervision.pids
    assert machine.supervision.to_kill(machine.now + 30.0 + SLACK) == [pids[1], pids[2]]
    machine.end(1)
    machine.end(2)
    assert machine.start_all() == []
    assert not machine.supervision.finished
    assert machine.supervision.to_kill(machine.now + SLACK) == [pids[COORDINATOR]]
    machine.end(COORDINATOR)
    assert machine.supervision.finished


@pytest.mark.parametrize("who", [COORDINATOR, 1])
def test_who_ends_before_all_are_ready_ends_the_whole(who: int) -> None:
    machine = Machine()
    machine.start_all()
    machine.end(who)
    assert machine.supervision.failed
    assert machine.start_all() == []
    for other in list(machine.supervision.pids):
        machine.end(other)
    assert machine.supervision.finished


@pytest.mark.parametrize("seed", range(20))
def test_whoever_ends_and_whenever_all_are_there_again(seed: int) -> None:
    random, machine = Random(seed), Machine(3)
    machine.start_all()
    machine.supervision.ready = True
    for _ in range(200):
        alive = list(machine.supervision.pids)
        if alive and random.random() < 0.5:
            machine.end(random.choice(alive))
        machine.now += random.random()
        machine.supervision.lives(machine.now)
        before = machine.supervision.pids
        assert COORDINATOR not in machine.start_all() or not before
        for pid in machine.supervision.to_kill(machine.now):
            machine.supervision.ended(pid, machine.now)
    for _ in range(50):
        machine.supervision.lives(machine.now)
        for pid in machine.supervision.to_kill(machine.now):
            machine.supervision.ended(pid, machine.now)
        machine.start_all()
        due = machine.supervision.next_change()
        if len(machine.supervision.pids) == 4 or due is None:
            break
        machine.now = max(machine.now, due)
    assert len(machine.supervision.pids) == 4


def test_a_coordinator_that_does_not_say_that_it_lives_is_ended_by_force(machine: Machine) -> None:
    supervision = machine.supervision
    for _ in range(5):
        supervision.lives(machine.now)
        machine.now += HANGING - 0.1
        assert supervision.to_kill(machine.now) == []
    assert supervision.next_change() == machine.now + 0.1
    machine.now += 0.1
    assert supervision.to_kill(machine.now) == [supervision.pids[COORDINATOR]]
    assert supervision.to_kill(machine.now) == []
    machine.end(COORDINATOR)
    for who in (1, 2):
        machine.end(who)
    machine.now += 10.0
    assert machine.start_all() == [COORDINATOR, 1, 2]


def test_a_coordinator_that_was_stopped_together_with_the_first_process_is_not_ended(machine: Machine) -> None:
    supervision = machine.supervision
    supervision.lives(machine.now)
    machine.now += 1000.0  # as by Ctrl+Z, and `fg` later
    assert supervision.to_kill(machine.now) == []
    machine.now += HANGING
    assert supervision.to_kill(machine.now) == [supervision.pids[COORDINATOR]]
