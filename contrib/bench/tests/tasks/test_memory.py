"""What queued tasks weigh, and what is left when they have drained."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from penstock_bench.tasks.memory import Weighed, main, queue, scheduler


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
