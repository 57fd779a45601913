"""What those who write rules and limiters make by hand: each honest mistake is one error, which names the argument."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan
from typing import Any

import attrs
import pytest

from penstock import (
    NEVER,
    At,
    Backlog,
    ConfigError,
    Denied,
    LimiterChange,
    LimiterSnapshot,
    ProviderKey,
    ProviderModelKey,
    ProviderModelStaticCap,
    Released,
    RequestCost,
    RequestGroupSpec,
    RequestReleaseOutcome,
    RequestResourceKey,
    Signal,
    TaskGroupKey,
    TaskGroupSpec,
    Uncontested,
    Usage,
)


class OwnText(str):
    """Text that cannot be compared."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        raise ValueError(other)


class OwnKey:
    """Equal to others of its kind, and an error beside anything else."""

    name = "x"

    def __hash__(self) -> int:
        return hash(self.name)

    def __eq__(self, other: Any) -> bool:
        return bool(self.name == other.name)


MISTAKES: dict[str, object] = {
    "none": None,
    "text": "x",
    "empty": "",
    "bytes": b"x",
    "negative": -1,
    "zero": 0,
    "fraction": 1.5,
    "nan": nan,
    "infinite": inf,
    "true": True,
    "list": ["x"],
    "object": object(),
    "condition": Signal("y"),
    "own text": OwnText("x"),
    "own key": OwnKey(),
    "half a character": "\ud800",
}

ANY_KEY = frozenset(MISTAKES) - {
    "none", "empty", "bytes", "nan", "list", "own text", "own key", "half a character",
}  # fmt: skip
"""A condition may be about anything that can be looked up and written."""
MOMENT = frozenset({"negative", "zero", "fraction", "infinite"})
FIGURE = frozenset({"none", "zero", "fraction"})
TEXT = frozenset({"text", "empty", "half a character"})
NAME = frozenset({"text"})


@attrs.frozen
class Argument:
    """An argument of a constructor, the name that errors have for it, and which of `MISTAKES` are none there."""

    make: Callable[..., object]
    name: str
    right: frozenset[str] = frozenset()
    given: dict[str, object] = attrs.field(factory=dict)
    called: str = ""

    def __str__(self) -> str:
        return f"{getattr(self.make, '__qualname__', self.make)}({self.name})"


REFUSAL: dict[str, object] = {"reason": "policy_denial", "until": {NEVER}}
CHANGE: dict[str, object] = {"kind": "request_limit_increased"}
GROUP: dict[str, object] = {"key": TaskGroupKey("local", ("x",))}
MODEL: dict[str, object] = {"provider_name": "acme", "model_id": "small"}
RESOURCE: dict[str, object] = {**MODEL, "domain": "chat"}

