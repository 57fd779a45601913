"""Tables for people and for programs, and the files that hold them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import click

from penstock import ConfigError

__all__ = ["csv_text", "json_text", "markdown_table", "publish", "with_notes"]


def markdown_table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table whose columns are aligned, so that it can also be read as it is."""
    cells = [head, *lines]
    widths = [max(3, *(len(line[at]) for line in cells)) for at in range(len(head))]
    text = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text)


def with_notes(table: str, notes: Iterable[str]) -> str:
    """The table with a list of notes below it, if there are any."""
    listed = [f"- {note}" for note in notes]
    return "\n".join([table, *(["", *listed] if listed else [])])


def csv_text(head: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """The same as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(lines)
    return text.getvalue()


def json_text(results: Mapping[str, object]) -> str:
    """Results as JSON, indented."""
    return json.dumps(results, indent=2, ensure_ascii=False) + "\n"


def publish(bench: str, headline: str, table: str, *, json: str, csv: str, out: Path | None) -> None:
    """Print the table below its headline; write it, JSON and CSV into the folder `out`, if there is one.

    The files are `<bench>.json`, `.csv` and `.md`; the folder is made if need be. Raises `ConfigError`.
    """
    click.echo(f"{headline}\n\n{table}")
    if out is None:
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        for ending, text in (("json", json), ("csv", csv), ("md", table + "\n")):
            out.joinpath(f"{bench}.{ending}").write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--out: cannot write to {out}: {error.strerror}") from None
