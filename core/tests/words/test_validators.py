"""What the validators of plugin configurations refuse, in which words, and where a TOML file shows it."""

from __future__ import annotations

from math import inf, nan
from typing import Any, Literal

import attrs
import pytest

from penstock import (
    ConfigError,
    not_empty,
    number_above,
    number_from,
    one_of,
    structure,
    true_or_false,
    whole_number_from,
)


def record(validator: Any) -> Any:
    return attrs.make_class("Config", {"field": attrs.field(validator=validator)}, frozen=True)


@pytest.mark.parametrize(
    ("validator", "fits", "misfits", "wanted"),
    [
        (number_from(0.5), [0.5, 1, 1e300], [0.4, inf, nan, True, "1", None], "a number of at least 0.5"),
        (number_from(0.01, 1.0), [0.01, 1], [0.0, 1.1, nan, False], "a number from 0.01 to 1"),
        (number_above(0.0), [1e-9, 3], [0, -1.0, inf, True, "1"], "a number above 0"),
        (number_above(0.0, 1.0), [0.1, 1], [0.0, 1.5, nan, True], "a number above 0 and at most 1"),
        (whole_number_from(4), [4, 10**20], [3, 4.0, True, None, "4", 10**400], "a whole number from 4 on"),
        (true_or_false, [True, False], [1, "yes", None], "true or false"),
        (one_of(Literal["a", "b", "c"]), ["a", "c"], ["d", "", 1, None], '"a", "b" or "c"'),
        (one_of(Literal["a", "b"]), ["b"], ["c"], '"a" or "b"'),
        (one_of(Literal["a"]), ["a"], ["b"], '"a"'),
    ],
)
def test_a_misfit_is_refused_with_what_would_fit(
    validator: Any, fits: list[object], misfits: list[object], wanted: str
) -> None:
    config = record(validator)
    assert [config(value).field for value in fits] == fits
    for value in misfits:
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text is looked at
            config(value)
        assert str(caught.value) == f"field must be {wanted}, not {value!r}"


def test_a_name_is_not_empty() -> None:
    config = record(not_empty)
    assert config("acme").field == "acme"
    with pytest.raises(ValueError, match=r"^field must not be empty$"):
        config("")


def test_in_a_file_the_objection_stands_at_the_path_of_the_field() -> None:
    @attrs.frozen
    class Config:
        share: float = attrs.field(default=1.0, validator=number_above(0.0, 1.0))

    with pytest.raises(ConfigError) as caught:
        structure({"share": 2.0}, Config, source="run.toml", path=("plugins", "mine"))
    assert caught.value.problems == ("run.toml: plugins.mine.share: must be a number above 0 and at most 1, not 2.0",)
