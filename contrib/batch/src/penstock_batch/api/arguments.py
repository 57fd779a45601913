"""The arguments of `run`, looked at before anything else: each that is not what it must be is named, with what is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, get_args

from penstock import ConfigError, value_in_words
from penstock_batch.running.progress import ProgressKind

__all__ = ["check_arguments"]

_A_PATH: Final = "a path"
_STANDARD: Final = frozenset(("-", "/dev/stdout"))


def check_arguments(
    pipeline: object,
    *,
    store: object,
    output: object,
    limit: object,
    overwrite: object,
    plugins: object,
    progress: object,
) -> None:
    """Raises `ConfigError`, which names every argument that is wrong."""
    problems = [
        *_not_a_path("pipeline", pipeline, "a path, or a mapping of tables", also=Mapping),
        *_not_a_path("store", store, "a path, or None", also=type(None)),
        *_not_a_path("output", output, "a path, or None", also=type(None)),
    ]
    if isinstance(output, str | Path) and str(output) in _STANDARD:
        problems.append(f"output cannot be standard output ({str(output)!r}): print the rows as they come")
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        problems.append(f"limit must be a whole number, at least 1, or None for all rows, not {value_in_words(limit)}")
    if not isinstance(overwrite, bool):
        problems.append(f"overwrite must be True or False, not {value_in_words(overwrite)}")
    if not isinstance(plugins, Sequence) or isinstance(plugins, str | bytes):
        problems.append(f"plugins must be a list of paths, not {value_in_words(plugins)}")
    else:
        for number, each in enumerate(plugins):
            problems += _not_a_path(f"plugins[{number}]", each, _A_PATH)
    if progress not in (kinds := get_args(ProgressKind)):
        problems.append(f"progress must be one of {', '.join(kinds)}, not {value_in_words(progress)}")
    if problems:
        raise ConfigError(problems)


def _not_a_path(name: str, value: object, right: str, also: type = str) -> Iterator[str]:
    if not isinstance(value, str | os.PathLike | also):
        yield f"{name} must be {right}, not {value_in_words(value)}"
