from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any

from hypothesis import given, strategies as st

from penstock_batch.store.keys import HOLE, KEY_BYTES, KeyForm, RowNames, base_key, numbered_key


def test_the_order_of_members_is_no_part_of_a_key() -> None:
    assert base_key(["chat", {"a": 1, "b": [2]}]) == base_key(["chat", {"b": [2], "a": 1}])
    assert base_key(["chat", {"a": [1, 2]}]) != base_key(["chat", {"a": [2, 1]}])
    assert len(base_key([])) == KEY_BYTES


def test_keys_are_the_same_in_every_release() -> None:
    body = {"model": "m", "temperature": 0.7, "seed": 2**70, "messages": [{"role": "user", "content": "ü\n\x7f"}]}
    assert base_key(["openai", "chat", "acme", "m", body]).hex() == "2808e600a0dba94c7c0eb1ecfa5becab"
    assert base_key(["python", "c0de", {"text": "half \ud800", "b": None}]).hex() == "200b0b454573610732dc5469ffbfb5e1"


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(_VALUES)
def test_a_key_is_that_of_the_json_that_python_writes(value: Any) -> None:
    said = json.dumps(["chat", value], sort_keys=True, separators=(",", ":")).encode("ascii")
    assert base_key(["chat", value]) == blake2b(said, digest_size=KEY_BYTES).digest()


def test_numbers_and_samples_of_a_call_have_keys_of_their_own() -> None:
    base = base_key(["chat"])
    assert numbered_key(base, 0) == base
    assert len({numbered_key(base, number, sample) for number in range(12) for sample in range(12)}) == 144


@given(st.lists(st.integers(2, 2**64 - 1) | st.integers(2, 5), max_size=60))
def test_every_row_has_a_name_of_its_own_which_is_that_of_its_text(digests: list[int]) -> None:
    names = RowNames(digests)
    given = names.next_of(digests)
    assert len(set(given)) == len(digests)
    assert all(-(2**63) <= name < 2**63 for name in given)
    assert all(names.present(name) for name in given)
    turned = RowNames(digests)
    assert {turned.next_of([digest])[0] for digest in reversed(digests)} == set(given)


def test_thousands_of_rows_are_all_found_again() -> None:
    digests = [number * 0x9E3779B97F4A7C15 % 2**64 for number in range(20_000)]
    names = RowNames(digests)
    given = set(names.next_of(digests))
    assert len(given) == 20_000
    assert all(names.present(name) for name in given)
    assert not any(names.present(name) for name in range(1, 1000))


@given(st.dictionaries(st.text(), _VALUES, max_size=3), st.lists(_VALUES, max_size=3), st.text())
def test_the_key_of_a_form_is_that_of_all_that_is_said(params: dict[str, Any], contents: list[Any], role: str) -> None:
    def said(values: list[Any]) -> list[Any]:
        return ["chat", "50 %s", {**params, "messages": [{"role": role, "content": value} for value in values]}]

    assert KeyForm(said([HOLE] * len(contents))).key(contents) == base_key(said(contents))
