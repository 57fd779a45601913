"""What a dialect's own functions and words say of a refusal, and then the tables of all.

They may be a third party's, and what they are asked about is whatever a provider sends. Where one raises, or
gives what is none, the refusal is judged without it, and the fault is told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import attrs

from penstock import ErrorFields, Verdict
from penstock_dialects.dialects import Dialect
from penstock_dialects.refusals import Refusal, judge

__all__ = ["judged"]

T = TypeVar("T")


def judged(dialect: Dialect, refusal: Refusal) -> tuple[Verdict, str]:
    """The verdict on a refusal, and what the dialect's functions did wrong; empty if nothing."""
    faults: list[str] = []

    def ask(name: str, function: Callable[..., Any] | None, of: tuple[Any, ...], kind: type[T]) -> T | None:
        try:
            found = None if function is None else function(*of)
        except Exception as error:
            faults.append(f"{name} of the dialect {dialect.name!r} raised {type(error).__name__}")
            return None
        if found is None or isinstance(found, kind):
            return found
        faults.append(f"{name} of the dialect {dialect.name!r} must give {kind.__name__}, not {type(found).__name__}")
        return None

    error = ask("error", dialect.error, (refusal.headers, refusal.error), ErrorFields)
    if error is not None:
        refusal = attrs.evolve(refusal, error=error)
    found = ask("judge", dialect.judge, (refusal,), Verdict) or ask("words", judge, (refusal, dialect.words), Verdict)
    return found or judge(refusal), "; ".join(faults)
