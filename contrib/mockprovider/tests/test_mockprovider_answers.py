"""What the mock says, without a server."""

from __future__ import annotations

import math

import pytest

from penstock_mockprovider.answers import chat_answer, count_tokens, cut_to_tokens, embedding

DOCSTRING = "Return the absolute value of the argument.\n\nThe argument may be any number. Keywords are refused."


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("A penstock is a gate. It lets water in.", "A penstock is a gate."),
        (f"Summarise in one sentence:\n\n{DOCSTRING}", "Return the absolute value of the argument."),
        (f"Describe this function.\n\n{DOCSTRING}", "Return the absolute value of the argument."),
        ("Summarise: short text", "short text"),
        ("Note: this has no instruction. More.", "Note: this has no instruction."),
        ("Version 3.11 is out. Get it.", "Version 3.11 is out."),
        ("Summarise this:", "Summarise this:"),
        ("", ""),
    ],
)
def test_the_answer_is_the_first_sentence_of_the_material(prompt: str, answer: str) -> None:
    assert chat_answer("", prompt) == answer


def test_a_very_long_sentence_is_cut() -> None:
    answer = chat_answer("", "word " * 500)
    assert len(answer) <= 240
    assert answer.endswith("word…")


@pytest.mark.parametrize(
    ("system", "prompt"),
    [
        ("", "Give two keywords for this text:\n\nThe gate lets water in. The gate and the water wheel."),
        ("Answer with 2 keywords.", "The gate lets water in. The gate and the water wheel."),
        ("", "2 key words of: The gate lets water in. The gate and the water wheel."),
    ],
)
def test_asked_for_keywords_it_names_the_most_salient_words(system: str, prompt: str) -> None:
    assert chat_answer(system, prompt) == "water, gate"


def test_five_keywords_are_given_if_no_number_is_asked_for() -> None:
    answer = chat_answer("", "Keywords: alpha beta gamma delta epsilon zeta eta theta")
    assert answer == "epsilon, alpha, gamma, delta, theta"


def test_a_word_of_the_material_does_not_ask_for_keywords() -> None:
    answer = chat_answer("", "Summarise:\n\nKeyword arguments are passed on. Others not.")
    assert answer == "Keyword arguments are passed on."


@pytest.mark.parametrize("text", ["some words here", "", "123 456", "\ud800", "a a a a"])
@pytest.mark.parametrize("dimensions", [1, 64, 1536])
def test_a_vector_has_length_one_and_is_always_the_same(text: str, dimensions: int) -> None:
    vector = embedding(text, dimensions)
    assert len(vector) == dimensions
    assert math.sqrt(sum(x * x for x in vector)) == pytest.approx(1.0, abs=1e-6)
    assert embedding(text, dimensions) == vector


def test_words_that_cancel_each_other_still_make_a_vector() -> None:
    # In one dimension every word is +1 or -1.
    plus = next(word for word in "abcdefgh" if embedding(word, 1) == [1.0])
    minus = next(word for word in "abcdefgh" if embedding(word, 1) == [-1.0])
    assert abs(embedding(f"{plus} {minus}", 1)[0]) == 1.0


def test_texts_that_share_words_are_nearer_than_texts_that_do_not() -> None:
    def nearness(one: str, other: str) -> float:
        pairs = zip(embedding(one, 256), embedding(other, 256), strict=True)
        return sum(x * y for x, y in pairs)

    near = nearness("the gate lets water in", "water passes the gate")
    assert near > nearness("the gate lets water in", "a million tokens per minute") + 0.2


def test_a_cut_text_has_no_more_tokens_than_asked() -> None:
    assert (count_tokens(""), count_tokens("abcd"), count_tokens("abcde")) == (0, 1, 2)
    assert count_tokens(cut_to_tokens("abcdefghij", 2)) == 2
