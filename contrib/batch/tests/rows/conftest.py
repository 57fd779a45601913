"""What the tests of formats have in common: rows written to a file, and read from it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
import pytest

from penstock_batch.rows.formats import Format
from penstock_batch.rows.lines import json_line
from penstock_batch.rows.reader import BadRow, Row, read_rows
from penstock_batch.rows.target import RowSource, Target

NOWHERE = RowSource(Path("rows.jsonl"), "jsonl")


@attrs.frozen
class Files:
    """A folder with one file of each format; a table in a database is called `t`."""

    folder: Path

    def path(self, form: Format) -> Path:
        return self.folder / f"rows.{form}"

    def write(
        self, form: Format, rows: Iterable[dict[str, Any]], names: list[str], source: RowSource = NOWHERE
    ) -> Path:
        """Write these rows as a run would its output."""
        target = Target(self.path(form), form, "t" if form == "sqlite" else None)
        with target.rows(names, self.folder / "journal", source) as put:
            for row in rows:
                put(json_line(row))
        return self.path(form)

    def rows(self, form: Format) -> list[Row | BadRow]:
        return list(read_rows(self.path(form), form, table="t" if form == "sqlite" else None))

    def read(self, form: Format) -> list[dict[str, Any]]:
        """The values of all rows, which must be good."""
        found = []
        for row in self.rows(form):
            assert isinstance(row, Row), row
            found.append(row.values)
        return found

    def bad(self, form: Format) -> dict[int, str]:
        """The problems of the rows that cannot be read, by their line."""
        return {row.line: row.problem for row in self.rows(form) if isinstance(row, BadRow)}


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Files that each test writes anew."""
    return Files(tmp_path_factory.mktemp("files"))
