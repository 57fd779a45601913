"""The record of what plugins raise, and what is to be done with it.

Whoever calls a plugin catches whatever comes out of it and gives it, once, to an `OnPluginFailure`; in a run that
is `run/plugin_errors.py`, which logs it, records an event, and counts it here. What a plugin's exception says may
hold prompts or secrets: its words go into the log and nowhere else. Everything else names the plugin, the hook
and the line of its code.

Caught is `BaseException`: a plugin that calls `sys.exit` or raises `KeyboardInterrupt` is broken, and no reason to
end a run. A real Ctrl+C never comes out of a plugin: decisions are made under trio's protection against it (the
shells say so), so it is raised in the caller's block instead.
"""

from __future__ import annotations

import importlib
import math
import os
from collections import Counter
from collections.abc import Iterator
from inspect import unwrap
from traceback import walk_tb
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, GeneratorType, TracebackType
from typing import Any, Final, Literal, Protocol, cast

import attrs

from penstock.words.errors import PluginError
from penstock.words.verdicts import NEVER, At, Denied, RequestReason, Signal, TaskReason

__all__ = [
    "RECONFIGURED",
    "BrokenQueue",
    "OnPluginFailure",
    "PluginFailure",
    "PluginFailures",
    "PluginMaker",
    "ends_in_time",
    "fails_closed",
    "passed_through",
    "place_of",
    "refuse_coroutine",
    "refuse_generator",
    "traceback_of",
    "unheard",
    "waited_in_vain",
    "what_it_raised",
]

_NOBODYS: Final = tuple(
    os.path.dirname(os.path.abspath(file)) + os.sep for file in (os.path.dirname(__file__), importlib.__file__)
)
_COMPILED: Final = "penstock/"
"""What a compiled function of the core says its file is begins so: the path at which it was compiled."""
RECONFIGURED: Final = Signal("reconfigured")
_ASKING: Final = ("evaluate", "check", "acquire", "release", "set_cap")
"""The methods of a policy or a limiter whose failure refuses."""
_SYNTAX: Final = (SyntaxError, IndentationError, TabError)
_NAME: Final[Any] = vars(type)["__name__"]
_TRACEBACK: Final[Any] = vars(BaseException)["__traceback__"]
"""As Python itself has them: a class of exceptions may have any of its own, which raises."""


class OnPluginFailure(Protocol):
    """A callback for what a plugin raised: plugin, hook (hook and method for what a factory made), the exception, and
    the function that was called, which tells the place where the exception does not. It never raises.
    """

    def __call__(self, plugin: str, hook: str, error: BaseException, asked: object = None, /) -> None: ...


def unheard(plugin: str, hook: str, error: BaseException, asked: object = None, /) -> None:
    """A callback that does nothing: for gates outside a run."""


class BrokenQueue(PluginError):
    """A breach of contract by a queue that a plugin made: its gate cannot go on."""


@attrs.frozen
class PluginMaker:
    """The plugin that made a queue, by its name and where it comes from (`its-distribution 1.0`)."""

    name: str = "core"
    origin: str = ""

    def error(self, message: str) -> BrokenQueue:
        """The error that names the plugin."""
        return BrokenQueue(self.name, f"{message} ({self.origin})" if self.origin else message)

    def a_moment(self, answer: object) -> float | None:
        """What a queue answers to `next_change`, if it is a moment or `None`; otherwise its error."""
        if answer is None:
            return None
        if isinstance(answer, bool) or not isinstance(answer, int | float) or math.isnan(answer):
            raise self.error("next_change must return a moment of the run's clock, or None")
        try:
            return float(answer)
        except OverflowError:  # an integer that is later than all
            return math.copysign(math.inf, answer)

    def later(self, moment: float | None, rested_at: float) -> float | None:
        """A moment that a queue has named, if it is later than the one at which nobody was selected: who sleeps until
        then would else ask it again at once, and for ever.
        """
        if moment is not None and moment <= rested_at:
            raise self.error("next_change must be later than the moment at which nobody was selected")
        return moment


@attrs.frozen(kw_only=True)
class PluginFailure:
    """The record of what one plugin raised at one line of its code.

    `hook` is the hook, or hook and method for a method of what its factory made; `place` is `file:line`; `count` how
    often, from `since` to `last`, moments of the run's clock.
    """

    plugin: str
    hook: str
    place: str
    count: int
    since: float
    last: float

    @property
    def gate(self) -> Literal["scheduler", "request"]:
        """The gate in whose stream it is reported."""
        return "request" if self.hook.startswith(("penstock_request_", "penstock_classify_")) else "scheduler"

    @property
    def fails_closed(self) -> bool:
        """Whether tasks or calls wait because of it."""
        hook, _, method = self.hook.partition(".")
        if hook in ("penstock_task_policy", "penstock_request_limiter"):
            return method in (_ASKING if self.gate == "request" else _ASKING[:1])
        return hook.endswith("_eligible")

    def in_words(self, now: float, stall_timeout: float) -> str:
        """The failure in words, with how long it has gone on, and who waits for how long at most."""
        times = "once" if self.count == 1 else f"{self.count:,} times"
        words = (
            f"plugin {self.plugin} raised {times} in {self.hook} at {self.place}, first {now - self.since:.1f} s ago"
        )
        if not self.fails_closed:
            return words
        who = "tasks" if self.gate == "scheduler" else "calls"
        return f"{words}; its {who} wait until {RECONFIGURED}, at most {stall_timeout:g} s each, and then fail"


