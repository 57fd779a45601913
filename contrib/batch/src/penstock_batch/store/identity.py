"""The identity of a run: the input's content and everything that decides what an answer says.

Limits, caps, plugins, timeouts, attempts, key variables and paths are left out on purpose: they decide when a call
goes out and where the file lies, not what comes back, and people change them between two starts of a long run. So is
the code of a Python step: only its name counts. Where calls go (`kind`, `base_url`) counts: answers of two endpoints
are not to be mixed unnoticed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penstock import Problem

__all__ = ["differences"]

_SHOWN = 60


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Problem]:
    """What differs, each at its path; empty if nothing does.

    >>> changed = differences({"steps": {"a": {"prompt": "Hi"}}}, {"steps": {"a": {"prompt": "Ho"}, "b": {}}})
    >>> list(map(str, changed))
    ["steps.a.prompt: was 'Hi', is 'Ho'", 'steps.b: is new']
    """
    return list(_differences(before, now))


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Problem]:
    for name in dict.fromkeys([*before, *now]):
        if name not in now:
            yield Problem((name,), "is gone")
        elif name not in before:
            yield Problem((name,), "is new")
        elif isinstance(before[name], Mapping) and isinstance(now[name], Mapping):
            yield from (change.below(name) for change in _differences(before[name], now[name]))
        elif before[name] != now[name]:
            yield Problem((name,), f"was {_apart(before[name], now[name])}, is {_apart(now[name], before[name])}")


def _apart(value: object, other: object) -> str:
    """An excerpt of `value`, from shortly before its first difference from `other`."""
    if not isinstance(value, str) or not isinstance(other, str) or len(value) <= _SHOWN:
        shown = repr(value)
        return shown if len(shown) <= 2 * _SHOWN else f"{shown[: 2 * _SHOWN]}…"
    same = next((i for i, (a, b) in enumerate(zip(value, other, strict=False)) if a != b), min(len(value), len(other)))
    begin = max(0, min(same - _SHOWN // 3, len(value) - _SHOWN))
    return f"{'…' * (begin > 0)}{value[begin : begin + _SHOWN]!r}{'…' * (begin + _SHOWN < len(value))}"
