"""Tracing of decisions: who was asked about a task or a call, what he answered, and how long that took.

`[plugins] trace = 0.01` traces the decisions about every hundredth task and call, `trace_file` keeps them as lines of
JSON. Which ones is decided by a checksum of the run's seed and the task's id (of a call: of its attempt), so all who
are asked about one are traced together, and the same run again traces the same.

What is asked is watched by a class of its own: an object that a plugin made gets one that is derived from its class and
differs in one method. So where nothing is traced nothing is there, and it costs nothing; and an object that is watched
is in everything else what it was, also for whoever looks which protocols it keeps. Lost: an object around it, which
would have to keep every combination of the optional protocols; and a question at each call of whether to trace.

Times are those of the processor's clock on the wall, with the measuring itself in them, half a microsecond or so.
"""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from math import inf
from pathlib import Path
from time import perf_counter
from typing import IO, Any, Final
from zlib import crc32

import attrs

from penstock.words.decisions import HookFigures
from penstock.words.errors import ConfigError
from penstock.words.files import opened_without_wait
from penstock.words.problems import Problem
from penstock.words.verdicts import Denied

__all__ = ["DecisionTrace"]

_WHOLE: Final = 0xFFFFFFFF
_BEGINS: Final = b'{"plugin": '
_HOLDS: Final = "would be overwritten, and is no trace of decisions: name another file than"
_log: Final = logging.getLogger("penstock.plugins")


@attrs.define
class _Counts:
    questions: int = 0
    refusals: int = 0
    errors: int = 0
    seconds: float = 0.0
    shortest: float = inf


