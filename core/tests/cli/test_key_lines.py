"""The line that a key stands on, held against what the standard parser reads in the same text."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from penstock.cli.doctor.key_lines import line_of
from penstock.words.problems import PathParts

TEXT = '''\
title = "not [a] table"  # nor = this
text = """
[plugins]
fake = 1
"""
list = [
  "x = 1",
  [2], # ]
]
"quoted.key" = 1
'literal key' = 1
dotted.inner."k v" = 1
inline = { a = 1, b = { c = 2 } }

[providers."my.host".models.m]
cap = 1
[[steps]]
kind = "a"
[[steps]]
kind = "b"
[steps.options]
deep = 1
[[steps.parts]]
n = 1
[ plugins . jsonl ]
path = "x"
'''

LINES: list[tuple[PathParts, int]] = [
    (("title",), 1),
    (("text",), 2),
    (("list",), 6),
    (("quoted.key",), 10),
    (("literal key",), 11),
    (("dotted", "inner", "k v"), 12),
    (("inline", "b", "c"), 13),
    (("providers", "my.host"), 15),
    (("providers", "my.host", "models", "m", "cap"), 16),
    (("steps", 0), 17),
    (("steps", 0, "kind"), 18),
    (("steps", 1, "kind"), 20),
    (("steps", 1, "options", "deep"), 22),
    (("steps", 1, "parts", 0, "n"), 24),
    (("plugins", "jsonl"), 25),
    (("plugins", "jsonl", "path"), 26),
]


@pytest.mark.parametrize(("path", "line"), LINES)
def test_each_key_is_found_where_it_stands(path: PathParts, line: int) -> None:
    value: Any = tomllib.loads(TEXT)
    for part in path:
        value = value[part]
    assert line_of(TEXT, path) == line


def test_a_key_that_is_missing_is_told_at_its_table() -> None:
    assert line_of(TEXT, ("plugins", "jsonl", "append")) == 25
    assert line_of(TEXT, ("steps", 1, "prompt")) == 19


def test_a_table_that_is_nowhere_has_no_line() -> None:
    assert line_of(TEXT, ("requests", "max_attempts")) is None
    assert line_of("", ("a",)) is None
