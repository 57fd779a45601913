"""Vectors put to their texts; what a whole call makes of them is in `test_joint_calls.py`."""

from __future__ import annotations

import pytest

from penstock_batch.calls.vectors import NoVector, vectors_of


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400])
def test_a_number_that_is_none_spoils_its_own_vector(value: float) -> None:
    first, second = vectors_of([[1.0, value], [1.0, 2.0]], [0, 1], 2)
    assert isinstance(first, NoVector)
    assert second == [1.0, 2.0]


def test_a_single_vector_is_that_of_a_single_text_whatever_its_index() -> None:
    assert vectors_of([[1.0]], [7], 1) == [[1.0]]
    with pytest.raises(NoVector, match="2 vectors for 1 text"):
        vectors_of([[1.0], [2.0]], [0, 1], 1)


def test_no_vector_at_all_is_said_to_be_none() -> None:
    with pytest.raises(NoVector, match="holds no vector"):
        vectors_of([], [], 3)


@pytest.mark.parametrize("text", ["AACAPwAAAEA=", "AACAPwAAAEA"])
def test_base64_is_read_where_it_is_whole(text: str) -> None:
    (vector,) = vectors_of([text], [0], 1)
    assert vector == [1.0, 2.0] if text.endswith("=") else isinstance(vector, NoVector)
