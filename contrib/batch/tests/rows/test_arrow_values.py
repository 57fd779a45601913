"""Arrow's values as JSON and back: each type, the awkward values of each, and whatever Hypothesis thinks of."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

from penstock_batch.rows import arrow_moments as moments
from penstock_batch.rows.arrow_values import plain, restored, returning

UNITS = st.sampled_from(["s", "ms", "us", "ns"])
COUNTS = st.integers(-(2**63), 2**63 - 1)
MAPS = pa.map_(pa.string(), pa.int64())


@pytest.mark.parametrize(
    ("array", "values"),
    [
        (pa.array([1, None, 2**63 - 1]), [1, None, 2**63 - 1]),
        (pa.array([2**64 - 1], pa.uint64()), [2**64 - 1]),
        (pa.array([1.5, float("nan"), float("inf"), -float("inf")]), [1.5, "NaN", "Infinity", "-Infinity"]),
        (pa.array([0.1], pa.float32()), [0.10000000149011612]),
        (pa.array([1.5], pa.float32()).cast(pa.float16()), [1.5]),
        (pa.array([Decimal("12.30"), Decimal("-0.01")], pa.decimal128(10, 2)), ["12.30", "-0.01"]),
        (pa.array([Decimal("1" * 60)], pa.decimal256(76, 0)), ["1" * 60]),
        (pa.array([b"\x00\xff", None]), ["AP8=", None]),
        (pa.array([b"ab"], pa.binary(2)), ["YWI="]),
        (pa.array(["nul \0", "ü"], pa.large_string()), ["nul \0", "ü"]),
        (pa.array(["a", "b", "a", None]).dictionary_encode(), ["a", "b", "a", None]),
        (pa.array([1, None], pa.timestamp("ns")), ["1970-01-01T00:00:00.000000001", None]),
        (pa.array([-1], pa.timestamp("ms", "Europe/Berlin")), ["1969-12-31T23:59:59.999Z"]),
        (pa.array([2**62], pa.timestamp("s")), ["+146138514283-06-19T07:45:04"]),
        (pa.array([dt.date(2026, 1, 31)]), ["2026-01-31"]),
        (pa.array([dt.date(2026, 1, 31)], pa.date64()), ["2026-01-31"]),
        (pa.array([3_723_004], pa.time32("ms")), ["01:02:03.004"]),
        (pa.array([5], pa.time64("ns")), ["00:00:00.000000005"]),
        (pa.array([-1500], pa.duration("ms")), ["-1.5s"]),
        (pa.array([(1, 2, 3)], pa.month_day_nano_interval()), [{"months": 1, "days": 2, "nanoseconds": 3}]),
        (pa.array([[("a", 1)], None, []], MAPS), [{"a": 1}, None, {}]),
        (pa.array([[(1, "x")]], pa.map_(pa.int64(), pa.string())), [{"1": "x"}]),
        (pa.array([[1, None], None, []]), [[1, None], None, []]),
        (pa.array([[1, 2], None], pa.list_(pa.int64(), 2)), [[1, 2], None]),
        (pa.array([[1], None], pa.list_view(pa.int64())), [[1], None]),
        (pa.array([{"a": [b"x"]}, None, {"a": None}]), [{"a": ["eA=="]}, None, {"a": None}]),
        (pa.array([None, {}], pa.struct([])), [None, {}]),
        (pa.array([None, None]), [None, None]),
        (pa.array(['{"a": [1]}', "null"], pa.json_()), [{"a": [1]}, None]),
        (pa.array([b"\0" * 16], pa.uuid()), ["00000000-0000-0000-0000-000000000000"]),
        (pa.RunEndEncodedArray.from_arrays([2, 3], ["a", "b"]), ["a", "a", "b"]),
    ],
    ids=lambda given: str(given.type) if isinstance(given, pa.Array) else "",
)
def test_each_type_has_its_place_in_json_also_within_a_slice(array: pa.Array, values: list[Any]) -> None:
    assert plain(array) == values
    json.dumps(values, allow_nan=False)
    assert plain(array[1:]) == values[1:]
    twice = pa.concat_arrays([array, array])
    assert plain(twice[len(array) :]) == values


@pytest.mark.parametrize(
    "array",
    [
        pa.array([b"\xff"]).view(pa.string()),
        pa.array([[("a", 1), ("a", 2)]], MAPS),
        pa.array(["{"], pa.json_()),
        pa.array(["NaN"], pa.json_()),
    ],
    ids=["not UTF-8", "a key twice", "no JSON", "no JSON number"],
)
def test_a_value_without_a_place_is_refused(array: pa.Array) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        plain(array)


def test_a_type_without_a_place_is_refused() -> None:
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
    with pytest.raises(TypeError):
        plain(union)
    with pytest.raises(TypeError):
        plain(pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]))


@given(COUNTS, UNITS, st.booleans())
def test_every_moment_comes_back(count: int, unit: str, utc: bool) -> None:
    assert moments.moment_of(moments.moment_text(count, unit, utc=utc), unit, utc=utc) == count


@given(COUNTS, UNITS)
def test_every_duration_comes_back(count: int, unit: str) -> None:
    assert moments.duration_of(moments.duration_text(count, unit), unit) == count


@given(st.datetimes())
def test_a_moment_is_written_as_python_writes_it(moment: dt.datetime) -> None:
    count = (moment - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1)
    text = moments.moment_text(count, "us", utc=False)
    assert dt.datetime.fromisoformat(text) == moment


@pytest.mark.parametrize(
    "text",
    ["", "x", "2026-02-30T00:00:00", "2026-01-01T24:00:00", "2026-01-01T00:00:00.0000000001", "2026-01-01T00:00:00Z"],
)
def test_what_is_no_moment_of_the_unit_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        moments.moment_of(text, "ns", utc=False)


LEAVES = st.sampled_from(
    [
        pa.bool_(),
        pa.int8(),
        pa.uint64(),
        pa.float32(),
        pa.float64(),
        pa.string(),
        pa.large_string(),
        pa.binary(),
        pa.binary(3),
        pa.decimal128(20, 4),
        pa.timestamp("us"),
        pa.timestamp("ns", "UTC"),
        pa.date32(),
        pa.time64("us"),
        pa.duration("ms"),
        pa.uuid(),
    ]
)
TYPES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.filter(lambda kind: not isinstance(kind, pa.BaseExtensionType)).map(pa.list_),
        st.dictionaries(st.text(max_size=3), inner, min_size=1, max_size=3).map(
            lambda fields: pa.struct(
                [(name, kind) for name, kind in fields.items() if not isinstance(kind, pa.BaseExtensionType)]
                or [("x", pa.int64())]
            )
        ),
    ),
    max_leaves=4,
)


def values_of(kind: pa.DataType) -> st.SearchStrategy[Any]:
    """What `pyarrow.array` takes for a type; nothing too."""
    return st.none() | _values_of(kind)


def _values_of(kind: pa.DataType) -> st.SearchStrategy[Any]:
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return st.binary(min_size=16, max_size=16)
    if types.is_struct(kind):
        return st.fixed_dictionaries({field.name: values_of(field.type) for field in kind})
    if types.is_list(kind):
        return st.lists(values_of(kind.value_type), max_size=3)
    if types.is_boolean(kind):
        return st.booleans()
    if types.is_int8(kind):
        return st.integers(-128, 127)
    if types.is_int64(kind):
        return COUNTS
    if types.is_uint64(kind):
        return st.integers(0, 2**64 - 1)
    if types.is_floating(kind):
        return st.floats(width=32 if types.is_float32(kind) else 64)
    if types.is_fixed_size_binary(kind):
        return st.binary(min_size=3, max_size=3)
    if types.is_binary(kind):
        return st.binary(max_size=5)
    if types.is_decimal(kind):
        return st.integers(-(10**20) + 1, 10**20 - 1).map(lambda digits: Decimal(digits).scaleb(-4))
    if types.is_date(kind):
        return st.integers(-(2**31), 2**31 - 1)
    if types.is_time(kind):
        return st.integers(0, 86_400 * 10**6 - 1)
    if types.is_temporal(kind):
        return COUNTS
    return st.text(max_size=5)


ARRAYS = TYPES.flatmap(lambda kind: st.lists(values_of(kind), max_size=4).map(lambda values: array_of(values, kind)))


def array_of(values: list[Any], kind: pa.DataType) -> pa.Array:
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, pa.array(values, kind.storage_type))
    return pa.array(values, kind)


@given(ARRAYS)
def test_whatever_arrow_holds_is_json_and_comes_back_as_it_was(array: pa.Array) -> None:
    values = json.loads(json.dumps(plain(array), allow_nan=False))
    assert returning(array.type) == array.type
    again = array_of([restored(value, array.type) for value in values], array.type)
    assert plain(again) == values
    assert again.is_valid().equals(array.is_valid())
