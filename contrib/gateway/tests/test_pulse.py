"""Which workers of a gateway hang."""

from __future__ import annotations

from penstock_gateway.pulse import MOST_MISSED, Pulse


def test_who_says_nothing_for_several_beats_hangs_and_is_named_once() -> None:
    pulse = Pulse()
    pulse.heard(1)
    pulse.heard(2)
    for _ in range(MOST_MISSED):
        assert pulse.beat() == []
        pulse.heard(2)
    assert pulse.beat() == [1]
    assert pulse.beat() == []


def test_who_speaks_again_has_all_its_beats_anew() -> None:
    pulse = Pulse()
    pulse.heard(1)
    for _ in range(3):
        for _ in range(MOST_MISSED):
            assert pulse.beat() == []
        pulse.heard(1)


def test_of_who_is_gone_nothing_is_expected() -> None:
    pulse = Pulse()
    pulse.gone(1)
    pulse.heard(1)
    pulse.gone(1)
    assert [pulse.beat() for _ in range(MOST_MISSED + 1)] == [[]] * (MOST_MISSED + 1)
