"""What a refusal has to say, and what is held against a plugin that says it wrongly."""

from __future__ import annotations

import pytest

from penstock import NEVER, TASK_REASONS, At, Denied, PluginError, Signal, check_denied


def checked(denied: object, now: float = 5.0) -> Denied:
    return check_denied(denied, by="rule", now=now, reasons=TASK_REASONS)


def test_the_earliest_of_several_moments_is_the_next() -> None:
    assert Denied("policy_denial", {At(9.0), At(7.0), Signal("go")}).next_moment() == 7.0
    assert Denied("policy_denial", {Signal("go")}).next_moment() is None


@pytest.mark.parametrize("moment", [4.0, 5.0])
def test_a_moment_that_is_not_in_the_future_ends_nothing(moment: float) -> None:
    with pytest.raises(PluginError):
        checked(Denied("policy_denial", {At(moment)}))


def test_a_moment_is_looked_at_each_time_though_the_answer_is_the_same() -> None:
    denied = Denied("policy_denial", {At(6.0)})
    assert checked(denied) is denied
    with pytest.raises(PluginError):
        checked(denied, now=6.0)


@pytest.mark.parametrize(
    "wrong",
    [
        "no",
        Denied("cooldown", {NEVER}),
        Denied("policy_denial", ()),
        Denied("policy_denial", {NEVER, Signal("go")}),
    ],
    ids=["no refusal", "reason of the other gate", "until nothing", "never and more"],
)
def test_an_answer_that_is_no_proper_refusal_names_the_plugin(wrong: object) -> None:
    with pytest.raises(PluginError) as caught:
        checked(wrong)
    assert caught.value.plugin == "rule"


def test_who_refused_is_noted_unless_it_is_known() -> None:
    assert checked(Denied("policy_denial", {NEVER})).by == "rule"
    assert checked(Denied("policy_denial", {NEVER}, by="other")).by == "other"
