"""What is said of an environment variable that a configuration names. Pure.

It happens that a key itself stands where the name of its variable should: what does not look like a name is not shown.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["not_set"]

_NAME: Final = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")


def not_set(variable: str) -> str:
    """What is wrong with naming a variable that is not set.

    >>> not_set("OPENAI_API_KEY")
    'names OPENAI_API_KEY, which is not set'
    >>> not_set("sk-0123456789")
    'must name an environment variable, such as OPENAI_API_KEY, and names none that is set'
    """
    if _NAME.fullmatch(variable):
        return f"names {variable}, which is not set"
    return "must name an environment variable, such as OPENAI_API_KEY, and names none that is set"
