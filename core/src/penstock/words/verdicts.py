"""The refusal, which says what would end it, and its conditions.

`Denied` carries a set of conditions. The first of them that comes true ends the refusal, and until then
the refused candidate is not looked at again: that is what makes ten thousand blocked groups free, what sets
every timer, and what `explain` prints. A refusal without a condition would be a lost wake-up, so it is an
error that names the plugin (`check_denied`).

Lost alternatives: a plain boolean needs polling or waking everybody; a callback ("call me when") gives the
decider a handle on the core.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from types import CoroutineType, MappingProxyType
from typing import Any, Final, Literal, Self, final, get_args

import attrs
from msgspec import Struct

from penstock.words.checks import a_key, a_mapping, a_moment, a_name, a_text, is_text, shown, whole_number
from penstock.words.errors import ConfigError, PluginError
from penstock.words.interning import interned
from penstock.words.read_only import draft_of, new, read_only, writer

__all__ = [
    "NEVER",
    "PROBE",
    "REQUEST_REASONS",
    "SCOPES",
    "TASK_REASONS",
    "At",
    "Backlog",
    "Condition",
    "Denied",
    "Never",
    "Probe",
    "RefusalScope",
    "Released",
    "RequestReason",
    "Signal",
    "TaskReason",
    "Uncontested",
    "check_denied",
]


@attrs.frozen(eq=False, init=False)
class _Keyed:
    """A condition about one thing: equal ones are one object."""

    key: Hashable

    def __new__(cls, key: Hashable) -> Self:
        return interned(cls, key=a_key(key, f"the key of {cls.__name__}"))

    def __getnewargs__(self) -> tuple[Hashable]:
        return (self.key,)


@attrs.frozen(eq=False, init=False)
class Released(_Keyed):
    """The condition that something is given back: `key` is a scheduler resource, a task group, or a scope of the
    request gate."""

    def __str__(self) -> str:
        return f"a release of {self.key}"


@attrs.frozen(eq=False, init=False)
class Backlog(_Keyed):
    """The condition that what is queued or parked for a resource or a group changes."""

    def __str__(self) -> str:
        return f"a change of what is queued for {self.key}"


@attrs.frozen(eq=False, init=False)
class Uncontested(_Keyed):
    """The condition that no contender is left: no group that could run now asks for the resource `key`."""

    def __str__(self) -> str:
        return f"the moment no group below its limit wants {self.key}"


class At(Struct, frozen=True, cache_hash=True, weakref=True):
    """The condition that the run's clock reaches `moment`, in seconds of `trio.current_time()`."""

    moment: float

    def __post_init__(self) -> None:
        if type(self.moment) is not float or self.moment != self.moment:
            a_moment(self.moment, "moment")

    def __str__(self) -> str:
        return f"the moment {self.moment:.3f}"


class Signal(Struct, frozen=True, cache_hash=True, weakref=True):
    """The condition that `scheduler.signal(name)` is called; for `"reconfigured"` the plugin manager does it."""

    name: str

    def __post_init__(self) -> None:
        a_name(self.name, "name of a signal")

    def __str__(self) -> str:
        return f"the signal {self.name!r}"


class Never(Struct, frozen=True, cache_hash=True, weakref=True):
    """The condition that never comes true: the candidate is given up, with the reason."""

    def __str__(self) -> str:
        return "nothing"


NEVER: Final = Never()

Condition = Released | Backlog | Uncontested | At | Signal | Never


class Probe(Struct, frozen=True, cache_hash=True, weakref=True):
    """The consent of a limiter to one call that finds out whether more may go: the half-open call of a cooldown."""


PROBE: Final = Probe()

TaskReason = Literal["no_capacity", "group_cap", "borrow_debt", "shutdown", "policy_denial", "never_fits"]
"""The reasons of refusals by the task gate."""
RequestReason = Literal[
    "no_capacity", "cooldown", "queue_timeout", "queued_waiters_ahead", "cancellation", "shutdown",
    "hard_policy_denial", "deadline", "never_fits",
]  # fmt: skip
"""The reasons of refusals by the request gate."""
RefusalScope = Literal["task", "shape", "group", "all"]
"""The candidates that the same answer refuses too."""

TASK_REASONS: Final[frozenset[str]] = frozenset(get_args(TaskReason))
REQUEST_REASONS: Final[frozenset[str]] = frozenset(get_args(RequestReason))
SCOPES: Final[tuple[str, ...]] = get_args(RefusalScope)
_REASONS: Final = TASK_REASONS | REQUEST_REASONS
_CONDITIONS: Final = frozenset(get_args(Condition))


def _conditions(until: Iterable[Condition]) -> frozenset[Condition]:
    if type(until) in _CONDITIONS:
        raise ConfigError(f"until must be a set of conditions: write {{{until!r}}}")
    given: object = until
    try:
        found = None if isinstance(given, str | bytes) else frozenset(until)
    except TypeError:
        found = None
    if found is None:
        raise ConfigError(f"until must be a set of conditions, such as {{At(now + 1.0)}}, not {shown(until)}")
    for condition in found:
        if type(condition) not in _CONDITIONS:
            kinds = "Released, Backlog, Uncontested, At, Signal or NEVER"
            raise ConfigError(f"until must be a set of conditions: {kinds}; {shown(condition)} is none")
    return found


_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


