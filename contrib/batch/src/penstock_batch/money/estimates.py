"""What a call may cost at most, before it goes out. Pure.

Its input is in our hands, but counted in tokens by the provider: so many bytes of text count as one token that too
few are counted hardly ever, until answers have shown how many it really is; then the most that was seen counts. Its
output is `max_tokens` at most where the call says so, else 1.5 times the largest answer of the step so far. Where
there is neither, nobody can know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from penstock import Usage
from penstock_dialects import Prices

__all__ = ["Estimates", "Most", "most_output", "text_bytes"]

BYTES_PER_TOKEN: Final = 3.0
"""Of text, before any answer has told. English has some four, other languages fewer."""

FILE_BYTES: Final = 6_000
"""For which an image or a file within a call counts, whatever its size: providers count it by other measures."""

MARGIN: Final = 1.5
"""By how much more than the largest so far an answer may hold."""


@attrs.frozen
class Most:
    """What a call may cost at most. `bounded` is false where nothing bounds its output, which is left out then."""

    cost: float
    bounded: bool = True

    @property
    def free(self) -> bool:
        """Whether the call costs nothing, however long its answer is."""
        return self.bounded and self.cost <= 0


def most_output(params: Mapping[str, Any]) -> int | None:
    """The most tokens that an answer may have, by the parameters of its call; `None` where they do not say."""
    most = params.get("max_completion_tokens", params.get("max_tokens"))
    return most if isinstance(most, int) and not isinstance(most, bool) and most > 0 else None


def text_bytes(body: object) -> int:
    """The bytes of text in a call, whatever it consists of; a `data:` URL counts as one file.

    >>> text_bytes({"messages": [{"role": "user", "content": "Hello"}]})
    9
    """
    return sum(_bytes(body))


def _bytes(value: object) -> Iterator[int]:
    if isinstance(value, str):
        yield FILE_BYTES if value.startswith("data:") else len(value.encode(errors="surrogatepass"))
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield len(str(name)) if name not in _FRAME else 0
            yield from _bytes(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _bytes(each)


_FRAME: Final = frozenset({"model", "messages", "role", "content", "input", "type", "text"})


class Estimates:
    """What earlier answers tell of calls to come, by step and model."""

    def __init__(self) -> None:
        self._largest: dict[str, int] = {}
        self._tokens_per_byte: dict[str, float] = {}

    def note(self, step: str, model: str, size: int, usage: Usage) -> None:
        """Note what a call of `size` bytes of text used."""
        if usage.output_tokens is not None:
            self.note_output(step, usage.output_tokens)
        if usage.input_tokens is not None and size > 0:
            self._tokens_per_byte[model] = max(usage.input_tokens / size, self._tokens_per_byte.get(model, 0.0))

    def note_output(self, step: str, tokens: int) -> None:
        """Note how large an answer of a step was, which may be one of an earlier run."""
        self._largest[step] = max(tokens, self._largest.get(step, 0))

    def output(self, step: str, params: Mapping[str, Any]) -> int | None:
        """The most tokens that an answer to a call of this step is taken to have; `None` where nothing tells."""
        most = most_output(params)
        if most is not None:
            return most
        largest = self._largest.get(step)
        return None if largest is None else round(largest * MARGIN)

    def input(self, model: str, size: int) -> int:
        """The tokens that so many bytes of text are taken to be."""
        return round(size * self._tokens_per_byte.get(model, 1 / BYTES_PER_TOKEN)) + 1

    def most(self, step: str, kind: str, model: str, prices: Prices, size: int, params: Mapping[str, Any]) -> Most:
        """What a call may cost, whose body has `size` bytes of text."""
        output = 0 if kind == "embedding" else self.output(step, params)
        # Nobody knows before what is read from a cache or written to one: the dearest of the three is the most.
        dearest = max(prices.input, prices.cache_write or 0.0)
        tokens = Usage(self.input(model, size), output or 0)
        cost = Prices(input=dearest, output=prices.output).cost(tokens)
        assert cost is not None, "both figures are given"
        return Most(cost, output is not None or prices.output == 0)
