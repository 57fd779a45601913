"""The store alone: what is added is found, what is committed outlives the process, and what is damaged is not there."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing, suppress
from pathlib import Path

import pytest
import trio

from penstock import ConfigError, Usage
from penstock_batch.store.answer import Answer
from penstock_batch.store.aside import put_aside
from penstock_batch.store.store import Store, StoreLost, keep_committing

KEY = b"k" * 16
OTHER = b"o" * 16
WHOLE = Answer(
    value={"text": "yes", "tool_calls": [{"name": "f"}]},
    text="yes",
    parts=("yes", {"type": "image"}),
    tool_calls=({"name": "f"},),
    logprobs=(-0.5,),
    ended="tool_calls",
    usage=Usage(input_tokens=3, output_tokens=4),
    cost=0.25,
    by="p/m",
    model="m-2026",
    fingerprint="fp_1",
    asked=1,
    step="step",
    row=-7,
    at=1e9,
    elapsed=0.5,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "answers.jsonl.store"


def filled(path: Path, count: int = 1) -> None:
    with Store(path) as store:
        for number in range(count):
            store.add(number.to_bytes(16), "step", Answer(value=f"answer {number}", text=f"answer {number}"))
        store.commit()


def problem(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        Store(path)
    (record,) = caught.value.records
    assert record.source == str(path)
    return record.what


def test_half_a_surrogate_pair_in_an_answer_comes_back(path: Path) -> None:
    answer = Answer(value=["\ud800"], text="\ud800", usage=Usage(input_tokens=1), ended="stop")
    with Store(path) as store:
        store.add(KEY, "step", answer)
        store.commit()
        assert store.find([KEY])[KEY] == (answer.but(step="step"),)


def test_an_answer_comes_back_whole_before_and_after_it_is_committed(path: Path) -> None:
    with Store(path) as store:
        store.add(KEY, "step", WHOLE)
        assert store.find([KEY, OTHER]) == {KEY: (WHOLE,)}
        store.commit()
        assert store.find([KEY]) == {KEY: (WHOLE,)}
    with Store(path) as store:
        assert store.find([KEY]) == {KEY: (WHOLE,)}


def test_answers_come_in_the_order_in_which_they_were_added_though_a_commit_lies_between(path: Path) -> None:
    with Store(path) as store:
        for number in range(3):
            store.add(KEY, "step", Answer(value=number))
        store.commit()
        store.add(KEY, "step", Answer(value=3))
        write = store.begin_commit()
        store.add(KEY, "step", Answer(value=4))
        write()
        values = [answer.value for answer in store.find([KEY, KEY])[KEY]]
        store.end_commit()
    assert values == [0, 1, 2, 3, 4]


def test_a_vector_takes_four_bytes_a_number(path: Path) -> None:
    with Store(path) as store:
        store.add(KEY, "step", Answer(value=[0.5, -1.0, 3.0]), vector=True)
        store.commit()
        assert store.find([KEY])[KEY][0].value == [0.5, -1.0, 3.0]
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT length(vector) FROM answers").fetchone() == (12,)


def test_what_is_not_committed_is_not_kept(path: Path) -> None:
    with Store(path) as store:
        store.add(KEY, "step", WHOLE)
    with Store(path) as store:
        assert store.find([KEY]) == {}


def test_hundreds_of_keys_are_looked_up_at_once(path: Path) -> None:
    filled(path, 1200)
    with Store(path) as store:
        found = store.find([number.to_bytes(16) for number in range(1500)])
    assert len(found) == 1200
    assert found[(777).to_bytes(16)][0].value == "answer 777"


def test_a_row_takes_over_answers_of_a_row_that_is_gone(path: Path) -> None:
    with Store(path) as store:
        store.add(KEY, "step", WHOLE)
        store.commit()
        store.adopt(KEY, 9)
        assert store.find([KEY])[KEY][0].row == 9
        store.commit()
        assert store.find([KEY])[KEY][0].row == 9


def test_the_number_of_a_row_among_equal_calls_is_remembered(path: Path) -> None:
    with Store(path) as store:
        store.claim(KEY, 5, 1)
        store.claim(KEY, 5, 2)
        assert (store.number(KEY, 5), store.number(KEY, 6)) == (2, None)
        store.commit()
        assert store.number(KEY, 5) == 2


def test_the_file_is_its_owners_alone_and_locked(path: Path) -> None:
    path.touch(mode=0o644)
    with Store(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert problem(path) == "is being written by another run; wait for it, or stop it"
        along = [each for each in path.parent.iterdir() if each != path]
        assert {stat.S_IMODE(each.stat().st_mode) for each in along} <= {0o600}
    Store(path).close()


def test_a_link_is_not_followed(path: Path) -> None:
    target = path.with_name("elsewhere")
    path.symlink_to(target)
    assert problem(path).startswith("cannot be opened: ")
    assert not target.exists()


def test_a_file_that_is_no_store_is_left_as_it_is(path: Path) -> None:
    path.write_text("my thesis", encoding="utf-8")
    assert problem(path) == "is no store of penstock run; move it away or name another output"
    assert path.read_text(encoding="utf-8") == "my thesis"


def test_a_database_of_somebody_else_is_left_as_it_is(path: Path) -> None:
    with closing(sqlite3.connect(path)) as foreign:
        foreign.execute("CREATE TABLE precious (thing)")
        foreign.commit()
    before = path.read_bytes()
    assert problem(path).startswith("is a database, but no store of penstock run")
    assert path.read_bytes() == before


def test_a_store_of_a_later_version_is_not_touched(path: Path) -> None:
    filled(path)
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version = 99")
    assert "has version 99" in problem(path)


def test_a_damaged_answer_counts_as_not_there(path: Path) -> None:
    filled(path, 3)
    with closing(sqlite3.connect(path)) as file:
        file.execute("UPDATE answers SET body = CAST(replace(CAST(body AS TEXT), 'answer 1', 'answer 9') AS BLOB)")
        file.commit()
    with Store(path) as store:
        found = store.find([number.to_bytes(16) for number in range(3)])
        assert [answers[0].value for answers in found.values()] == ["answer 0", "answer 2"]
        assert store.damaged == 1


@pytest.mark.parametrize("kept", [0.3, 0.7])
def test_a_store_that_is_cut_off_is_told_in_one_line(path: Path, kept: float) -> None:
    filled(path, 3000)
    os.truncate(path, int(path.stat().st_size * kept))
    said = problem(path)
    assert "put a copy back, or start anew with --overwrite" in said
    assert "\n" not in said


def test_flipped_bits_never_become_other_values(path: Path) -> None:
    filled(path, 60)
    sound = path.read_bytes()
    keys = [number.to_bytes(16) for number in range(60)]
    wrong = 0
    for place in range(100, len(sound), 997):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 4]) + sound[place + 1 :])
        try:
            with Store(path) as store:
                found = store.find(keys)
        except (ConfigError, StoreLost):
            continue
        wrong += sum(answers[0].value != f"answer {int.from_bytes(key)}" for key, answers in found.items())
    assert wrong == 0


def test_no_value_that_json_cannot_hold_is_added(path: Path) -> None:
    with Store(path) as store:
        for value in ({1}, float("nan")):
            with pytest.raises((TypeError, ValueError)):
                store.add(KEY, "step", Answer(value=value))
        assert not store.dirty


async def test_who_waits_for_a_commit_goes_on_when_the_group_is_on_the_disk(path: Path) -> None:
    on_the_disk: list[int] = []
    changed, told = trio.open_memory_channel[None](1)
    with Store(path) as store:

        async def one(number: int) -> None:
            store.add(number.to_bytes(16), "step", Answer(value=number))
            with suppress(trio.WouldBlock):
                changed.send_nowait(None)
            await store.committed()
            with closing(sqlite3.connect(path)) as file:
                on_the_disk.append(file.execute("SELECT count(*) FROM answers").fetchone()[0])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_committing, store, told, 0.0, lambda lost: None)
            async with trio.open_nursery() as work:
                for number in range(20):
                    work.start_soon(one, number)
            nursery.cancel_scope.cancel()
    assert on_the_disk == [20] * 20


async def test_a_disk_that_refuses_is_told_to_everybody_who_waits(path: Path) -> None:
    lost: list[StoreLost] = []
    with Store(path) as store:
        changed, told = trio.open_memory_channel[None](1)
        store.add(KEY, "step", WHOLE)
        with closing(sqlite3.connect(path)) as file:
            file.execute("DROP TABLE answers")
        changed.send_nowait(None)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_committing, store, told, 0.0, lost.append)
            with pytest.raises(StoreLost):
                await store.committed()
        assert lost == [store.lost]
        with pytest.raises(StoreLost):
            await store.committed()


@pytest.mark.parametrize("ours", [False, True])
def test_a_database_of_somebody_else_is_never_put_aside(tmp_path: Path, ours: bool) -> None:
    path = tmp_path / "s"
    if ours:
        Store(path).close()
    else:
        with closing(sqlite3.connect(path)) as database:
            database.execute("CREATE TABLE t (a)")
    before = path.read_bytes()
    if ours:
        assert put_aside(path)
    else:
        with pytest.raises(ConfigError, match="no store of penstock run"):
            put_aside(path)
        assert path.read_bytes() == before
