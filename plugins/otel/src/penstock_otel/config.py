"""`[plugins.otel]`: what may be a label beside what the configuration names anyway."""

from __future__ import annotations

import re
from typing import Any, Final

import attrs

from penstock import ConfigError, Problem

__all__ = ["MOST_LABELS", "MOST_VALUES", "OtelConfig"]

MOST_LABELS: Final = 8
"""How many labels of one's own there may be: as many as a task or a call may have."""

MOST_VALUES: Final = 1_000
"""How many groups, and how many values of a label of one's own, may be listed."""

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*", re.ASCII)


def _few_names(_: object, attribute: attrs.Attribute[Any], value: list[str]) -> None:
    if problem := _wrong_with(value):
        raise ConfigError(Problem((attribute.name,), problem))


def _own_labels(_: object, attribute: attrs.Attribute[Any], value: dict[str, list[str]]) -> None:
    problems: list[Problem] = []
    if len(value) > MOST_LABELS:
        problems.append(Problem((attribute.name,), f"must be at most {MOST_LABELS}, not {len(value)}"))
    as_shown: dict[str, str] = {}
    for name, values in value.items():
        path = (attribute.name, name)
        same = as_shown.setdefault(re.sub(r"[^a-z0-9]", "_", name.lower()), name)
        if not _NAME.fullmatch(name):
            problems.append(Problem(path, "must begin with a letter, and have letters, digits, '_', '.' and '-' alone"))
        elif same != name:
            problems.append(Problem(path, f"cannot be told from {same!r} where punctuation is lost, as in Prometheus"))
        if problem := _wrong_with(values):
            problems.append(Problem(path, problem))
    if problems:
        raise ConfigError(problems)


def _wrong_with(names: list[str]) -> str | None:
    if len(names) > MOST_VALUES:
        return f"must list at most {MOST_VALUES:,} values, not {len(names):,}: each makes series of its own"
    if "" in names:
        return "holds an empty name"
    return None


@attrs.frozen(kw_only=True)
class OtelConfig:
    """`[plugins.otel]`.

    `groups`        the tenants, or columns, that are shown by name; without any, no series says whom it is for
    `labels`        a label that tasks and calls bear, to those of its values that are shown
    `model_labels`  a model id, as the provider knows it, to the name that it is shown under, where `[providers]` has
                    none or another
    `domains`       kinds of call that no configuration names

    Whatever is on no list is `other`. Raises `ConfigError`.
    """

    groups: list[str] = attrs.field(factory=list, validator=_few_names)
    labels: dict[str, list[str]] = attrs.field(factory=dict, validator=_own_labels)
    model_labels: dict[str, str] = attrs.field(factory=dict)
    domains: list[str] = attrs.field(factory=list)
