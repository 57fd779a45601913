"""The events in files of JSON Lines, whatever else is in these: a torn last line, lines of other versions, parts packed
with gzip, or no events at all.

A record is read as it streams by, since it may be larger than memory. What cannot be used is counted, and the first of
it told with its line; only a file in which nothing is an event is refused, with what it seems to be.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from math import inf
from pathlib import Path
from typing import IO, Any, Final, cast

import attrs

from penstock import ConfigError, Problem, RuntimeEvent, event_from_dict
from penstock_batch.words.amounts import counted

__all__ = ["RecordFiles", "is_figure"]

LONGEST_LINE: Final = 16 * 1024 * 1024
"""Bytes. An event has some hundred."""

LOOKED_AT: Final = 1_000
"""How many events of a part tell where it belongs."""

LARGEST: Final = 1e15
"""Of figures: in seconds, 30 million years."""

_KNOWN_BEGINNINGS: Final = (
    (b"SQLite format 3\0", "an SQLite file"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"PK\x03\x04", "a ZIP file"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd, which is not read; unpack it, or pack it with gzip"),
    (b"BZh", "packed with bzip2, which is not read; unpack it, or pack it with gzip"),
    (b"<", "a page or XML"),
    (b"[", "TOML or a JSON array"),
)
_TEXTS: Final = (
    *("task_id", "task_execution_id", "task_lease_id", "request_attempt_id", "request_lease_id"),
    *("resource", "group", "reason_or_outcome"),
)
_MAPPINGS: Final = ("snapshot", "diagnostics", "correlation", "labels")


@attrs.define(eq=False)
class _Wrong:
    """What could not be used: how often, and the first of it in words."""

    count: int = 0
    first: str = ""

    def note(self, what: str) -> None:
        self.count += 1
        self.first = self.first or what


@attrs.define(eq=False)
class RecordFiles:
    """The files of one record, in the order of their first events where that can be told."""

    paths: Sequence[Path]
    wrong: _Wrong = attrs.field(factory=_Wrong)
    torn: list[str] = attrs.field(factory=list)
    """The files that end in the middle of a line, or of what is packed."""

    def events(self) -> Iterator[RuntimeEvent]:
        """Every event. Raises `ConfigError` for a file that cannot be read, or has none; of several some may be
        empty."""
        every = self._in_order()
        full = [path for path in every if not _is_empty(path)]
        for path in full or every[:1]:
            any_event = False
            for event in self._of(path):
                any_event = True
                yield event
            if not any_event:
                raise ConfigError(Problem((), self._what_it_is(path), str(path)))

    def notes(self) -> Iterator[str]:
        """What is to be known of the record, a sentence each; complete once all events were read."""
        for path in self.torn:
            yield f"{path} ends in the middle of a line: what it had not yet written is missing."
        if self.wrong.count:
            yield f"{counted(self.wrong.count, 'line')} could not be used; the first: {self.wrong.first}."

    def _of(self, path: Path) -> Iterator[RuntimeEvent]:
        number = 0
        try:
            with _opened(path) as file:
                while line := file.readline(LONGEST_LINE + 1):
                    number += 1
                    found = _event(line)
                    if isinstance(found, RuntimeEvent):
                        yield found
                    elif not line.endswith(b"\n") and len(line) <= LONGEST_LINE:
                        self.torn.append(str(path))
                    elif found:
                        self.wrong.note(f"{path}, line {number}, {found}")
        except EOFError:
            self.torn.append(str(path))
        except (gzip.BadGzipFile, zlib.error) as error:
            self.wrong.note(f"{path}, after line {number}, what is packed is damaged ({error})")
        except OSError as error:
            raise ConfigError(Problem((), f"cannot be read: {error.strerror or error}", str(path))) from error

    def _in_order(self) -> Sequence[Path]:
        """By the moments of their first events, if all are of one run: clocks of different runs have nothing in
        common."""
        if len(self.paths) < 2:
            return self.paths
        begun = {path: list(islice(RecordFiles([path])._of(path), LOOKED_AT)) for path in self.paths}
        runs = {_run_of(event) for events in begun.values() for event in events} - {None}
        return self.paths if len(runs) > 1 else sorted(self.paths, key=lambda path: _place(begun[path]))

    def _what_it_is(self, path: Path) -> str:
        with _opened(path) as file:
            try:
                start = file.read(4096)
            except (OSError, EOFError, zlib.error):
                return "is packed with gzip, and damaged from the start"
        right = "a record of events has a JSON object a line, as the sink jsonl writes them"
        if not start.strip():
            return f"is empty; {right}"
        what = next((what for beginning, what in _KNOWN_BEGINNINGS if start.lstrip().startswith(beginning)), None)
        if what is None and b"\0" in start:
            what = "binary"
        if what is not None:
            return f"is no record of events: it seems to be {what}; {right}"
        line = start.split(b"\n", 1)[0]
        problem = _event(line) or "it has a first line of another kind"
        return f"is no record of events: line 1 {problem}; {right}. A pipeline's file ends in .toml"


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return cast("IO[bytes]", gzip.open(path, "rb") if packed else path.open("rb"))  # the caller closes it


def _is_empty(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size == 0
    except OSError:
        return False


def _place(begun: Sequence[RuntimeEvent]) -> tuple[float, ...]:
    """By what the beginning of a part is put in order: its moment, and where that is the same, its numbers."""
    firsts = [next((each.sequence for each in begun if each.stream == name), inf) for name in ("scheduler", "request")]
    return (begun[0].captured_at_monotonic if begun else -inf, *firsts)


def _run_of(event: RuntimeEvent) -> str | None:
    return None if event.correlation is None else event.correlation.run_id


def is_figure(value: object) -> bool:
    """Whether a value is a number that can be reckoned with."""
    return type(value) in (int, float) and abs(cast("float", value)) < LARGEST  # which no number that is none passes


def _event(line: bytes) -> RuntimeEvent | str | None:
    """The event in a line; or what is wrong with it, `None` for a line with nothing in it."""
    if len(line) > LONGEST_LINE:
        return f"is longer than {LONGEST_LINE:,} bytes"
    if not line.strip():
        return None
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"is no JSON ({error})" if isinstance(error, json.JSONDecodeError) else "is no JSON"
    if not isinstance(data, dict):
        return "is no JSON object"
    problem = _problem(data)
    return problem if problem is not None else event_from_dict(data)


def _problem(data: Mapping[str, Any]) -> str | None:
    moment = data.get("captured_at_monotonic")
    if data.get("stream") not in ("scheduler", "request") or not isinstance(data.get("event_kind"), str):
        log = {"call", "status", "at"} <= data.keys()
        return "is of a gateway's log of calls, which is no record of events" if log else "is no event of Penstock's"
    if type(data.get("sequence")) is not int:
        return "has no whole number as its sequence"
    if not is_figure(moment):
        return "has no number as its captured_at_monotonic"
    for name in _TEXTS:
        if not isinstance(data.get(name), str | None):
            return f"has a {name} that is no text"
    for name in _MAPPINGS:
        if not isinstance(data.get(name), dict | None):
            return f"has {name} that are no JSON object"
    correlation = data.get("correlation")
    if correlation is not None and not all(isinstance(word, str) for word in correlation.values()):
        return "has a correlation that is not of texts"
    if correlation is not None and "run_id" not in correlation:
        return "has a correlation without run_id"
    return None
