"""A value fits its type, or is reported with its path; nothing is coerced, and no problem hides another."""

from __future__ import annotations

import enum
from contextlib import suppress
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Literal, NewType

import attrs
import pytest
from hypothesis import given, strategies as st

from penstock import ConfigError, Problem, structure

Seconds = NewType("Seconds", float)


class Colour(enum.Enum):
    RED = "red"
    ONE = 1


class Level(enum.StrEnum):
    LOW = "low"


@attrs.frozen
class Inner:
    size: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    names: list[str] = attrs.field(factory=list)


@attrs.frozen
class Outer:
    needed: str
    inner: Inner = attrs.field(factory=Inner)
    many: dict[str, Inner] = attrs.field(factory=dict)
    steps: list[Inner] = attrs.field(factory=list)
    _hidden: int = 3


def problems(data: object, wanted: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        structure(data, wanted, source="f.toml")
    return list(caught.value.problems)


FITS: list[tuple[Any, object, object]] = [
    (bool, False, False),
    (int, 3, 3),
    (float, 1.5, 1.5),
    (float, 1, 1.0),
    (str, "x", "x"),
    (Path, "a/b", Path("a/b")),
    (datetime, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)),
    (date, date(2026, 1, 1), date(2026, 1, 1)),
    (time, time(8), time(8)),
    (list[int], [1, 2], [1, 2]),
    (list, [1, "a"], [1, "a"]),
    (tuple[str, ...], ["a"], ("a",)),
    (tuple[str, int], ["a", 1], ("a", 1)),
    (frozenset[int], [1, 1], frozenset({1})),
    (dict[str, int], {"a": 1}, {"a": 1}),
    (int | None, None, None),
    (int | None, 4, 4),
    (str | int, 4, 4),
    (float | int, 4, 4),
    (Literal["a", 2], 2, 2),
    (Colour, "red", Colour.RED),
    (Colour, 1, Colour.ONE),
    (Level, "low", Level.LOW),
    (object, ["as it is"], ["as it is"]),
    (Any, {"x": 1}, {"x": 1}),
    (Annotated[int, "words"], 1, 1),
    (Seconds, 2, 2.0),
]


@pytest.mark.parametrize(("wanted", "value", "expected"), FITS)
def test_a_value_that_fits_is_taken_as_it_is(wanted: Any, value: object, expected: object) -> None:
    made: object = structure(value, wanted)
    assert made == expected
    assert type(made) is type(expected)


MISFITS: list[tuple[Any, object, str]] = [
    (bool, "false", 'must be true or false, not "false"'),
    (bool, 1, "must be true or false, not 1"),
    (int, True, "must be a whole number, not true"),
    (int, 1.0, "must be a whole number, not 1.0"),
    (int, "20", 'must be a whole number, not "20"'),
    (float, True, "must be a number, not true"),
    (float, "1.5", 'must be a number, not "1.5"'),
    (str, 1, "must be text, not 1"),
    (str, ["a"], "must be text, not a list"),
    (Path, 1, "must be a path, not 1"),
    (date, datetime(2026, 1, 1), "must be a date, not 2026-01-01T00:00:00"),
    (datetime, date(2026, 1, 1), "must be a date with a time, not 2026-01-01"),
    (list[str], "abc", 'must be a list (each: text), not "abc"; put it into brackets'),
    (tuple[str, int], ["a"], "must be a list of exactly 2 (text, a whole number), not one of 1"),
    (dict[str, int], [1], "must be a table (each: a whole number), not a list"),
    (int | None, "x", 'must be a whole number, not "x"'),
    (str | int, 1.5, "must be text or a whole number, not 1.5"),
    (Literal["a", "b"], "c", 'must be "a" or "b", not "c"'),
    (Literal[1], True, "must be 1, not true"),
    (Colour, True, 'must be "red" or 1, not true'),
    (Level, "high", 'must be "low", not "high"'),
    (Inner, "x", 'must be a table, not "x"'),
]


@pytest.mark.parametrize(("wanted", "value", "reported"), MISFITS)
def test_a_value_that_does_not_fit_is_reported_and_never_converted(wanted: Any, value: object, reported: str) -> None:
    assert problems(value, wanted) == [f"f.toml: {reported}"]


def test_a_whole_number_that_no_float_holds_is_reported_at_its_key() -> None:
    @attrs.frozen
    class Waits:
        seconds: float = 1.0
        most: float | None = None

    found = problems({"seconds": 10**400, "most": -(10**400)}, Waits)
    assert [each.split(", not ")[0] for each in found] == [
        "f.toml: seconds: must be a number between -1.8e308 and 1.8e308",
        "f.toml: most: must be a number between -1.8e308 and 1.8e308",
    ]


