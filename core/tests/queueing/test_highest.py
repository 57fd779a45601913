"""The highest figure by name, with a bound on names."""

from __future__ import annotations

from penstock.queueing.highest import KEPT, HighestByName


def test_the_highest_figure_of_a_name_is_kept() -> None:
    seen = HighestByName()
    for figure in (2, 5, 3):
        assert seen.note("a", figure) == figure
    assert (seen.figures, seen.forgot) == ({"a": 5}, False)


def test_of_too_many_names_those_with_the_highest_figures_are_kept_and_it_is_said() -> None:
    seen = HighestByName()
    for name in range(KEPT):
        seen.note(name, name + 1)
    said = [seen.forgot]
    for name in range(KEPT, 20 * KEPT):
        seen.note(name, 1 + name % 7)
    seen.note("late", 10 * KEPT)

    assert [*said, seen.forgot] == [False, True]
    assert len(seen.figures) <= KEPT
    assert {"late", *range(KEPT // 2, KEPT)} <= seen.figures.keys()


def test_a_copy_goes_its_own_way() -> None:
    seen = HighestByName()
    seen.note("a", 1)
    other = seen.copy()
    other.note("a", 2)
    assert (seen.figures, other.figures) == ({"a": 1}, {"a": 2})
