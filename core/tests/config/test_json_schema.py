"""From types to JSON Schema, and from what authors write down to the help of a key."""

from __future__ import annotations

import enum
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Literal, NewType

import attrs
import pytest

from penstock.config.json_schema import SchemaMaking
from penstock.config.key_help import key_help, table_help


class Colour(enum.Enum):
    RED = "red"
    BLUE = 2


Cap = NewType("Cap", int)


@attrs.frozen
class Node:
    """A node."""

    name: str
    below: list[Node] = attrs.field(factory=list)
    """The nodes
    below it."""
    weight: float = attrs.field(default=float("inf"))
    where: Path = Path("here")
    colour: Colour = Colour.RED
    cores: int = attrs.field(factory=lambda: 7)


@attrs.frozen
class Written:
    amount: int

    @classmethod
    def from_text(cls, text: str) -> Written:
        return cls(int(text))


@pytest.mark.parametrize(
    ("wanted", "schema"),
    [
        (bool, {"type": "boolean"}),
        (int | None, {"type": "integer"}),
        (float, {"type": "number"}),
        (Path, {"type": "string"}),
        (datetime, {"type": "string", "format": "date-time"}),
        (date, {"type": "string", "format": "date"}),
        (time, {"type": "string", "format": "time"}),
        (Colour, {"enum": ["red", 2]}),
        (Literal["a", "b"], {"enum": ["a", "b"]}),
        (Annotated[str, "x"], {"type": "string"}),
        (Cap, {"type": "integer"}),
        (Any, {}),
        (object, {}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (tuple[str, ...], {"type": "array", "items": {"type": "string"}}),
        (frozenset[str], {"type": "array", "items": {"type": "string"}}),
        (
            tuple[int, str],
            {
                "type": "array",
                "prefixItems": [{"type": "integer"}, {"type": "string"}],
                "items": False,
                "minItems": 2,
                "maxItems": 2,
            },
        ),
        (dict[str, bool], {"type": "object", "additionalProperties": {"type": "boolean"}}),
        (dict, {"type": "object"}),
        (str | list[str], {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
        (Written, {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/Written"}]}),
    ],
)
def test_each_type_has_its_schema(wanted: Any, schema: Any) -> None:
    assert SchemaMaking().of(wanted) == schema


def test_a_record_that_holds_its_like_is_described_once() -> None:
    making = SchemaMaking()
    assert making.of(list[Node]) == {"type": "array", "items": {"$ref": "#/$defs/Node"}}
    assert list(making.definitions) == ["Node"]
    assert making.definitions["Node"]["properties"]["below"] == {
        "type": "array",
        "items": {"$ref": "#/$defs/Node"},
        "description": "The nodes below it.",
        "default": [],
    }


def test_a_default_stands_there_where_it_is_the_same_everywhere_and_json_has_it() -> None:
    making = SchemaMaking()
    making.of(Node)
    defaults = {key: value.get("default") for key, value in making.definitions["Node"]["properties"].items()}
    assert defaults == {"name": None, "below": [], "weight": None, "where": "here", "colour": "red", "cores": None}


def test_two_records_of_one_name_are_told_apart() -> None:
    first, second = attrs.make_class("Twin", {"a": attrs.field(type=int)}), attrs.make_class("Twin", {})
    making = SchemaMaking()
    assert making.of(first) != making.of(second)
    assert len(making.definitions) == 2


def test_of_several_ways_to_write_help_the_nearest_to_the_field_counts() -> None:
    @attrs.frozen
    class Config:
        """A table.

        More of it.

        - `a`, `b`: of the class,
          in two lines
        - `kind = "x"`: no key
        - `c`: of the class

        `d`  of the class
        not any more
        """

        a: int = 1
        b: int = attrs.field(default=2, metadata={"help": "of the metadata"})
        c: int = 3
        """of the field"""
        d: int = 4
        e: int = 5

    assert key_help(Config) == {
        "a": "of the class, in two lines",
        "b": "of the metadata",
        "c": "of the field",
        "d": "of the class",
    }
    assert table_help(Config) == "A table. More of it."


def test_a_class_without_source_has_the_help_of_its_docstring() -> None:
    made = attrs.make_class("Made", {"a": attrs.field(type=int)})
    made.__doc__ = "`a`  how many"
    assert key_help(made) == {"a": "how many"}
