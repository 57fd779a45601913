"""`penstock cells`: what is kept can be seen, counted, taken out and thrown away."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from time import time

import pytest
from click.testing import CliRunner, Result

from penstock import ConfigError, Usage
from penstock_batch.plugin import cells
from penstock_batch.store.answer import Answer
from penstock_batch.store.reading import StoreReader
from penstock_batch.store.spent import spent_of
from penstock_batch.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "answers.jsonl.store"
    with Store(path) as made:
        for number in range(6):
            made.add(
                bytes([number]) * 16,
                "summary" if number else "title",
                Answer(
                    value=f"answer\n{number}",
                    text=f"answer\n{number}",
                    ended="length" if number == 5 else "stop",
                    usage=Usage(input_tokens=2, output_tokens=number),
                    cost=0.5,
                    by="p/m",
                    at=time() - 3600 * number,
                ),
            )
        made.add(b"v" * 16, "vector", Answer(value=[0.5, 2.0], at=time()), vector=True)
        made.commit()
    (tmp_path / "pipeline.toml").write_text('[output]\npath = "answers.jsonl"\n', encoding="utf-8")
    return path


@pytest.fixture
def ask(store: Path) -> Callable[..., Result]:
    def asked(command: str, *options: str, place: Path = store) -> Result:
        return CliRunner().invoke(cells, [command, str(place), *options])

    return asked


def test_each_answer_has_a_line(ask: Callable[..., Result], store: Path) -> None:
    lines = ask("list").stdout.splitlines()
    assert len(lines) == 7
    assert lines[5].startswith("050505050505  summary  ")
    assert lines[5].endswith("length  p/m  answer 5")
    assert ask("list", place=store.with_name("pipeline.toml")).stdout.splitlines() == lines
    assert ask("list", "--most", "2").stdout.splitlines()[-1] == "… (the first 2; --most shows more)"


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (["--step", "summary"], 5),
        (["--ended", "length"], 1),
        (["--ended", "none"], 1),
        (["--older-than", "150min"], 3),
        (["--step", "summary", "--older-than", "4.5h"], 1),
    ],
)
def test_answers_are_selected_by_step_ending_and_age(
    ask: Callable[..., Result], options: list[str], count: int
) -> None:
    assert len(ask("export", *options).stdout.splitlines()) == count


def test_answers_are_counted_by_step_and_ending(ask: Callable[..., Result]) -> None:
    assert ask("count").stdout.splitlines() == [
        "title: 1 ended stop, 2 tokens in, 0 out, cost 0.5000",
        "summary: 4 ended stop, 8 tokens in, 10 out, cost 2.0000",
        "summary: 1 ended length, 2 tokens in, 5 out, cost 0.5000",
        "vector: 1 ended none, 0 tokens in, 0 out",
    ]


def test_an_answer_is_shown_whole_by_the_beginning_of_its_key(ask: Callable[..., Result]) -> None:
    record = json.loads(ask("show", "0505").stdout)
    assert (record["step"], record["value"], record["ended"]) == ("summary", "answer\n5", "length")
    assert record["usage"] == {"input_tokens": 2, "output_tokens": 5}
    missing = ask("show", "ffff")
    assert missing.exit_code == 1
    assert "no answer whose key begins with ffff" in missing.stderr


def test_what_is_exported_is_all_that_is_kept(ask: Callable[..., Result]) -> None:
    records = [json.loads(line) for line in ask("export").stdout.splitlines()]
    assert [record["number"] for record in records] == list(range(1, 8))
    assert records[-1]["value"] == [0.5, 2.0]


def test_answers_are_thrown_away_after_a_question(ask: Callable[..., Result], store: Path) -> None:
    assert ask("drop", "--ended", "length").exit_code == 1  # nobody said yes
    assert len(ask("export").stdout.splitlines()) == 7
    said = ask("drop", "--ended", "length", "--yes").stdout
    assert said == "1 answer thrown away, which cost 0.5000\n"
    assert len(ask("export").stdout.splitlines()) == 6
    with StoreReader(store) as reader:
        assert spent_of(reader.ask).cost == 3.0  # what is thrown away was paid for
    assert ask("drop", "--older-than", "900d", "--yes").stdout == "there is no such answer\n"


@pytest.mark.parametrize("command", ["list", "count", "export", "drop"])
def test_a_selection_that_names_nothing_is_an_error(ask: Callable[..., Result], command: str) -> None:
    found = ask(command, "--step", "sumary")
    assert isinstance(found.exception, ConfigError)
    assert "did you mean 'summary'?" in str(found.exception)
    assert ask(command, "--ended", "lenght").exit_code == 2


def test_a_store_of_another_version_is_not_read(ask: Callable[..., Result], store: Path) -> None:
    with closing(sqlite3.connect(store)) as file:
        file.execute("PRAGMA user_version = 9")
    found = ask("list")
    assert isinstance(found.exception, ConfigError)
    assert "has version 9, and this release reads 1" in str(found.exception)


def test_a_damaged_answer_is_told(ask: Callable[..., Result], store: Path) -> None:
    with closing(sqlite3.connect(store)) as file:
        file.execute("UPDATE answers SET crc = crc + 1 WHERE id = 2")
        file.commit()
    assert ask("list").stdout.splitlines()[1] == "010101010101  damaged: counts as not there"


def test_where_nothing_was_run_that_is_said(ask: Callable[..., Result], store: Path) -> None:
    for place in (store.with_name("other.store"), store.with_name("other.toml")):
        assert isinstance(ask("list", place=place).exception, ConfigError)
    assert ask("list", "--older-than", "long").exit_code == 2
