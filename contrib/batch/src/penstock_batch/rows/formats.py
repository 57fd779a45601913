"""The formats of rows, by name and by the endings of files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

__all__ = ["ARROW", "FORMATS", "NAMES", "Format", "column_problem", "table_name_problem", "without_pyarrow"]

Format = Literal["jsonl", "csv", "parquet", "arrow", "arrow-stream", "sqlite", "openai-batch", "given"]
"""What a file may be. `given` is what `given_rows` has put aside, and no format for others."""
FORMATS: Final[Mapping[str, Format]] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".arrows": "arrow-stream",
    ".db": "sqlite",
    ".sqlite": "sqlite",
    ".sqlite3": "sqlite",
}
"""The formats by the ending of a file's name, in lower case."""
NAMES: Final = ("jsonl", "csv", "parquet", "arrow", "arrow-stream", "sqlite", "openai-batch")
ARROW: Final = ("parquet", "arrow", "arrow-stream")
"""The formats that need `pyarrow`."""
_MOST_COLUMNS: Final = 2000  # what SQLite takes unless it is built otherwise
_FOLDED: Final = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def without_pyarrow(form: str, error: ImportError) -> str:
    """What is wrong where `pyarrow` is not there, or cannot be loaded, and how to get it."""
    if error.name is None or not error.name.startswith("pyarrow"):
        return f"{form} needs pyarrow, which cannot be loaded: {error}"
    return f"{form} needs pyarrow, which is not installed: pip install 'penstock-batch[arrow]'"


def column_problem(form: Format, names: Sequence[str]) -> str | None:
    """What is wrong with columns of these names in this format; `None` if it can hold them."""
    if form == "sqlite":
        nul = next((name for name in names if "\0" in name), None)
        if nul is not None:
            return f"a table of SQLite can have no column {nul!r}: the name holds a NUL"
        if len(names) > _MOST_COLUMNS:
            return f"a table of SQLite can have at most {_MOST_COLUMNS:,} columns, not {len(names):,}"
        same = _alike(names)
        if same is not None:
            return f"a table of SQLite cannot have both {same[0]!r} and {same[1]!r}: it does not tell case"
    if form == "sqlite" or form in ARROW:
        half = next((name for name in names if _is_half(name)), None)
        if half is not None:
            return f"{form} can have no column {half!r}: the name holds half a surrogate pair"
    return None


def table_name_problem(name: str) -> str | None:
    """What is wrong with a table of this name; `None` if a database can have one."""
    if "\0" in name:
        return f"{name!r} holds a NUL, which no name of a table can"
    if name.lower().startswith("sqlite_"):
        return f"{name!r} is a name of SQLite's own; name another table"
    return None


def _alike(names: Iterable[str]) -> tuple[str, str] | None:
    seen: dict[str, str] = {}
    for name in names:
        before = seen.setdefault(name.translate(_FOLDED), name)
        if before != name:
            return before, name
    return None


def _is_half(name: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in name)
