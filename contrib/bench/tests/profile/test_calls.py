"""What a call pays at the request gate that nobody competes with, in counts that are the same on every machine."""

from __future__ import annotations

import pytest

from penstock_bench.profile.calls import call_profiles
from penstock_bench.profile.opcodes import Profile


@pytest.fixture(scope="module")
def profiles() -> dict[str, Profile]:
    return call_profiles(20)


def calls_of(profile: Profile, name: str) -> float:
    return sum(place.calls for place in profile.places if place.name.split()[-1].endswith(name))


def test_each_call_has_one_lease(profiles: dict[str, Profile]) -> None:
    for profile in profiles.values():
        assert calls_of(profile, "RequestLeasing.open") == calls_of(profile, "RequestLeasing.close") == 1


def test_what_is_due_at_the_gate_is_not_set_anew_by_each_call(profiles: dict[str, Profile]) -> None:
    """The first use of a model has made something due, and no task has run since that could see to it."""
    for profile in profiles.values():
        assert calls_of(profile, "GateSteps.after") == 2
        assert calls_of(profile, "CancelScope._might_change_registered_deadline") == 0


def test_a_call_that_goes_well_copies_no_record_and_makes_no_group(profiles: dict[str, Profile]) -> None:
    profile = profiles["async with penstock.request"]

    assert calls_of(profile, "evolve") == 0
    assert not any("RequestGroupSpec" in place.name for place in profile.places)


def test_nothing_is_asked_of_what_stands_against_no_call(profiles: dict[str, Profile]) -> None:
    profile = profiles["async with penstock.request"]

    assert calls_of(profile, "Consequences.before_asking") == calls_of(profile, "RefusedAccounts.refusal") == 0