def test_all_problems_are_reported_together_each_with_its_path() -> None:
    data = {
        "inner": {"size": 0, "name": []},
        "many": {"a.b": {"size": "x"}},
        "steps": [{}, {"names": ["ok", 5]}],
        "hiden": 1,
    }
    assert problems(data, Outer) == [
        "f.toml: hiden: unknown key; did you mean 'hidden'?",
        "f.toml: needed: is missing; it must be text",
        "f.toml: inner.name: unknown key; did you mean 'names'?",
        "f.toml: inner.size: must be >= 1: 0",
        'f.toml: many."a.b".size: must be a whole number, not "x"',
        "f.toml: steps[1].names[1]: must be text, not 5",
    ]


def test_a_key_of_a_private_field_is_written_without_its_underscore() -> None:
    made: Outer = structure({"needed": "x", "hidden": 9}, Outer)
    assert made == Outer("x", hidden=9)


def test_an_unknown_key_that_resembles_nothing_is_reported_with_what_there_is() -> None:
    assert problems({"zzz": 1}, Inner) == ["f.toml: zzz: unknown key; known are names, size"]


def test_an_unknown_key_that_looks_like_a_secret_is_not_shown() -> None:
    secret = "sk-v3rySecretAndL0ngEnough"
    assert problems({"needed": "x", "inner": {secret: 1}}, Outer) == [
        "f.toml: inner: holds an unknown key, which looks like a secret and is not shown; known are names, size"
    ]


def test_a_validator_that_raises_is_reported_with_the_key_it_speaks_of() -> None:
    def no_odd(_: object, attribute: attrs.Attribute[int], value: int) -> None:
        if value % 2:
            raise ConfigError(f"{attribute.name} must be even, not {value}")

    @attrs.frozen
    class Even:
        a: int = attrs.field(validator=no_odd)
        b: int = attrs.field(validator=attrs.validators.instance_of(int))
        c: int = attrs.field(default=2, validator=no_odd)

    assert problems({"a": 1, "b": 2, "c": 3}, Even) == [
        "f.toml: a: must be even, not 1",
        "f.toml: c: must be even, not 3",
    ]


def test_an_objection_to_the_record_as_a_whole_is_reported_at_the_record() -> None:
    @attrs.frozen
    class Range:
        low: int
        high: int

        def __attrs_post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("low must not be above high")

    assert problems({"r": {"low": 2, "high": 1}}, dict[str, Range]) == ["f.toml: r: low must not be above high"]


def test_each_problem_is_a_record_with_file_and_path() -> None:
    with pytest.raises(ConfigError) as caught:
        structure({"steps": [{"size": 0}], "zzz": 1}, Outer, source="f.toml", path=("plugins", "x"))

    assert [(record.source, record.path) for record in caught.value.records] == [
        ("f.toml", ("plugins", "x", "zzz")),
        ("f.toml", ("plugins", "x", "needed")),
        ("f.toml", ("plugins", "x", "steps", 0, "size")),
    ]
    assert tuple(map(str, caught.value.records)) == caught.value.problems


def test_a_validator_may_say_itself_at_which_keys_something_is_wrong() -> None:
    def no_odd(_: object, attribute: attrs.Attribute[Any], value: dict[str, int]) -> None:
        odd = [Problem((attribute.name, key), "must be even") for key, each in value.items() if each % 2]
        if odd:
            raise ConfigError(odd)

    @attrs.frozen
    class Limits:
        must: dict[str, int] = attrs.field(validator=no_odd)

    assert problems({"must": {"a": 1, "b": 2, "c": 3}}, Limits) == [
        "f.toml: must.a: must be even",
        "f.toml: must.c: must be even",
    ]


