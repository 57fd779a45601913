"""Parquet and Arrow files: read by parts, written with types that lose no value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from penstock_batch.rows.arrow_types import ColumnType
from penstock_batch.rows.formats import Format
from penstock_batch.rows.reader import BadRow, InputProblem, Row, read_rows, survey
from penstock_batch.rows.target import RowSource

if TYPE_CHECKING:
    from contrib.batch.tests.rows.conftest import Files

FORMS: tuple[Format, ...] = ("parquet", "arrow", "arrow-stream")
each_format = pytest.mark.parametrize("form", FORMS)


def put(path: Path, form: Format, table: pa.Table) -> None:
    if form == "parquet":
        pq.write_table(table, path)
        return
    with (pa.ipc.new_file if form == "arrow" else pa.ipc.new_stream)(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)


@each_format
def test_rows_are_numbered_and_have_digests_of_what_they_hold(files: Files, form: Format) -> None:
    path = files.path(form)
    put(path, form, pa.table({"a": [1, 2, 1, 4], "b": [None, "x", None, "y"]}))
    rows = files.rows(form)
    assert rows[:2] == [Row(0, 1, {"a": 1, "b": None}), Row(1, 2, {"a": 2, "b": "x"})]
    digests = [row.digest for row in rows]
    assert digests[0] == digests[2] != digests[1]
    facts = survey(path, form)
    assert (facts.rows, facts.columns) == (4, ("a", "b"))
    assert all(facts.unchanged(row) for row in rows)


@each_format
def test_a_file_without_rows_still_has_columns(files: Files, form: Format) -> None:
    put(files.path(form), form, pa.table({"a b": pa.array([], pa.int64()), "": pa.array([], pa.string())}))
    facts = survey(files.path(form), form)
    assert (facts.rows, facts.columns) == (0, ("a b", ""))


@each_format
def test_a_value_that_cannot_be_read_costs_its_row(files: Files, form: Format) -> None:
    texts = pa.array([b"a", b"\xff", b"c"]).view(pa.string())
    put(files.path(form), form, pa.table({"n": [1, 2, 3], "text": texts}))
    rows = files.rows(form)
    assert [row.index for row in rows] == [0, 1, 2]
    assert files.bad(form) == {2: "'text' is not UTF-8"}
    assert rows[2] == Row(2, 3, {"n": 3, "text": "c"})
    (bad,) = (row for row in rows if isinstance(row, BadRow))
    assert json.loads(bad.text) == {"n": 2}
    assert bad.digest != 0


@each_format
def test_a_column_name_twice_is_the_files_fault(files: Files, form: Format) -> None:
    put(files.path(form), form, pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]))
    with pytest.raises(InputProblem, match="the column 'a' twice"):
        survey(files.path(form), form)


@each_format
def test_a_file_that_is_cut_short_is_named(files: Files, form: Format) -> None:
    path = files.path(form)
    put(path, form, pa.table({"a": ["some text"] * 1000}))
    whole = path.read_bytes()
    for length in (0, 3, len(whole) // 2, len(whole) - 20):
        path.write_bytes(whole[:length])
        with pytest.raises(InputProblem, match=path.name):
            survey(path, form)


def test_a_parquet_file_that_is_damaged_inside_is_named(files: Files) -> None:
    path = files.path("parquet")
    pq.write_table(pa.table({"a": [f"text {i}" for i in range(1000)]}), path)
    whole = bytearray(path.read_bytes())
    whole[4:200] = bytes(196)
    path.write_bytes(whole)
    with pytest.raises(InputProblem, match="a damaged one"):
        list(read_rows(path, "parquet"))


def test_a_type_without_a_place_in_json_is_named_with_its_column(files: Files) -> None:
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
    put(files.path("arrow"), "arrow", pa.table({"a": [1], "b": union}))
    with pytest.raises(InputProblem, match=r"the column 'b'.*union"):
        files.rows("arrow")


def test_a_row_group_is_not_read_as_a_whole(files: Files) -> None:
    path = files.path("parquet")
    texts = [f"{i:08}" * 500 for i in range(10_000)]  # 40 MB
    table = pa.table({"a": texts})
    pq.write_table(table, path, compression="none", use_dictionary=False)
    del table
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    most = 0
    for count, _ in enumerate(read_rows(path, "parquet")):
        if count % 500 == 0:
            most = max(most, pool.bytes_allocated() - before)
    assert 0 < most < 16_000_000


# -- out --

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=()), max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)
COLUMNS = st.lists(st.text(max_size=4), unique=True, min_size=1, max_size=3)
ROWS = COLUMNS.flatmap(
    lambda names: st.tuples(
        st.just(names), st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(names, JSON)), max_size=5)
    )
)


def without_nothing(value: Any) -> Any:
    """A value without the members that are null, which in a table are the same as missing ones."""
    if isinstance(value, dict):
        return {name: without_nothing(each) for name, each in value.items() if each is not None}
    return [without_nothing(each) for each in value] if isinstance(value, list) else value


@each_format
@given(ROWS)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_no_value_is_lost_on_the_way_out(
    files: Files, form: Format, rows: tuple[list[str], list[dict[str, Any]]]
) -> None:
    names, written = rows
    files.write(form, written, names)
    found = files.read(form)
    assert [list(row) for row in found] == [names] * len(written)
    assert without_nothing(found) == without_nothing(written)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([], pa.string()),
        ([None], pa.string()),
        ([True, None], pa.bool_()),
        ([1, -(2**63)], pa.int64()),
        ([1, 2**63], pa.uint64()),
        ([-1, 2**63], pa.json_()),
        ([2**64], pa.json_()),
        ([1, 0.5], pa.float64()),
        ([2**53, 0.5], pa.float64()),
        ([2**53 + 1, 0.5], pa.json_()),
        ([True, 1], pa.json_()),
        (["a", 1], pa.json_()),
        (["\ud800"], pa.json_()),
        ([[0.5, 2.0], [], None], pa.list_(pa.float32())),
        ([[0.5, 0.1]], pa.list_(pa.float64())),
        ([[1e300]], pa.list_(pa.float64())),
        ([[0.5], [1]], pa.list_(pa.float64())),
        ([[]], pa.list_(pa.string())),
        ([[0.5], ["x"]], pa.json_()),
        ([["x"], [0.5]], pa.json_()),
        ([{"a": 1}, {"b": "x"}], pa.struct([("a", pa.int64()), ("b", pa.string())])),
        ([{}], pa.json_()),
        ([{"a": {"b": 1}}, {"a": 1}], pa.json_()),
        ([{f"m{i}": i} for i in range(1500)], pa.json_()),
    ],
)
def test_a_column_has_the_narrowest_type_that_holds_every_value(values: list[Any], kind: pa.DataType) -> None:
    column = ColumnType()
    for value in values:
        column.see(value)
    assert column.type() == kind


def test_columns_nested_deep_are_texts_of_json(files: Files) -> None:
    value: Any = 1
    for _ in range(90):
        value = {"a": [value]}
    files.write("parquet", [{"x": value}], ["x"])
    assert files.read("parquet") == [{"x": value}]
    assert pq.read_schema(files.path("parquet")).field("x").type == pa.json_()


TYPED = pa.table(
    {
        "when": pa.array([1, None], pa.timestamp("us", "Europe/Berlin")),
        "price": pa.array(["1.50", None]).cast(pa.decimal128(9, 2)),
        "raw": pa.array([b"\xff", None]),
        "kind": pa.array(["a", None]).dictionary_encode(),
        "nested": pa.array([{"day": [18_000]}, None], pa.struct([("day", pa.list_(pa.date32()))])),
        "tags": pa.array([[("x", 1)], None], pa.map_(pa.string(), pa.int64())),
        "score": pa.array([float("nan"), None], pa.float32()),
        "small": pa.array([3, None], pa.int8()),
    }
)


@each_format
def test_columns_go_out_with_the_types_with_which_they_came(files: Files, form: Format) -> None:
    came = files.folder / "came.parquet"
    pq.write_table(TYPED, came)
    rows = [{**row.values, "answer": f"row {row.index}"} for row in read_rows(came, "parquet") if isinstance(row, Row)]
    path = files.write(form, rows, [*TYPED.column_names, "answer"], RowSource(came, "parquet"))
    out = (
        pq.read_table(path)
        if form == "parquet"
        else pa.ipc.open_stream(path).read_all()
        if form == "arrow-stream"
        else pa.ipc.open_file(path).read_all()
    )
    kinds = {**{field.name: field.type for field in TYPED.schema}, "kind": pa.string(), "answer": pa.string()}
    assert {field.name: field.type for field in out.schema} == kinds
    assert out.column("when").equals(TYPED.column("when"))
    assert out.column("nested").equals(TYPED.column("nested"))
    assert str(out.column("score")[0]) == "nan"


def test_a_column_that_got_other_values_takes_their_type(files: Files) -> None:
    came = files.folder / "came.parquet"
    pq.write_table(pa.table({"small": pa.array([3, 4], pa.int8()), "raw": pa.array([b"a", b"b"])}), came)
    rows = [{"small": 3, "raw": "YQ=="}, {"small": 300, "raw": "no base64"}]
    path = files.write("parquet", rows, ["small", "raw"], RowSource(came, "parquet"))
    assert [field.type for field in pq.read_schema(path)] == [pa.int64(), pa.string()]
    assert files.read("parquet") == rows


@each_format
def test_no_rows_at_all_are_a_whole_file(files: Files, form: Format) -> None:
    files.write(form, [], ["a", "b"])
    assert survey(files.path(form), form).columns == ("a", "b")
