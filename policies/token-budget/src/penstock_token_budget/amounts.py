"""What calls count for, in each dimension."""

from __future__ import annotations

from collections.abc import Mapping

from penstock import RequestCost

__all__ = ["Amounts"]


class Amounts:
    """What a call counts for, or what many have counted for, in each dimension."""

    __slots__ = ("input_tokens", "output_tokens", "requests")

    def __init__(self, requests: float = 0.0, input_tokens: float = 0.0, output_tokens: float = 0.0) -> None:
        self.requests = requests
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens

    def __repr__(self) -> str:
        return f"Amounts({self.requests:g}, {self.input_tokens:g}, {self.output_tokens:g})"

    @property
    def nothing(self) -> bool:
        """Whether it is none, in any dimension."""
        return not (self.requests or self.input_tokens or self.output_tokens)

    def copy(self) -> Amounts:
        """The same, to be kept as it is now."""
        return Amounts(self.requests, self.input_tokens, self.output_tokens)

    def of(self, dimension: str) -> float:
        """The amount in one dimension."""
        if dimension == "tokens":
            return self.input_tokens + self.output_tokens
        if dimension == "requests":
            return self.requests
        return self.input_tokens if dimension == "input_tokens" else self.output_tokens

    def add(self, estimate: RequestCost) -> None:
        """So much more."""
        self.requests += estimate.requests
        self.input_tokens += estimate.input_tokens
        self.output_tokens += estimate.output_tokens

    def subtract(self, estimate: RequestCost) -> None:
        """So much less."""
        self.requests -= estimate.requests
        self.input_tokens -= estimate.input_tokens
        self.output_tokens -= estimate.output_tokens

    def correct(self, estimate: RequestCost, used: Mapping[str, float]) -> None:
        """So much was used where so much was estimated."""
        self.requests += used["requests"] - estimate.requests
        self.input_tokens += used["input_tokens"] - estimate.input_tokens
        self.output_tokens += used["output_tokens"] - estimate.output_tokens
