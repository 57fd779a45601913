"""Foreign text can be shown: nothing in it reaches the terminal as a command."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from penstock import Problem, printable, value_in_words


@pytest.mark.parametrize(
    ("foreign", "shown"),
    [
        ("plain text, ünïcödé, 東京 🚰", "plain text, ünïcödé, 東京 🚰"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("\x9b31m\x85", r"\x9b31m\x85"),
        ("\x7f\x00", r"\x7f\x00"),
        ("user\u202egpj.exe\u2066", r"user\u202egpj.exe\u2066"),
        ("one\u2028two\u2029", r"one\u2028two\u2029"),
        ("half \ud83d", r"half \ud83d"),
        ("hidden \U000e0041 \u200b \ufeff", r"hidden \U000e0041 \u200b \ufeff"),
        ("wide\u3000and\u00a0fixed spaces", "wide\u3000and\u00a0fixed spaces"),
        ("می\u200cخواهم", "می\u200cخواهم"),
    ],
)
def test_what_could_command_a_terminal_is_shown_as_an_escape(foreign: str, shown: str) -> None:
    assert printable(foreign) == shown


@given(st.text(st.characters()))
def test_whatever_comes_is_one_line_that_can_be_written_and_is_cleaned_once(foreign: str) -> None:
    shown = printable(foreign)
    shown.encode("utf-8")
    assert len(shown.splitlines()) <= 1
    assert not any(character < " " or "\x7f" <= character <= "\x9f" for character in shown)
    assert printable(shown) == shown


@pytest.mark.parametrize("name", ["a\x85b", "a\x9bb", "\u202egpj.exe", "a\u200bb"])
def test_a_problem_shows_names_and_values_as_a_terminal_does(name: str) -> None:
    said = f"{Problem(('providers', name), 'is missing')} {value_in_words(name)}"
    assert said.isprintable()
    assert name.encode("unicode_escape").decode() in said