class DecisionTrace:
    """The trace of one run: a `share` of all decisions, from 0 to 1, drawn by `seed`.

    `file` is where the lines go, in the folder in which the command runs; `None`: the figures are kept alone.
    """

    def __init__(self, share: float = 0.0, seed: int = 0, file: Path | None = None, source: str = "") -> None:
        self.on = share > 0.0
        self._least = int(share * _WHOLE)
        self._seed = f"{seed}/"
        self._file = file
        self._source = source
        self._lines: IO[str] | None = None
        self._counts: dict[tuple[str, str], _Counts] = {}
        self._numbered = 0
        self._longest = 0.0, 0.0, "", ""
        """Of the questions since it was looked at: how long one took, when it was over, the plugin and the hook."""

    @property
    def figures(self) -> tuple[HookFigures, ...]:
        """The figures of each hook that was asked, in the order in which they were asked first."""
        return tuple(
            HookFigures(plugin=plugin, hook=hook, **attrs.asdict(counts))
            for (plugin, hook), counts in self._counts.items()
        )

    def open(self) -> None:
        """Open the file, if there is to be one. Raises `ConfigError` if it cannot be written to, or holds what is no
        trace."""
        self.check()
        if not self.on or self._file is None:
            return
        try:
            self._lines = open(self._file, "w", encoding="utf-8", opener=opened_without_wait)  # noqa: SIM115 -- as long as it runs
        except (OSError, ValueError) as error:
            unread = isinstance(error, OSError) and error.errno == errno.ENXIO
            why = "it is a pipe that nobody reads" if unread else getattr(error, "strerror", None) or str(error)
            raise self._wrong_file(why) from None

    def check(self) -> None:
        """Look whether `open` would do, without writing. Raises `ConfigError` as it does."""
        if not self.on or self._file is None:
            return
        try:
            if self._file.is_file() and self._file.stat().st_size and not _is_trace(self._file):
                raise ConfigError(Problem(("plugins", "trace_file"), f"{_HOLDS} {str(self._file)!r}", self._source))
            if self._file.is_dir():
                raise self._wrong_file("it is a folder")
            if not self._file.parent.is_dir():
                raise self._wrong_file(f"there is no folder {str(self._file.parent)!r}")
            if not os.access(self._file if self._file.exists() else self._file.parent, os.W_OK):
                raise self._wrong_file("its permissions do not let us")
        except (OSError, ValueError) as error:
            raise self._wrong_file(getattr(error, "strerror", None) or str(error)) from None

    def _wrong_file(self, why: str) -> ConfigError:
        what = f"is {str(self._file)!r}, which cannot be written to: {why}"
        return ConfigError(Problem(("plugins", "trace_file"), what, self._source))

    def close(self) -> None:
        """Write the figures, a line for each hook, and close the file."""
        for each in self.figures:
            self._write(attrs.asdict(each))
        lines, self._lines = self._lines, None
        if lines is not None:
            try:
                lines.close()
            except OSError as error:
                _log.error("the end of the trace of decisions in %s is lost: %s", self._file, error)

    def longest_within(self, seconds: float) -> tuple[str, str] | None:
        """The plugin and the hook whose question took more than half of the last so many seconds, if one did and was
        traced. What is longest is found anew from then on."""
        (took, over, plugin, hook), self._longest = self._longest, (0.0, 0.0, "", "")
        return (plugin, hook) if took > seconds / 2 and perf_counter() - over < seconds else None

    def asking(self, plugin: str, hook: str, ask: Callable[..., Any]) -> Callable[..., Any]:
        """A rule's function, which is given a tuple of arguments, traced; where nothing is, the function itself."""
        if not self.on:
            return ask

        def traced(given: tuple[Any, ...]) -> Any:
            if not self._draws(given[0]):
                return ask(given)
            return self._traced(plugin, hook, given[0], lambda: ask(given))

        return traced

    def watch(self, plugin: str, hook: str, made: Any, method: str) -> None:
        """Trace this method of an object that a plugin made, for as long as it is there."""
        if not self.on:
            return
        cls = getattr(type(made), "penstock_traced", type(made))  # its own class, where an earlier run has watched it
        named = f"{hook}.{method}"

        def traced(it: Any, candidate: Any, *given: Any) -> Any:
            ask = getattr(cls, method)
            if not self._draws(candidate):
                return ask(it, candidate, *given)
            return self._traced(plugin, named, candidate, lambda: ask(it, candidate, *given))

        body = {"__slots__": (), "__module__": cls.__module__, "penstock_traced": cls, method: traced}
        try:
            made.__class__ = type(cls.__name__, (cls,), body)
        except TypeError as error:
            _log.warning("what plugin %r made for %s cannot be traced: %s", plugin, hook, error)

    def _draws(self, candidate: Any) -> bool:
        if self._least == _WHOLE:
            return True
        return crc32((self._seed + (_id_of(candidate) or self._next_id())).encode()) <= self._least

    def _next_id(self) -> str:
        self._numbered += 1
        return str(self._numbered)

    def _traced(self, plugin: str, hook: str, candidate: Any, ask: Callable[[], Any]) -> Any:
        answer: Any = None
        error: BaseException | None = None
        began = perf_counter()
        try:
            answer = ask()
        except BaseException as raised:
            error = raised
        took = perf_counter() - began
        said = getattr(answer, "denied", answer)  # of a policy it is in its decision
        denied = said if isinstance(said, Denied) else None
        counts = self._counts.setdefault((plugin, hook), _Counts())
        counts.questions += 1
        counts.refusals += denied is not None
        counts.errors += error is not None
        counts.seconds += took
        counts.shortest = min(counts.shortest, took)
        if took > self._longest[0]:
            self._longest = took, began + took, plugin, hook
        if self._lines is not None:
            self._write(_line(plugin, hook, candidate, denied, error, took))
        if error is not None:
            raise error
        return answer

    def _write(self, record: dict[str, Any]) -> None:
        if self._lines is None:
            return
        try:
            self._lines.write(json.dumps(record) + "\n")
        except (OSError, ValueError) as error:  # the trace ends, and the run goes on
            _log.error("the trace of decisions ends here, since %s cannot be written to: %s", self._file, error)
            lines, self._lines = self._lines, None
            with suppress(OSError):
                lines.close()


def _id_of(candidate: Any) -> str:
    """The id of a task, or of the attempt of a call; empty where there is none."""
    context = getattr(candidate, "event_context", None)
    return getattr(candidate, "task_id", None) or getattr(context, "request_attempt_id", None) or ""


def _line(
    plugin: str, hook: str, candidate: Any, denied: Denied | None, error: BaseException | None, took: float
) -> dict[str, Any]:
    """One question, as JSON has it. What an exception says is not in it: that may hold prompts or secrets."""
    about = {"task_id" if hasattr(candidate, "task_id") else "attempt": _id_of(candidate)}
    group, resource = getattr(candidate, "group", None), getattr(candidate, "resource", None)
    line: dict[str, Any] = {"plugin": plugin, "hook": hook, **about, "group": str(getattr(group, "key", ""))}
    if resource is not None:
        line["resource"] = str(resource)
    line["answer"] = "raised" if error is not None else "refused" if denied is not None else "agreed"
    if error is not None:
        line["error"] = type(error).__name__
    if denied is not None:
        line |= {"reason": denied.reason, "until": sorted(map(str, denied.until)), "scope": denied.scope}
        if denied.detail:
            line["detail"] = denied.detail
    line["seconds"] = took
    return line


def _is_trace(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(len(_BEGINS)) == _BEGINS
