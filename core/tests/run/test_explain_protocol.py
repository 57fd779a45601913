"""What comes in by the socket is a question, a greeting, an answer, or a `ValueError` of one line; nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import example, given, strategies as st

from penstock import printable
from penstock.run.explain_protocol import (
    LONGEST_ANSWER,
    LONGEST_QUESTION,
    Greeting,
    Question,
    RunRefused,
    answer_line,
    error_line,
    read_answer,
    read_greeting,
    read_question,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["group", "records", "text"]), inner),
)
LINES = st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode() + b"\n")
DEEP = b"[" * 4000 + b"\n"
READERS = [
    read_question,
    read_greeting,
    lambda line: read_answer(line, Question()),
    lambda line: read_answer(line, Question(records=True)),
    lambda line: read_answer(line, Question(reconfigure="run.toml")),
]


@pytest.mark.parametrize("reader", READERS)
@given(line=LINES)
@example(line=DEEP)
@example(line=b'{"records": ' + b"[" * 4000 + b"]" * 4000 + b"}\n")
@example(line=b'{"group": "\xe2\x82"}\n')
@example(line=b"1" * 4095 + b"\n")
@example(line=b'{"refused": [1, "a"]}\n')
@example(line=b'{"refused": [[], ""]}\n')
@example(line=b'{"group": NaN, "text": Infinity}\n')
@example(line=b'{"pid": true, "penstock": "explain", "run_id": "a", "started": "b"}\n')
def test_whatever_comes_is_read_or_refused_in_one_line(reader: Callable[[bytes], object], line: bytes) -> None:
    try:
        reader(line)
    except ValueError as refused:
        told = str(refused)
        assert told
        assert printable(told) == told


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        (DEEP, "nested too deep"),
        (b"what?\n", "not JSON"),
        (b'{"group": "\xe2\x82"}\n', "not UTF-8"),
        (b"[]\n", "no JSON object"),
        (b'{"group": NaN}\n', "`group` must be text or null"),
        (b'{"group": ["a"]}\n', "`group` must be text or null"),
        (b'{"reconfigure": 1}\n', "`reconfigure` must be text or null"),
        (b'{"records": 1}\n', "`records` must be true or false"),
        (b'{"capacity": "yes"}\n', "`capacity` must be true or false"),
        (b'{"capacity": true, "group": "a"}\n', "`capacity` is asked for alone"),
        (b'{"capacity": true, "reconfigure": "run.toml"}\n', "`capacity` is asked for alone"),
        (b'{"figures": true, "group": "a"}\n', "`figures` is asked for alone"),
        (b'{"figures": "all"}\n', "`figures` must be true or false"),
        (b'{"command": "\x7f"}\n', "has keys beside `group`, `records`, `reconfigure`, `capacity`, `figures`"),
        (b'{"group": null', "breaks off"),
        (b" " * LONGEST_QUESTION + b"\n", f"longer than {LONGEST_QUESTION} bytes"),
    ],
)
def test_a_malformed_question_is_told_what_is_wrong_with_it(line: bytes, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        read_question(line)


@given(st.none() | st.text(max_size=300), st.booleans(), st.none() | st.text(max_size=300))
def test_a_question_arrives_as_it_was_asked(group: str | None, records: bool, file: str | None) -> None:
    for question in (Question(group, records, file), Question(records=records, capacity=True)):
        assert read_question(question.line()) == question


def test_a_run_of_an_earlier_version_can_be_asked_what_it_waits_for() -> None:
    assert json.loads(Question("a").line()) == {"group": "a", "records": False, "reconfigure": None}


def test_every_problem_of_a_configuration_arrives_and_commands_no_terminal() -> None:
    line = answer_line({"refused": ["a\x1b[2J", "b"]})
    with pytest.raises(RunRefused) as caught:
        read_answer(line, Question(reconfigure="run.toml"))
    assert caught.value.problems == ("a\\x1b[2J", "b")
    with pytest.raises(ValueError, match="has not what was asked for"):
        read_answer(line, Question())


def test_a_question_too_long_to_be_sent_is_refused_where_it_is_asked() -> None:
    with pytest.raises(ValueError, match="the name of the group is too long"):
        Question("x" * LONGEST_QUESTION).line()
    with pytest.raises(ValueError, match="the path of the file is too long"):
        Question(reconfigure="x" * LONGEST_QUESTION).line()


def test_a_greeting_arrives_and_a_long_name_is_cut() -> None:
    greeting = Greeting("nightly\n", 7, "2026-01-01T00:00:00+00:00")
    assert read_greeting(greeting.line()) == greeting
    assert read_greeting(Greeting("é" * 10_000, 7, "").line()).run_id == "é" * 200


def test_an_answer_is_shown_without_what_could_command_a_terminal() -> None:
    told = read_answer(answer_line({"text": "a\n  \x1b[2Jb\u202e"}), Question())
    assert told == "a\n  \\x1b[2Jb\\u202e"
    records = read_answer(answer_line({"records": {"\x1b": "\x9b\x7f"}}), Question(records=True))
    assert json.loads(records) == {"\x1b": "\x9b\x7f"}
    assert all(printable(line) == line for line in records.split("\n"))
    with pytest.raises(ValueError, match=r"^no \\x1bc$"):
        read_answer(error_line("no \x1bc"), Question())


def test_an_answer_too_long_to_be_sent_says_so() -> None:
    with pytest.raises(ValueError, match="ask about one group, or for text"):
        read_answer(answer_line({"text": "x" * LONGEST_ANSWER}), Question())


def test_a_question_names_figures_only_where_it_asks_for_them() -> None:
    """A run of an earlier version does not know the key."""
    assert b"figures" not in Question(records=True).line()
    assert read_question(Question(records=True, figures=True).line()) == Question(records=True, figures=True)
