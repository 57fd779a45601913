"""What of a step waits: what could be at work and is not, of several samples each by itself."""

from __future__ import annotations

from penstock_batch.calls.tallies import StepTally


def test_what_could_be_at_work_and_is_not_waits() -> None:
    tally = StepTally()
    assert tally.waiting(could_do=3) == 3
    with tally.working():
        assert tally.waiting(could_do=3) == 2


def test_each_sample_that_a_cell_has_not_got_waits_or_is_at_work() -> None:
    tally = StepTally()
    assert tally.waiting(could_do=2, samples=3) == 6
    with tally.sampling(3) as over, tally.working(), tally.working():
        assert tally.waiting(could_do=2, samples=3) == 4
        over()
        assert tally.waiting(could_do=2, samples=3) == 3
    assert tally.waiting(could_do=1, samples=3) == 3


def test_a_cell_that_is_left_before_it_has_all_its_samples_leaves_nothing_behind() -> None:
    tally = StepTally()
    try:
        with tally.sampling(3) as over:
            over()
            raise ValueError
    except ValueError:
        pass
    assert (tally.sampled, tally.samples_left, tally.waiting(could_do=0, samples=3)) == (0, 0, 0)
