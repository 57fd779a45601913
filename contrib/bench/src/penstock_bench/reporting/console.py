"""How a bench ends, and what it says beside its table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Protocol, TypeVar

import click

from penstock import ConfigError

__all__ = ["ExitCode", "announce", "rows_named", "verdict_of"]


class ExitCode(IntEnum):
    """How a bench ended."""

    REACHED = 0
    MISSED = 1
    UNAVAILABLE = 3
    """A competitor cannot be had. (2 is that of wrong options, for all commands.)"""


class Named(Protocol):
    """A row of a table that `--only` can name."""

    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=Named)


def announce(line: str) -> None:
    """Say a line on standard error, so that standard output is the table alone."""
    click.echo(line, err=True)


def verdict_of(missed: Iterable[str]) -> ExitCode:
    """The exit code of a check; what was missed is announced, each in its words."""
    code = ExitCode.REACHED
    for words in missed:
        announce(f"missed: {words}")
        code = ExitCode.MISSED
    return code


def rows_named(rows: Sequence[N], only: Sequence[str]) -> list[N]:
    """The rows whose names begin with one of `only`; all, if that is empty. Raises `ConfigError` if there are none."""
    chosen = [row for row in rows if not only or row.name.startswith(tuple(only))]
    if not chosen:
        raise ConfigError(
            f"--only: no row begins with {' or '.join(only)}; there are {', '.join(r.name for r in rows)}"
        )
    return chosen