ARGUMENTS = [
    *(Argument(kind, "key", ANY_KEY) for kind in (Released, Backlog, Uncontested)),
    Argument(At, "moment", MOMENT),
    Argument(Signal, "name", NAME),
    Argument(Denied, "reason", given=REFUSAL),
    Argument(Denied, "until", given=REFUSAL),
    Argument(Denied, "scope", given=REFUSAL),
    Argument(Denied, "detail", TEXT, REFUSAL),
    Argument(Denied, "diagnostics", given=REFUSAL),
    Argument(Denied, "cohort", ANY_KEY | {"none"}, REFUSAL),
    Argument(Denied, "amount", given=REFUSAL),
    Argument(Denied, "by", TEXT, REFUSAL),
    Argument(Denied, "failed_at", MOMENT | {"none"}, REFUSAL),
    Argument(ProviderKey, "provider_name", NAME),
    *(Argument(ProviderModelKey, name, NAME, MODEL) for name in MODEL),
    *(Argument(RequestResourceKey, name, NAME, RESOURCE) for name in RESOURCE),
    Argument(ProviderModelStaticCap, "cap"),
    Argument(ProviderModelStaticCap, "raw_caps", given={"cap": 1}),
    Argument(RequestCost, "requests"),
    Argument(RequestCost, "input_tokens", frozenset({"zero"})),
    Argument(RequestCost, "output_tokens", frozenset({"zero"})),
    Argument(Usage, "input_tokens", frozenset({"zero", "none"})),
    Argument(Usage, "output_tokens", frozenset({"zero", "none"})),
    Argument(RequestGroupSpec, "key", ANY_KEY),
    Argument(RequestGroupSpec, "weight", frozenset({"fraction"}), {"key": "x"}),
    Argument(TaskGroupKey, "kind", NAME, {"identity": ("x",)}),
    Argument(TaskGroupKey, "identity", given={"kind": "local"}),
    Argument(TaskGroupSpec, "key"),
    Argument(TaskGroupSpec, "weight", frozenset({"fraction"}), GROUP),
    Argument(TaskGroupSpec, "admitted_limit", frozenset({"none"}), GROUP),
    Argument(TaskGroupSpec, "calls", given=GROUP),
    Argument(TaskGroupSpec.named, "name", NAME, called="identity"),
    Argument(RequestReleaseOutcome, "kind"),
    Argument(RequestReleaseOutcome, "went_out", frozenset({"true"}), {"kind": "success"}),
    Argument(RequestReleaseOutcome, "limited_by", frozenset({"none"}), {"kind": "success"}),
    Argument(RequestReleaseOutcome, "retry_after_seconds", FIGURE, {"kind": "success"}),
    Argument(LimiterChange, "kind"),
    Argument(LimiterChange, "before", FIGURE, CHANGE),
    Argument(LimiterChange, "after", FIGURE, CHANGE),
    Argument(LimiterChange, "detail", TEXT, CHANGE),
    Argument(LimiterChange, "blocked_until", MOMENT | {"none"}, CHANGE),
    Argument(LimiterSnapshot, "current_limit", FIGURE),
    Argument(LimiterSnapshot, "effective_max", FIGURE),
    Argument(LimiterSnapshot, "blocked_until", MOMENT | {"none"}),
    Argument(LimiterSnapshot, "rate_limit_ceiling", FIGURE),
    Argument(LimiterSnapshot, "consecutive_rate_limits", FIGURE),
    Argument(LimiterSnapshot, "details"),
]


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("argument", ARGUMENTS, ids=str)
def test_what_is_wrong_is_an_error_that_names_the_argument(argument: Argument, mistake: str) -> None:
    given = {**argument.given, argument.name: MISTAKES[mistake]}
    if mistake in argument.right:
        argument.make(**given)
        return
    with pytest.raises(ConfigError) as caught:
        argument.make(**given)
    assert (argument.called or argument.name) in str(caught.value)


@pytest.mark.parametrize(
    ("swapped", "argument"),
    [
        (lambda: Denied({NEVER}, "policy_denial"), "until"),  # type: ignore[arg-type]
        (lambda: RequestGroupSpec(2.0, "tenant"), "weight"),  # type: ignore[arg-type]
        (lambda: TaskGroupSpec.named("tenant", calls=("acme/small",)), "calls"),  # type: ignore[arg-type]
        (lambda: TaskGroupKey(("local", "x"), "local"), "kind"),  # type: ignore[arg-type]
        (lambda: At(Signal("go")), "moment"),  # type: ignore[arg-type]
    ],
)
def test_arguments_in_the_wrong_order_are_told_apart(swapped: Callable[[], Any], argument: str) -> None:
    with pytest.raises(ConfigError, match=argument):
        swapped()


def test_a_single_condition_is_shown_as_the_set_that_it_should_be() -> None:
    with pytest.raises(ConfigError) as caught:
        Denied("policy_denial", Signal("y"))  # type: ignore[arg-type]
    assert str(caught.value) == "until must be a set of conditions: write {Signal(name='y')}"


@pytest.mark.parametrize("error", [SystemExit, ZeroDivisionError, GeneratorExit])
def test_a_value_that_cannot_be_shown_is_a_mistake_like_any_other(error: type[BaseException]) -> None:
    class Unspeakable:
        def __repr__(self) -> str:
            raise error

    with pytest.raises(ConfigError, match="not Unspeakable value that cannot be shown"):
        RequestCost(Unspeakable())  # type: ignore[arg-type]