class PluginFailures:
    """The counts of what plugins raised, by plugin, hook and line."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], PluginFailure] = {}

    def add(self, plugin: str, hook: str, place: str, now: float) -> PluginFailure:
        """The record of this place, with one more."""
        key = (plugin, hook, place)
        found = self._found.get(key) or PluginFailure(
            plugin=plugin, hook=hook, place=place, count=0, since=now, last=now
        )
        made = self._found[key] = attrs.evolve(found, count=found.count + 1, last=now)
        return made

    def __iter__(self) -> Iterator[PluginFailure]:
        return iter(tuple(self._found.values()))

    def by_plugin(self) -> dict[str, int]:
        """The number of times that each plugin raised, by its name."""
        counts: Counter[str] = Counter()
        for each in self:
            counts[each.plugin] += each.count
        return dict(counts)


def fails_closed(
    plugin: str, reason: TaskReason | RequestReason, error: BaseException, now: float, asked: object = None
) -> Denied:
    """The refusal in place of an answer that a plugin could not give, without the words of what it raised.

    It covers the one candidate; whoever parks it adds the moment at which it is given up.
    """
    detail = what_it_raised(error, asked)
    return Denied(reason, {RECONFIGURED}, detail=detail, by=plugin, failed_at=now)


def ends_in_time(denied: Denied, since: float | None, stall_timeout: float, now: float) -> Denied:
    """The refusal under which a candidate waits that plugins could not answer about `since` then: it ends after so many
    seconds, and is final if they have passed. Any other refusal stays what it is (`since` is `None`).
    """
    if since is None:
        return denied
    ends = since + stall_timeout
    return attrs.evolve(denied, until={NEVER} if now >= ends else denied.until | {At(ends)})


def waited_in_vain(denied: Denied, who: Literal["task", "call"], waited: float) -> PluginError | None:
    """The error of a task or a call that has waited long enough for a plugin which could not answer, so many seconds;
    `None` for any other refusal.
    """
    if denied.failed_at is None or not denied.final:
        return None
    return PluginError(denied.by, f"{denied.detail}; the {who} is given up, having waited {waited:.1f} s for an answer")


def what_it_raised(error: BaseException, asked: object = None) -> str:
    """The mistake of a plugin, without its words: our own words for an answer that breaks the contract."""
    if issubclass(type(error), PluginError) and not _frames_outside(error):
        return cast("PluginError", error).message
    return f"raised {_NAME.__get__(type(error))} at {place_of(error, asked)}"


def place_of(error: BaseException, asked: object = None) -> str:
    """The place in a plugin's code that raised an error, as `file:line`; where none did, that of the function which
    was `asked`.
    """
    if type(error) in _SYNTAX and isinstance(error, SyntaxError) and error.filename:
        return f"{os.path.basename(error.filename)}:{error.lineno}"
    frames = _frames_outside(error)
    if frames:
        frame, line = frames[-1]
        return f"{os.path.basename(frame.f_code.co_filename)}:{line}"
    if (code := _code_of(asked)) is not None:
        return f"{os.path.basename(code.co_filename)}:{code.co_firstlineno}"
    found = list(walk_tb(traceback_of(error)))
    return f"{os.path.basename(found[-1][0].f_code.co_filename)}:{found[-1][1]}" if found else "an unknown place"


def _code_of(asked: object) -> CodeType | None:
    """The code of the function that was asked; `None` of what is none, or cannot be looked at."""
    try:
        code: object = getattr(unwrap(asked) if callable(asked) else None, "__code__", None)
    except Exception:  # it wraps itself, or has any attribute that it is asked for
        return None
    return code if isinstance(code, CodeType) else None


def passed_through(error: BaseException, owner: object, *callbacks: str) -> bool:
    """Whether an error came out of a method of `owner`, and not out of one of the core's functions `callbacks` that it
    called back.
    """
    inside = False
    for frame, _ in walk_tb(traceback_of(error)):
        if frame.f_locals.get("self") is owner or _is_compiled_method(frame, owner):
            inside = True
        elif frame.f_code.co_name in callbacks:
            inside = False
    return inside


def _is_compiled_method(frame: FrameType, owner: object) -> bool:
    """Whether a frame, of a compiled function that tells no variables, is of a method that `owner` has."""
    code = frame.f_code
    return code.co_filename.startswith(_COMPILED) and any(
        code.co_name in vars(kind) and code.co_filename == f"{kind.__module__.replace('.', '/')}.py"
        for kind in type(owner).__mro__
    )


def traceback_of(error: BaseException) -> TracebackType | None:
    """The traceback of an error, whatever its class says of it."""
    found: TracebackType | None = _TRACEBACK.__get__(error)
    return found


def refuse_coroutine(answer: object) -> None:
    """Raises `TypeError` for a coroutine, which nobody awaits: a hook is a plain function."""
    if type(answer) is CoroutineType:
        answer.close()
        raise TypeError(f"returned a coroutine; a hook is no async function: {answer.__qualname__}")


def refuse_generator(answer: object) -> None:
    """The same for a generator too, where nobody reads the answer: of what it would do nothing is done."""
    refuse_coroutine(answer)
    if isinstance(answer, GeneratorType | AsyncGeneratorType):
        raise TypeError(f"returned a generator, which nobody runs: {answer.__qualname__} must not yield")


def _frames_outside(error: BaseException) -> list[tuple[FrameType, int]]:
    """The frames of an error's traceback that are neither the core's own nor those of an import."""
    return [
        (frame, line)
        for frame, line in walk_tb(traceback_of(error))
        if not os.path.abspath(frame.f_code.co_filename).startswith(_NOBODYS)
        and not frame.f_code.co_filename.startswith(("<frozen", "<attrs generated", _COMPILED))
    ]
