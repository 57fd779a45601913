"""`penstock cells`: what a store holds, looked at, taken out and thrown away."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from os.path import isdir, isfile
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from penstock import ConfigError, Problem
from penstock_batch.pipeline.loading import store_of
from penstock_batch.rows.lines import json_bytes
from penstock_batch.running.unchanged import WHOLE
from penstock_batch.store.answer import Answer
from penstock_batch.store.reading import StoreReader
from penstock_batch.store.selecting import Cell, Selection
from penstock_batch.store.spent import SPENT, spent_of
from penstock_batch.store.store import Store
from penstock_batch.words.amounts import counted
from penstock_batch.words.terminal import say

__all__ = ["count_cells", "drop_cells", "export_cells", "list_cells", "show_cells"]

_SHOWN: Final = 60
_KEY: Final = 12


def list_cells(place: Path, selection: Selection, most: int) -> None:
    """Print a line for each answer, at most so many. Raises `ConfigError`, as all here do, if there is no store."""
    with _reader(place) as store:
        selection.check(store)
        for number, cell in enumerate(selection.cells(store)):
            if number == most:
                say(f"… (the first {most:,}; --most shows more)")
                break
            say(_line(cell))


def count_cells(place: Path, selection: Selection) -> None:
    """Print how many answers there are of each step, how they ended, their tokens and what they cost."""
    with _reader(place) as store:
        selection.check(store)
        for step, ended, count, given, got, cost in selection.counts(store):
            price = "" if cost is None else f", cost {cost:,.4f}"
            say(f"{step}: {count:,} ended {ended or 'none'}, {given:,.0f} tokens in, {got:,.0f} out{price}")


def show_cells(place: Path, key: str) -> bool:
    """Print all that is kept under the keys that begin so, as JSON; whether there is one."""
    found = False
    with _reader(place) as store:
        for cell in Selection(key=key).cells(store):
            found = True
            say(json_bytes(_record(cell)).decode())
    return found


def export_cells(place: Path, selection: Selection) -> None:
    """Print each answer whole, as a line of JSON."""
    with _reader(place) as store:
        selection.check(store)
        for cell in selection.cells(store):
            click.echo(json_bytes(_record(cell)).decode(errors="backslashreplace"))


def drop_cells(place: Path, selection: Selection, *, sure: bool) -> None:
    """Throw answers away for good, after a question unless `sure`. They are asked again where a row needs them."""
    path = _path(place)
    with StoreReader(path) as reader:
        selection.check(reader)
        counts = selection.counts(reader)
    count, cost = sum(each[2] for each in counts), sum(each[5] or 0.0 for each in counts)
    if not count:
        say("there is no such answer")
        return
    paid = f", which cost {cost:,.4f}" if cost else ""
    if not sure:
        click.confirm(f"throw away {counted(count, 'answer')} of {path}{paid}?", abort=True)
    with Store(path) as store, StoreReader(path) as reader:
        store.note(SPENT, spent_of(reader.ask).as_text())  # what is thrown away was paid for all the same
        store.drop(*selection.condition())
        store.forget(WHOLE)
        store.commit()
    say(f"{counted(count, 'answer')} thrown away{paid}")


def _reader(place: Path) -> StoreReader:
    return StoreReader(_path(place))


def _path(place: Path) -> Path:
    """The store itself, or that of a pipeline's TOML."""
    path = store_of(place) if place.suffix == ".toml" else place
    if isdir(path):
        raise ConfigError(Problem((), "is a folder; name the store in it, or the pipeline's TOML", str(path)))
    if not isfile(path):
        raise ConfigError(Problem((), "there is no store: nothing has been run", str(path)))
    return path


def _line(cell: Cell) -> str:
    answer = cell.answer
    key = cell.key.hex()[:_KEY]
    if answer is None:
        return f"{key}  damaged: counts as not there"
    when = datetime.fromtimestamp(answer.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    text = answer.text if isinstance(answer.text, str) else json_bytes(answer.value).decode()
    shown = " ".join(text[: 2 * _SHOWN].split())
    shown = shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 1]}…"
    again = " (asked again since)" if cell.retired else ""
    return f"{key}  {answer.step}  {when}  {answer.ended or 'none'}  {answer.by or '-'}  {shown}{again}"


def _record(cell: Cell) -> dict[str, Any]:
    head = {"key": cell.key.hex(), "number": cell.number, "retired": cell.retired}
    return {**head, "damaged": True} if cell.answer is None else {**head, **dict(_told(cell.answer))}


def _told(answer: Answer) -> Iterator[tuple[str, Any]]:
    for field in msgspec.structs.fields(Answer):
        value = getattr(answer, field.name)
        if field.name == "usage":
            value = {name: told for name, told in msgspec.structs.asdict(value).items() if told is not None}
        if field.name == "value" or value != field.default:
            yield field.name, value
