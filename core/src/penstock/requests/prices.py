"""What a call costs, by prices that a user gives: Penstock knows none, since they change. Pure."""

from __future__ import annotations

import attrs

from penstock.requests.verdict import Usage
from penstock.words.errors import ConfigError

__all__ = ["Prices"]

PER: float = 1_000_000.0


@attrs.frozen(kw_only=True)
class Prices:
    """The prices of one model, each for a million tokens, in whatever currency. Raises `ConfigError` for less than 0.

    What is read from a cache or written to one costs as other input does, unless it has a price of its own.

    >>> Prices(input=3.0, output=15.0, cache_read=0.3).cost(Usage(11_000, 500, cache_read_tokens=10_000))
    0.0135
    """

    input: float = attrs.field(default=0.0)
    output: float = attrs.field(default=0.0)
    cache_read: float | None = None
    cache_write: float | None = None

    def __attrs_post_init__(self) -> None:
        for name, price in attrs.asdict(self).items():
            if price is not None and (
                isinstance(price, bool) or not isinstance(price, int | float) or not 0 <= price < 1e12
            ):
                raise ConfigError(f"{name} must be a price for a million tokens, from 0 on, not {price!r}")

    def cost(self, usage: Usage | None, domain: str = "chat") -> float | None:
        """The cost of a call of this domain with this usage; `None` where too little was reported to know it.

        >>> Prices(input=0.1).cost(Usage(input_tokens=20_000), "embedding")
        0.002
        """
        if usage is None or usage.input_tokens is None:
            return None
        written_out = 0 if usage.output_tokens is None and domain == "embedding" else usage.output_tokens
        if written_out is None:
            return None
        read, written = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0
        fresh = usage.input_tokens - read - written
        whole = (
            fresh * self.input
            + read * (self.input if self.cache_read is None else self.cache_read)
            + written * (self.input if self.cache_write is None else self.cache_write)
            + written_out * self.output
        )
        return whole / PER

    def estimate(self, input_tokens: int, output_tokens: int) -> float:
        """The cost of a call that is to use so many tokens, of which none is read from a cache.

        >>> Prices(input=3.0, output=15.0).estimate(1_000, 100)
        0.0045
        """
        return (input_tokens * self.input + output_tokens * self.output) / PER
