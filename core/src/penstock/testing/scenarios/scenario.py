"""The records of a scenario: providers with a true capacity, what a client asks of them, and what must be reached.

Plain records, made by `config.py` from a file and used by `run.py`. Seconds are those of the virtual clock,
counted from the scenario's start, at which all calls are ready.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any, Literal

from attrs import Attribute, field, frozen

from penstock.testing.provider.limits import ProviderLimits
from penstock.words.validators import number_above, number_from, whole_number_from

__all__ = [
    "AGAINST_ALONE",
    "AT_LEAST",
    "AT_MOST",
    "Bound",
    "LargeCalls",
    "QuietStart",
    "Scenario",
    "Tenant",
    "TokenSizes",
]

AGAINST_ALONE = "_against_alone"
"""The end of a figure's name, after a provider's: how that provider fares beside the others."""

AT_LEAST = frozenset({"goodput", "recovered", "fairness"})
AT_MOST = frozenset(
    {
        "ratio",
        "refused",
        "refusals",
        "large_refusals",
        "against_without",
        "unended",
        "sent_after_third",
        "p50_wait",
        "p95_wait",
        "within",
        "lost",
        "probes_per_cooldown",
        "within_seconds",
        "p95_latency_ratio",
        "share_error",
        "limit_falls",
        "leases_left",
        "in_flight",
    }
)
"""The figures that a file may bound, and which side of the bound is good. A pair of numbers bounds both sides of
any."""


@frozen
class Bound:
    """The bound of one figure: at `least`, at `most`, or between the two."""

    figure: str
    least: float | None = None
    most: float | None = None

    @property
    def words(self) -> str:
        """The bound, for a table."""
        if self.least is None:
            return f"≤ {self.most:g}"
        return f"≥ {self.least:g}" if self.most is None else f"{self.least:g} to {self.most:g}"

    def missed_by(self, value: float) -> float:
        """The distance of `value` beyond the bound; 0 if it is met."""
        below = 0.0 if self.least is None else self.least - value
        above = 0.0 if self.most is None else value - self.most
        return max(below, above, 0.0)

    def worst(self, values: tuple[float, ...]) -> float:
        """The value that is furthest on the wrong side of the bound, or nearest to it."""

        def badness(value: float) -> float:
            sides = ([] if self.least is None else [self.least - value]) + (
                [] if self.most is None else [value - self.most]
            )
            return max(sides)

        return max(values, key=badness)


@frozen
class Tenant:
    """A tenant that shares the provider by `weight`, with so many `calls`."""

    weight: float = field(validator=number_above(0))
    calls: int = field(validator=whole_number_from(1))


@frozen
class QuietStart:
    """The calls before all others: so many `calls`, one `every` so many seconds; an `every` after the last the others
    are ready, and from there on time is measured.
    """

    calls: int = field(validator=whole_number_from(1))
    every: float = field(validator=number_above(0))

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.calls * self.every


@frozen
class LargeCalls:
    """The calls that are too large for the provider: so many `calls` of so many `tokens` each, of a group of their own,
    ready from second `at` on and not counted with the others.
    """

    calls: int = field(validator=whole_number_from(1))
    tokens: int = field(validator=whole_number_from(1))
    at: float = field(default=0.0, validator=number_from(0))


@frozen
class TokenSizes:
    """The distribution of the tokens of calls: log-normal with this `mean` and `sigma` (of the underlying normal).

    The client's estimate is the truth times a factor within `error`; its logarithm is uniform, so that half and
    double are equally likely.
    """

    mean: float = field(validator=number_above(0))
    sigma: float = field(default=0.0, validator=number_from(0))
    error: tuple[float, float] = field(default=(1.0, 1.0), metadata={"key": "estimate_error"})

    @error.validator
    def _two_factors(self, _: Attribute[Any], value: tuple[float, float]) -> None:
        smallest, largest = value
        if not 0 < smallest <= largest:
            raise ValueError(f"error must be [smallest, largest factor], both above 0, not {list(value)}")

    def draw(self, rng: random.Random) -> tuple[int, int]:
        """The estimated and the true tokens of one call."""
        true = max(1, round(rng.lognormvariate(math.log(self.mean) - self.sigma**2 / 2, self.sigma)))
        smallest, largest = map(math.log, self.error)
        return max(1, round(true * math.exp(rng.uniform(smallest, largest)))), true


@frozen(kw_only=True)
class Scenario:
    """A scenario.

    - `providers`, `caps`: by name, the true limits, and the cap that the client is configured with.
    - `calls`: to each provider, or what the tenants' calls come to.
    - `stack`: plugins, beyond those of the default stack; `plugins`: their tables in the configuration.
    - `quiet`: what goes before the `calls`, and counts in no figure of time.
    - `large`: what goes beside the `calls` and never succeeds.
    - `ideal`: seconds that the calls take at best; `"capacity"`: as long as the true capacity needs for them;
      `"work"`: the same, with the latencies that these calls had instead of their mean; with
      `ideal_tokens_per_second`: as long as their true tokens take at that rate.
    - `client_timeout`: seconds after which the client gives a call up, and makes it again.
    - `after_seconds`: the settling time after each change of the capacity, for the figure `within`.
    - `must`: the bounds of figures.
    """

    name: str
    providers: Mapping[str, ProviderLimits]
    caps: Mapping[str, int]
    calls: int
    stack: tuple[str, ...] = ()
    plugins: Mapping[str, Mapping[str, Any]] = field(factory=dict)
    quiet: QuietStart | None = None
    large: LargeCalls | None = None
    tokens: TokenSizes | None = None
    tenants: Mapping[str, Tenant] = field(factory=dict)
    client_timeout: float | None = None
    ideal: float | Literal["capacity", "work"] = "capacity"
    ideal_tokens_per_second: float | None = None
    after_seconds: float = 0.0
    must: tuple[Bound, ...] = ()

    @property
    def compared(self) -> tuple[str, ...]:
        """The providers whose figures beside the others are compared with those alone."""
        names = (bound.figure.removesuffix(AGAINST_ALONE) for bound in self.must if _is_comparison(bound.figure))
        return tuple(names)

    @property
    def gives_up(self) -> bool:
        """Whether some calls are to be given up; where not, one that fails for good is an error."""
        return self.large is not None or any(limits.quota is not None for limits in self.providers.values())

    @property
    def judged(self) -> tuple[str, ...]:
        """The providers that the figures are about: those that are compared, or all."""
        return self.compared or tuple(self.providers)

    def bound(self, figure: str) -> Bound | None:
        """The bound of a figure, if it has one."""
        return next((bound for bound in self.must if bound.figure == figure), None)


def _is_comparison(figure: str) -> bool:
    return figure.endswith(AGAINST_ALONE)
