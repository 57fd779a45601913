"""The vectors of an answer, each put to the text that it is of, or in one line why that cannot be. Pure.

An answer to several texts is taken whole or not at all: where it holds fewer vectors or more, or says of one that it is
of no text of the call, nobody can know which of the others have moved, and a vector beside the wrong text is worse than
none. A vector that is there and is none (a number missing, NaN) is the failure of its own text.
"""

from __future__ import annotations

import sys
from array import array
from base64 import b64decode
from collections.abc import Sequence
from math import isfinite
from typing import Any

from penstock_batch.words.amounts import counted

__all__ = ["NoVector", "vectors_of"]


class NoVector(ValueError):
    """What came in the place of a vector, or of all vectors of an answer, in one line."""


def vectors_of(vectors: Sequence[Any], places: Sequence[Any], texts: int) -> list[list[float] | NoVector]:
    """The vector of each of so many `texts`, in their order, or why there is none. `places` are the indexes that the
    answer gives them. Raises `NoVector` where it cannot be said whose the vectors are.

    >>> vectors_of([[1.0], [2.0]], [1, 0], 2)
    [[2.0], [1.0]]
    """
    if not vectors:
        raise NoVector("the answer holds no vector")
    if len(vectors) != texts:
        raise NoVector(f"the answer holds {counted(len(vectors), 'vector')} for {counted(texts, 'text')}")
    found = [_vector(value) for value in _in_order(vectors, places)]
    lengths = {len(vector) for vector in found if not isinstance(vector, NoVector)}
    if len(lengths) > 1:
        raise NoVector(f"the answer holds vectors of different lengths ({min(lengths):,} and {max(lengths):,})")
    return found


def _in_order(vectors: Sequence[Any], places: Sequence[Any]) -> Sequence[Any]:
    """The vectors in the order of their texts: by their indexes, or as they came where none has any."""
    if len(vectors) == 1 or all(place is None for place in places):
        return vectors
    by_place = {place: value for place, value in zip(places, vectors, strict=True) if type(place) is int}
    if by_place.keys() != set(range(len(vectors))):
        raise NoVector(f"the indexes of the answer are not those of its {counted(len(vectors), 'text')}, each once")
    return [by_place[place] for place in range(len(vectors))]


def _vector(value: Any) -> list[float] | NoVector:
    if isinstance(value, str):
        value = _unpacked(value)
    if not isinstance(value, list) or not value or not all(type(number) in (int, float) for number in value):
        return NoVector("the embedding is no list of numbers")
    try:
        finite = all(map(isfinite, value))
    except OverflowError:  # a whole number beyond all floats
        finite = False
    return value if finite else NoVector("the embedding holds a number that is none (NaN or infinite)")


def _unpacked(text: str) -> list[float] | None:
    """The numbers of a vector in base64: 32-bit floats, the lowest byte first, as OpenAI packs them."""
    floats = array("f")
    try:
        floats.frombytes(b64decode(text, validate=True))
    except ValueError:
        return None
    if sys.byteorder == "big":
        floats.byteswap()
    return floats.tolist()
