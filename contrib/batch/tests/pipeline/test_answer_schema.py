from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from penstock_batch.pipeline.answer_schema import AnswerSchema, read_schema
from penstock_batch.pipeline.schema_bounds import PATTERN_SECONDS, pattern_problem
from penstock_batch.pipeline.schema_problems import SchemaProblem, TooMuchToJudge

TICKET: dict[str, Any] = {
    "type": "object",
    "properties": {
        "team": {"enum": ["billing", "shipping"]},
        "urgency": {"type": "integer", "minimum": 1, "maximum": 5},
        "tags": {"type": "array", "items": {"type": "string", "pattern": "^[a-z-]{1,20}$"}, "uniqueItems": True},
    },
    "required": ["team", "urgency"],
    "additionalProperties": False,
}


def wrong(schema: dict[str, Any], value: Any) -> str | None:
    return AnswerSchema(schema).wrong_with(value)


def problem_of(schema: Any) -> str:
    with pytest.raises(SchemaProblem) as caught:
        AnswerSchema(schema)
    return str(caught.value)


def test_what_fits_is_right() -> None:
    assert wrong(TICKET, {"team": "billing", "urgency": 3, "tags": ["a", "b-c"]}) is None


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"team": "sales", "urgency": 3}, "team: 'sales' is not one of"),
        ({"team": "billing", "urgency": 6}, "urgency: 6 is greater"),
        ({"team": "billing", "urgency": True}, "urgency: True is not of type 'integer'"),
        ({"team": "billing"}, "'urgency' is a required property"),
        ({"team": "billing", "urgency": 1, "tags": ["A"]}, "tags[0]: 'A' does not match"),
        ({"team": "billing", "urgency": 1, "tags": ["a", "a"]}, "tags: 'a' stands in it twice"),
        ({"team": "billing", "urgency": 1, "note": ""}, "'note' may not be there"),
        ([], "[] is not of type 'object'"),
        (None, "None is not of type 'object'"),
    ],
)
def test_what_does_not_is_told_with_its_place(value: Any, said: str) -> None:
    assert (wrong(TICKET, value) or "").startswith(said)


def test_at_most_three_things_are_told_in_a_line_of_bounded_length() -> None:
    said = wrong({"items": {"type": "string", "maxLength": 1}}, ["x\ny" * 100_000] * 1000) or ""
    assert said.count("[") == 3
    assert len(said) < 800
    assert "\n" not in said


def test_of_alternatives_the_likeliest_is_told() -> None:
    said = wrong({"anyOf": [{"type": "string"}, {"properties": {"a": {"const": 1}}, "required": ["a"]}]}, {"a": 2})
    assert said is not None
    assert "1 was expected" in said


# -- what is wrong with a schema is told before anything runs --


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "objekt"}, "type: 'objekt'"),
        ({"properties": []}, "properties:"),
        ({"required": "a"}, "required:"),
        ({"$schema": "http://json-schema.org/draft-03/schema#"}, "$schema:"),
        ({"$schema": 7}, "$schema:"),
        ({"$schema": "https://example.com/mine"}, "is not known"),
        ({"properties": {"a": {"$schema": "http://json-schema.org/draft-07/schema#"}}}, "at the top"),
        ({"$ref": "https://example.com/other.json"}, "leads to no place within the schema"),
        ({"$ref": "https://json-schema.org/draft/2020-12/schema"}, "leads to no place within the schema"),
        ({"$ref": "other.json"}, "leads to no place within the schema"),
        ({"$ref": "file:///etc/passwd"}, "leads to no place within the schema"),
        ({"$ref": "#/$defs/none"}, "leads to no place within the schema"),
        ({"$ref": "#none"}, "leads to no place within the schema"),
        ({"items": {"$dynamicRef": "#none"}}, "leads to no place within the schema"),
        ({"$ref": "#"}, "no end"),
        ({"$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}}, "no end"),
        ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"not": {"$ref": "#/$defs/a"}}}}, "no end"),
        ({"properties": {"a": {"pattern": "("}}}, "'(' is no pattern"),
        ({"patternProperties": {"[": {}}}, "'[' is no pattern"),
        ({"pattern": "((a{1000}){1000}){1000}"}, "repeats"),
        ({"pattern": "a{1000000000}"}, "repeats"),
        ({"pattern": "(" * 5000 + ")" * 5000}, "nested too deeply"),
        ({"pattern": "x" * 10_001}, "characters"),
        ({"patternProperties": {"a": {}}, "unevaluatedProperties": False}, "is not supported"),
        ({"minimum": float("nan")}, "is no JSON"),
        ({"const": {1, 2}}, "is no JSON"),
    ],
)
def test_a_schema_that_is_wrong_is_refused(schema: Any, said: str) -> None:
    assert said in problem_of(schema)


