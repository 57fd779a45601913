"""What a plugin says of a TOML file that is its own."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

__all__ = ["FileCheck"]


def _lines(value: Iterable[str]) -> tuple[str, ...]:
    lines = (value,) if isinstance(value, str) else tuple(value)
    if not all(isinstance(line, str) for line in lines):
        raise TypeError(f"the lines of a FileCheck must be text, not {lines!r}")
    return lines


@attrs.frozen
class FileCheck:
    """What a plugin says of a file that is its own, and that can be used; what cannot be used is a `ConfigError`.

    `lines` say what the file would do, `notes` what should be seen to, a line of text each. `faulty` is whether some of
    what it names cannot be used, which makes the exit code 1.

    >>> FileCheck(lines=["2 rows"]).lines
    ('2 rows',)
    """

    lines: tuple[str, ...] = attrs.field(default=(), converter=_lines)
    notes: tuple[str, ...] = attrs.field(default=(), converter=_lines)
    faulty: bool = False
