"""The Python step of the example: what a search over the docstrings would keep of each."""

from __future__ import annotations

import math
import re


def card(name: str, summary: str, keywords: dict[str, list[str]], vector: list[float]) -> dict[str, object]:
    """One entry: the words to be found by, how long the summary is, and the place where the vector is largest."""
    largest = max(range(len(vector)), key=lambda place: abs(vector[place]))
    return {
        "title": name.rpartition(".")[2],
        "module": name.rpartition(".")[0],
        "words": keywords["words"],
        "length": len(re.findall(r"\w+", summary)),
        "norm": round(math.sqrt(sum(x * x for x in vector)), 3),
        "leaning": largest,
    }