def test_a_schema_within_a_hundred_others_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(200):
        deep = {"not": deep}
    assert "nested" in problem_of(deep)


@pytest.mark.parametrize(
    "schema",
    [
        {"$defs": {"tree": {"properties": {"in": {"items": {"$ref": "#/$defs/tree"}}}}}, "$ref": "#/$defs/tree"},
        {"properties": {"again": {"$ref": "#"}}},
        {"$id": "https://example.com/a", "$defs": {"x": {"$anchor": "x"}}, "items": {"$ref": "#x"}},
        {"$id": "https://example.com/a", "$defs": {"x": {}}, "items": {"$ref": "a#/$defs/x"}},
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "definitions": {"x": {}},
            "items": {"$ref": "#/definitions/x"},
        },
        {"components": {"x": {"type": "string"}}, "items": {"$ref": "#/components/x"}},
        {"properties": {"$ref": {"type": "string"}, "pattern": {"const": {"$ref": "https://example.com"}}}},
        {"enum": [{"$ref": "https://example.com"}]},
        {"pattern": r"^\p{Lu}[\p{L} ]+(?<!x)$"},
        {},
    ],
)
def test_a_schema_that_is_right_is_taken(schema: Any) -> None:
    AnswerSchema(schema)


def test_a_reference_is_followed_in_values_that_are_nested() -> None:
    tree = {"$ref": "#/$defs/t", "$defs": {"t": {"additionalProperties": {"$ref": "#/$defs/t"}, "type": "object"}}}
    assert wrong(tree, {"a": {"b": {"c": {}}}}) is None
    assert wrong(tree, {"a": {"b": {"c": 1}}}) == "a.b.c: 1 is not of type 'object'"


# -- and to judge by it has an end --


def test_a_pattern_that_never_ends_is_given_up() -> None:
    schema = AnswerSchema({"items": {"pattern": "^(a|aa)+$"}})
    assert schema.wrong_with(["aaa"]) is None
    with pytest.raises(TooMuchToJudge, match="pattern"):
        schema.wrong_with(["a" * 5000 + "!"] * 50)


def test_patterns_that_take_long_share_the_time() -> None:
    """Each of these takes a part of what there is, and a hundred of them more than that."""
    schema = AnswerSchema({"items": {"not": {"pattern": "^(a|aa)+$"}}})
    length, took = 20, 0.0
    while took < PATTERN_SECONDS / 10:
        began = time.monotonic()
        schema.wrong_with(["a" * length + "!"])
        length, took = length + 1, time.monotonic() - began
    with pytest.raises(TooMuchToJudge, match="pattern"):
        schema.wrong_with(["a" * length + "!"] * 100)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"multipleOf": 1e-300}, 1e308),
        ({"multipleOf": 5e-324}, 10**400),
        ({"minimum": 1e308}, 10**4000),
        ({"format": "date"}, "9" * 5000),
        ({"format": "date-time"}, "2024-01-01T00:00:00+99:99"),
        ({"format": "ipv4"}, "\ud800"),
        ({"maxLength": 3}, "\ud800\x00\x1b"),
        ({"unevaluatedProperties": False, "anyOf": [{"properties": {"a": {}}}]}, {"b": 1}),
        ({"contains": {"minimum": 3}, "minContains": 2}, [1, 2, "3", None, 4]),
    ],
)
def test_odd_values_are_right_or_wrong_and_never_an_error(schema: dict[str, Any], value: Any) -> None:
    with suppress(TooMuchToJudge):
        said = AnswerSchema(schema).wrong_with(value)
        assert said is None or len(said) < 1000


def test_names_of_members_are_searched_in_bounded_time_too() -> None:
    searching: dict[str, Any] = {"patternProperties": {"^(a|aa)+$": {}}}
    for schema in (searching, {**searching, "additionalProperties": False}):
        with pytest.raises(TooMuchToJudge):
            AnswerSchema(schema).wrong_with({"a" * 5000 + "!": 1})


