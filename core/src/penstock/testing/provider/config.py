"""`ProviderLimits` from a plain table, as TOML gives it: strict, and with every error of the table at once.

Nothing is coerced: `"20"` is no number, `1` is no flag, and a key that is not known is an error. Only the
shapes that TOML has no word for are translated: arrays to tuples, `{from, to, over}` to a `Ramp`, `{mean,
sigma}` to `Latency`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from penstock.testing.provider.limits import LIMIT_RULES, Latency, ProviderLimits, Ramp, contradictions

__all__ = ["limits_from_mapping"]

_RAMP_IN_WORDS = re.compile(r"(\d+) to (\d+) linearly over (\d+(?:\.\d+)?) s")


def limits_from_mapping(table: object, where: str, problems: list[str]) -> ProviderLimits | None:
    """The limits that `table` states; `where` is its dotted path, put before each problem.

    Adds to `problems` and returns `None` if anything is wrong. Never raises.

    >>> problems = []
    >>> limits_from_mapping({"slots": 0, "rmp": 60}, "models.small", problems)
    >>> print(*problems, sep="\\n")
    models.small.rmp: unknown key; did you mean 'rpm'?
    models.small.slots: must be a whole number of at least 1, not 0
    """
    if not isinstance(table, Mapping):
        problems.append(f"{where}: must be a table, not {table!r}")
        return None
    found = [f"{where}.{key}: {_unknown(key)}" for key in table if key not in LIMIT_RULES]
    values: dict[str, Any] = {}
    for name, raw in table.items():
        if name not in LIMIT_RULES:
            continue
        if raw is None:
            found.append(f"{where}.{name}: must have a value; leave the key out for no limit")
            continue
        try:
            value = _TRANSLATE[name](raw) if name in _TRANSLATE else raw
        except ValueError as error:
            found.append(f"{where}.{name}: {error}")
            continue
        if problem := LIMIT_RULES[name](value):
            found.append(f"{where}.{name}: {problem}")
        values[name] = value
    found += [f"{where}.{name}: {problem}" for name, problem in contradictions(table)]
    if found:
        problems += found
        return None
    return ProviderLimits(**values)


def _unknown(key: object) -> str:
    near = difflib.get_close_matches(str(key), LIMIT_RULES, n=1)
    return f"unknown key; did you mean {near[0]!r}?" if near else f"unknown key; known are {', '.join(LIMIT_RULES)}"


def _table_of(raw: object, keys: tuple[str, ...], needed: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping) or set(raw) - set(keys) or set(needed) - set(raw):
        raise ValueError(f"must be a table of {', '.join(keys)}, not {raw!r}")
    return raw


def _latency(raw: object) -> Latency:
    return Latency(**_table_of(raw, ("mean", "sigma"), ("mean",)))


def _schedule(raw: object) -> object:
    if isinstance(raw, str):
        words = _RAMP_IN_WORDS.fullmatch(raw)
        if words is None:
            raise ValueError(f"must read like '2 to 32 linearly over 120 s', not {raw!r}")
        return Ramp(int(words[1]), int(words[2]), float(words[3]))
    if isinstance(raw, Mapping):
        ramp = _table_of(raw, ("from", "to", "over"), ("from", "to", "over"))
        return Ramp(ramp["from"], ramp["to"], ramp["over"])
    if isinstance(raw, list):
        return tuple(tuple(step) if isinstance(step, list) else step for step in raw)
    return raw


def _outage(raw: object) -> object:
    return tuple(raw) if isinstance(raw, list) else raw


_TRANSLATE = {"latency": _latency, "schedule": _schedule, "outage": _outage}
