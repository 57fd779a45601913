"""Where a cycle goes, in counts that are the same on every machine."""

from __future__ import annotations

from collections.abc import Callable

from click.testing import Result

from penstock_bench.dispatch.cells import gate_with_capped, gate_with_short_shapes
from penstock_bench.dispatch.workloads import all_fits, window
from penstock_bench.profile.opcodes import Profile, count, cycles_beside, cycles_of, profile_text


def short() -> int:
    return 1


def long() -> int:
    return short() + short() + short()


def calls_of(profile: Profile, name: str) -> float:
    return sum(place.calls for place in profile.places if place.name.endswith(f" {name}"))


def test_calls_are_counted_for_each_cycle() -> None:
    profile = count(lambda: [long() for _ in range(10)], 10)

    assert calls_of(profile, "long") == 1
    assert calls_of(profile, "short") == 3


def test_the_largest_place_comes_first_and_is_counted_without_what_it_calls() -> None:
    profile = count(long, 1)

    assert [place.name.split()[-1] for place in profile.places] == ["long", "short"]
    assert profile.opcodes == sum(place.opcodes for place in profile.places)


def test_a_dispatch_cycle_admits_and_releases_once() -> None:
    for workload in (all_fits(4, 100), window(4, 400)):
        profile = cycles_of(workload, 70, 20)

        for method in ("TaskGate.next", "LaneQueue.take", "TaskAdmissionController.take_back"):
            assert calls_of(profile, method) == 1, method


def test_a_cycle_costs_the_same_beside_ten_that_wait_and_beside_ten_thousand() -> None:
    few, many = (cycles_beside(gate_with_capped(groups), 20, 50).opcodes for groups in (10, 10_000))

    assert many < 1.02 * few


def test_a_cycle_costs_at_most_twice_as_much_with_a_hundred_shapes_without_room_as_with_one() -> None:
    one, hundred = (cycles_beside(gate_with_short_shapes(shapes), 20, 50).opcodes for shapes in (1, 100))

    assert hundred < 2 * one


def test_the_sums_stand_above_the_table() -> None:
    text = profile_text("a cycle", Profile([]), 5)

    assert text.startswith("a cycle: 0 bytecodes and 0.0 calls a cycle")


def test_the_command_prints_a_profile_of_each_workload(bench: Callable[..., Result]) -> None:
    result = bench("profile", "--cycles", "20", "--places", "3")

    assert result.exit_code == 0
    assert result.output.count(" bytecodes and ") == 10
    assert "256 groups" in result.output