@final
@read_only
@attrs.frozen(slots=True)
class Denied:
    """A refusal: the reason, and the conditions of which the first ends it.

    `reason`   one of `TASK_REASONS` or `REQUEST_REASONS`; a plugin's own words go into `detail`
    `until`    conditions, of which the first that comes true ends the refusal; or `NEVER` alone
    `scope`    what else is refused by the same answer, so that it need not be asked: `task` (this
               candidate only), `shape` (this group with this resource vector), `group`, or `all`
    `cohort`   if set: the equivalence class of the refusal. When one of its candidates
               is asked again and is refused again, the others are not asked. Set it only where
               that is true, as it is of groups that are all at their caps while the same contender waits.
    `amount`   how much of what it waits for the candidate needs: a release that leaves less than this
               free does not wake it
    `by`       who said so; the framework fills in the plugin's name
    `failed_at`  set by the framework: the moment since which a plugin could not answer, where the refusal stands for
               its answer

    >>> str(Denied("policy_denial", {At(60.0)}, detail="quiet hours", by="my-rule"))
    'policy_denial by my-rule: quiet hours; until the moment 60.000'
    """

    reason: TaskReason | RequestReason
    until: frozenset[Condition] = attrs.field(converter=_conditions)
    scope: RefusalScope = "task"
    detail: str = ""
    diagnostics: Mapping[str, Any] = _NOTHING
    cohort: Hashable = None
    amount: int = 1
    by: str = ""
    failed_at: float | None = None
    _checked: tuple[str, frozenset[str]] | None = attrs.field(default=None, init=False, eq=False, repr=False)
    """The plugin and the reasons for which the answer was checked: a plugin may give the same one again."""

    def __new__(
        cls,
        reason: TaskReason | RequestReason,
        until: Iterable[Condition],
        scope: RefusalScope = "task",
        detail: str = "",
        diagnostics: Mapping[str, Any] = _NOTHING,
        cohort: Hashable = None,
        amount: int = 1,
        by: str = "",
        failed_at: float | None = None,
    ) -> Self:
        conditions = _conditions(until)
        given_reason: object = reason
        given_scope: object = scope
        if not is_text(given_reason) or given_reason not in _REASONS:
            known = ", ".join(sorted(_REASONS))
            raise ConfigError(f"reason must be one of {known}, not {shown(reason)}: own words go into detail")
        if not is_text(given_scope) or given_scope not in SCOPES:
            raise ConfigError(f"scope must be one of {', '.join(SCOPES)}, not {shown(scope)}")
        if type(amount) is not int or amount < 1:
            whole_number(amount, "amount")
        if type(detail) is not str or type(by) is not str:
            a_text(detail, "detail")
            a_text(by, "by")
        if diagnostics is not _NOTHING and type(diagnostics) is not dict:
            a_mapping(diagnostics, "diagnostics", "{'limit': 8}")
        if cohort is not None:
            a_key(cohort, "cohort")
        if failed_at is not None:
            a_moment(failed_at, "failed_at")
        made: Any = new(_draft)
        made.reason = reason
        made.until = conditions
        made.scope = scope
        made.detail = detail
        made.diagnostics = diagnostics
        made.cohort = cohort
        made.amount = amount
        made.by = by
        made.failed_at = failed_at
        made._checked = None
        made.__class__ = cls
        return made  # type: ignore[no-any-return]

    @property
    def final(self) -> bool:
        """Whether nothing ends this refusal."""
        return NEVER in self.until

    def next_moment(self) -> float | None:
        """The earliest `At` among the conditions, seconds of the run's clock."""
        return min((c.moment for c in self.until if isinstance(c, At)), default=None)

    def describe(self, now: float | None = None) -> str:
        """The refusal in words; with `now`, moments are given as seconds from then."""
        who = f" by {self.by}" if self.by else ""
        detail = f": {self.detail}" if self.detail else ""
        return f"{self.reason}{who}{detail}; until {describe_until(self.until, now)}"

    __str__ = describe


_draft: Final = draft_of(Denied)
_set_by, _set_checked = writer(Denied, "by"), writer(Denied, "_checked")


def describe_until(until: Iterable[Condition], now: float | None = None) -> str:
    """The conditions that would end a refusal, in words; with `now`, moments are given as seconds from then."""

    def words(each: Condition) -> str:
        return str(each) if now is None or not isinstance(each, At) else f"{each.moment - now:.1f} s from now"

    return " or ".join(sorted(map(words, until)))


def check_denied(denied: object, *, by: str, now: float, reasons: frozenset[str]) -> Denied:
    """A plugin's answer, checked against the rules of a refusal, with the plugin noted in it.

    Raises `PluginError` naming `by` for an answer that is no `Denied`, a reason of the other gate, no
    condition at all, `NEVER` beside other conditions, or a moment that is not in the future.
    """
    if isinstance(denied, Denied) and denied._checked is not None and denied._checked == (by, reasons):
        return denied
    if not isinstance(denied, Denied):
        if isinstance(denied, CoroutineType):
            denied.close()
        raise PluginError(by, f"must answer with Denied or None, not {type(denied).__name__}")
    if not denied.by:
        _set_by(denied, by)
    if denied.reason not in reasons:
        raise PluginError(by, f"unknown reason {denied.reason!r}; use one of {', '.join(sorted(reasons))}")
    if not denied.until:
        raise PluginError(by, "refused without saying what would end it: give `until` at least one condition, or NEVER")
    for condition in denied.until:
        if isinstance(condition, Never) and len(denied.until) > 1:
            raise PluginError(by, "NEVER stands alone in `until`: nothing else could end such a refusal")
        if isinstance(condition, At) and not condition.moment > now:
            raise PluginError(by, f"refused until {condition.moment}, which is not after now ({now})")
    if not any(isinstance(condition, At) for condition in denied.until):  # a moment passes: it is looked at each time
        _set_checked(denied, (by, reasons))
    return denied