def test_where_the_type_is_wrong_already_the_validator_is_not_asked_too() -> None:
    def there(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value is None:
            raise ValueError("must be given")

    @attrs.frozen
    class Needy:
        needed: int | None = attrs.field(default=None, validator=there)

    assert problems({"needed": "x"}, Needy) == ['f.toml: needed: must be a whole number, not "x"']
    assert problems({}, Needy) == ["f.toml: needed: must be given"]


@attrs.frozen
class Span:
    first: int = attrs.field(metadata={"key": "from"}, validator=attrs.validators.ge(0))
    to: int

    @classmethod
    def from_text(cls, text: str) -> Span:
        first, dash, last = text.partition("-")
        if not dash:
            raise ValueError(f"must read like '2-4', not {text!r}")
        return cls(int(first), int(last))


def test_a_key_that_is_no_name_in_python_is_reported_by_the_fields_metadata() -> None:
    assert structure({"from": 1, "to": 2}, Span) == Span(1, 2)
    assert problems({"from": -1, "to": 2}, Span) == ["f.toml: from: must be >= 0: -1"]
    assert problems({"first": 1, "to": 2}, Span) == [
        "f.toml: first: unknown key; known are from, to",
        "f.toml: from: is missing; it must be a whole number",
    ]


def test_a_class_may_be_written_as_text() -> None:
    assert structure("2-4", Span) == Span(2, 4)
    assert problems("2", Span) == ["f.toml: must read like '2-4', not '2'"]


@pytest.mark.parametrize(
    ("value", "reported"),
    [
        ({"from": 1, "to": "x"}, 'to: must be a whole number, not "x"'),
        ([1, "x"], '[1]: must be a whole number, not "x"'),
        ("2", "must read like '2-4', not '2'"),
        (3, "must be a table or a list (each: a whole number), not 3"),
    ],
)
def test_of_several_types_the_one_that_is_written_so_tells_what_is_wrong_inside(value: object, reported: str) -> None:
    assert problems(value, Span | list[int] | None) == [f"f.toml: {reported}"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("api_key", "swordfish"),
        ("apikey", "swordfish"),
        ("Authorization", "Bearer x"),
        ("access-token", "abc"),
        ("db_password", 1234),
        ("keys", ["swordfish"]),
        ("client_secret", {"value": "swordfish"}),
        ("note", "sk-proj-4f9aB1c2D3e4F5a6b7"),
        ("headers", ["Bearer eyJhbGciOiJIUzI1NiJ9.e30.abc"]),
        ("base_url", "https://me:swordfish@example.org/v1"),
    ],
)
@pytest.mark.parametrize("wanted", [date, Literal["a"], list[date], dict[str, date], Colour])
def test_a_secret_is_not_shown(key: str, value: object, wanted: Any) -> None:
    reported = "\n".join(problems({"x": {key: value}}, dict[str, dict[str, wanted]]))

    assert f"x.{key}" in reported
    for shown in ("swordfish", "Bearer", "abc", "1234", "sk-proj"):
        assert shown not in reported


def test_nor_does_a_foreign_validator_show_it() -> None:
    @attrs.frozen
    class Account:
        token: str = attrs.field(validator=attrs.validators.matches_re("t-.*"))
        keys: list[str] = attrs.field()

        @keys.validator
        def _long(self, _: attrs.Attribute[Any], value: list[str]) -> None:
            raise ValueError(f"keys must be long, not {value}")

    first, second = problems({"token": "swordfish", "keys": ["tuna"]}, Account)
    assert first.startswith("f.toml: token: ")
    assert "swordfish" not in first
    assert second == "f.toml: keys: must be long, not [text]"


@pytest.mark.parametrize(
    ("key", "value"),
    [("tokens", "many"), ("token-budget", "off"), ("monkey", "x"), ("model", "a-model-with-a-long-name")],
)
def test_what_only_resembles_a_secret_is_shown(key: str, value: str) -> None:
    assert problems({key: value}, dict[str, int]) == [f'f.toml: {key}: must be a whole number, not "{value}"']


def test_a_validator_that_looks_at_a_sibling_of_the_wrong_type_keeps_its_opinion() -> None:
    @attrs.frozen
    class Pair:
        low: int
        high: int = attrs.field()

        @high.validator
        def _above(self, _: attrs.Attribute[int], value: int) -> None:
            if value < self.low:
                raise ValueError("high must be above low")

    assert problems({"low": "x", "high": 1}, Pair) == ['f.toml: low: must be a whole number, not "x"']


@pytest.mark.parametrize("wanted", [bytes, complex, dict[int, str]])
def test_a_type_that_no_toml_value_fits_is_the_authors_error(wanted: Any) -> None:
    cls = attrs.make_class("Bad", {"field": attrs.field(type=wanted)})
    with pytest.raises(TypeError, match="a configuration cannot hold"):
        structure({"field": 1}, cls)


def test_an_annotation_that_cannot_be_resolved_is_the_authors_error() -> None:
    cls = attrs.make_class("Bad", {"field": attrs.field(type="NotImported")})  # type: ignore[call-overload]
    cls.__annotations__ = {"field": "NotImported"}
    with pytest.raises(TypeError, match=r"NotImported.*not under TYPE_CHECKING"):
        structure({"field": 1}, cls)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_whatever_is_in_a_file_is_built_or_reported(data: object) -> None:
    with suppress(ConfigError):
        made: Outer = structure(data, Outer)
        assert type(made.inner.size) is int
