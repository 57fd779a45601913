"""The journal of an earlier release, which kept finished cells by row and step: read once, and taken over.

One JSON line per cell, with a checksum from version 2 on, behind a first line that says of which run it is.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

__all__ = ["old_values"]

_MARK: Final = "penstock_batch_journal"
_CHECKED: Final = b'{"crc":"'
_SUM: Final = slice(len(_CHECKED), len(_CHECKED) + 8)
_REST: Final = len(_CHECKED) + 10


def old_values(path: Path, identity: Mapping[str, Any]) -> dict[tuple[int, str], Any] | None:
    """The values by row and step of the journal at `path`; `None` if there is none, or it is of another run."""
    try:
        with path.open("rb") as file:
            version = _version_of(file.readline(), identity)
            if version is None:
                return None
            return dict(_values(file, checked=version > 1))
    except OSError:
        return None


def _version_of(head: bytes, identity: Mapping[str, Any]) -> int | None:
    try:
        record = json.loads(head)
        version: Any = record[_MARK]
        same = record["identity"] == identity
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return version if same and version in (1, 2) else None


def _values(lines: Iterator[bytes], *, checked: bool) -> Iterator[tuple[tuple[int, str], Any]]:
    for line in lines:
        if not line.endswith(b"\n"):  # torn by a kill
            continue
        if line.startswith(_CHECKED):
            if line[_SUM] != b"%08x" % zlib.crc32(line[_REST:]):
                continue
        elif checked:
            continue
        try:
            record = json.loads(line)
            if "value" in record and type(record["row"]) is int:
                yield (record["row"], str(record["step"])), record["value"]
        except (ValueError, TypeError, KeyError, RecursionError):
            continue