def test_references_that_multiply_are_given_up() -> None:
    parts: dict[str, Any] = {f"a{i}": {"allOf": [{"$ref": f"#/$defs/a{i + 1}"}] * 2} for i in range(40)}
    schema = AnswerSchema({"$defs": {**parts, "a40": {"type": "string"}}, "$ref": "#/$defs/a0"})
    with pytest.raises(TooMuchToJudge, match="steps"):
        schema.wrong_with("x")


def test_many_items_are_compared_in_one_pass() -> None:
    items: list[Any] = [{"n": i} for i in range(50_000)]
    assert wrong({"uniqueItems": True}, items) is None
    assert wrong({"uniqueItems": True}, [*items, {"n": 7.0}]) == "{'n': 7.0} stands in it twice"


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.sampled_from([0.0, 1.0, -1.5])
    | st.sampled_from(["", "a", "1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=6,
)


@given(st.lists(VALUES, max_size=5))
@example([1, True])
@example([{"a": [0]}, {"a": [False]}])
@example([1, 1.0])
def test_items_are_the_same_where_json_schema_says_so(items: list[Any]) -> None:
    """1 and 1.0 are the same, 1 and true are not: as the library says by `const`."""
    twice = any(wrong({"const": a}, b) is None for i, a in enumerate(items) for b in items[i + 1 :])
    assert (wrong({"uniqueItems": True}, items) is not None) == twice


@pytest.mark.parametrize(
    ("name", "right", "not_right"),
    [
        ("date", "2024-02-29", "2023-02-29"),
        ("date-time", "2024-02-29T23:59:59.5Z", "2024-02-29 23:59"),
        ("date-time", "2024-01-01T00:00:00+01:00", "2024-13-01T00:00:00Z"),
        ("email", "a@b", "ab"),
        ("ipv4", "127.0.0.1", "127.0.0.256"),
        ("ipv6", "::1", ":::"),
        ("uuid", "2c0b6f0e-0000-4000-8000-000000000000", "2c0b6f0e"),
    ],
)
def test_formats_that_need_no_library_are_looked_at(name: str, right: str, not_right: str) -> None:
    assert wrong({"format": name}, right) is None
    assert wrong({"format": name}, not_right) is not None
    assert wrong({"format": name}, 7) is None


def test_other_formats_say_nothing() -> None:
    assert wrong({"format": "idn-hostname"}, "??") is None
    assert wrong({"format": "regex"}, "(") is None


# -- where it is from --


def test_a_schema_is_read_from_a_file_beside_the_pipeline(tmp_path: Path) -> None:
    (tmp_path / "ticket.json").write_text("\ufeff" + json.dumps(TICKET), encoding="utf-8")
    assert read_schema("ticket.json", tmp_path).contents == TICKET


@pytest.mark.parametrize("text", ["", "[]", "true", "{", '{"a": NaN}', "[" * 100_000, '{"type": 3}', "\x00"])
def test_a_file_that_holds_no_schema_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "ticket.json").write_text(text, encoding="utf-8")
    with pytest.raises(SchemaProblem, match=r"ticket\.json: "):
        read_schema("ticket.json", tmp_path)


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b" " * ((1 << 20) + 1))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name in ("folder", "pipe", "large", "binary", "none", "", "a\x00b", "x" * 5000):
        with pytest.raises(SchemaProblem):
            read_schema(name, tmp_path)


def test_the_members_of_an_object_are_known() -> None:
    assert AnswerSchema(TICKET).properties == ("team", "urgency", "tags")
    assert AnswerSchema({"properties": {"a": {}}}).properties == ()


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        ({"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": False}, True),
        ({"type": "object", "properties": {"a": {}}, "required": ["a"]}, False),
        (TICKET, False),
        ({"type": "array"}, False),
        ({"type": "object", "additionalProperties": False, "allOf": [{}]}, False),
    ],
)
def test_it_is_known_whether_a_schema_fulfils_the_strict_mode(schema: Any, strict: bool) -> None:
    assert AnswerSchema(schema).strict is strict


@pytest.mark.parametrize(
    "pattern", [r"\d{4}-\d{2}-\d{2}", "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "^.{1,5000}$", ""]
)
def test_ordinary_patterns_are_taken(pattern: str) -> None:
    assert pattern_problem(pattern) is None
