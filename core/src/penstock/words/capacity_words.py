"""A capacity plan in words: what was configured, what holds now, what was seen at most, and what of the first was
reached. The parts stay apart, as in the plan; the last one only compares. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from penstock.words.capacity import CapacityValue, ConfiguredCapacity, ObservedMaxima, RuntimeCapacity
from penstock.words.checks import is_finite
from penstock.words.printable import printable

__all__ = ["Line", "capacity_in_words", "capacity_sections", "reached"]

LISTED: Final = 20
"""So many of a kind are listed one by one: of what was seen, those with the highest figures."""

_IF_NOTHING: Final = {
    "now": "nothing",
    "the most at once so far": "nothing",
    "reached": "no limit, so none of these holds the run back; explain says what does",
}

_SECONDS: Final = re.compile(r"(?:timeout|seconds)$")
"""The names of durations."""

_FOR_EVER: Final = 1e9
"""So many seconds, thirty years, are set where a wait shall have no end."""

Line = tuple[str, str, str]
"""What, how much, and who says so."""


def capacity_sections(
    configured: ConfiguredCapacity, now: RuntimeCapacity, observed: ObservedMaxima
) -> dict[str, list[Line]]:
    """The sections of a plan by their titles, each line made printable. What is left at its default in `[requests]` and
    in the limiters' tables is only counted."""
    sections: dict[str, Iterable[Line]] = {
        "configured": _configured(configured),
        "now": _now(now),
        "the most at once so far": _observed(observed),
        "reached": ((what, how, "") for what, how in reached(configured, observed)),
        "not known": _not_known(configured, observed),
    }
    return {
        title: [(printable(what), printable(how), printable(who)) for what, how, who in found]
        for title, found in sections.items()
    }


def capacity_in_words(sections: Mapping[str, Sequence[Line]]) -> str:
    """The sections, for people."""
    lines = []
    for title, rows in sections.items():
        if rows or title in _IF_NOTHING:
            lines.append(f"{title}:" if rows else f"{title}: {_IF_NOTHING[title]}")
        first, second = (max((len(row[at]) for row in rows), default=0) for at in (0, 1))
        lines += [f"  {what:<{first}}  {how:<{second}}  {who}".rstrip() for what, how, who in rows]
    return "\n".join(lines)


def reached(configured: ConfiguredCapacity, observed: ObservedMaxima) -> list[tuple[str, str]]:
    """The limits that were reached: what, and how much of how much. One that limiters set below the cap counts if calls
    have waited there."""
    leases = observed.task_leases_by_resource
    pairs: list[tuple[str, CapacityValue, int]] = [
        ("tasks at a time", configured.submission_capacity, leases.get("submission", 0)),
        *((f"resource {n}", value, leases.get(n, 0)) for n, value in configured.task_resource_limits.items()),
        *(
            (f"{name}: calls at a time", value, observed.aggregate_in_flight.get(name, 0))
            for name, value in configured.provider_model_static_caps.items()
        ),
        *(
            (f"{name}: calls at a time", value, observed.request_in_flight_by_resource.get(name, 0))
            for name, value in configured.request_resources.items()
            if "domain_caps" in value.where
        ),
    ]
    found = [
        (what, f"{most:,} of {value.value:,}")
        for what, value, most in pairs
        if isinstance(value.value, int) and most >= value.value
    ]
    for name, limit in observed.highest_current_limits.items():
        most, cap = observed.request_in_flight_by_resource.get(name, 0), configured.request_resources.get(name)
        below = cap is not None and isinstance(cap.value, int) and limit < cap.value
        if below and most >= limit and observed.request_waiters_by_resource.get(name):
            found.append((f"{name}: the limit that its limiters set", f"{most:,} of {limit:,}"))
    return found


def _who(value: CapacityValue) -> str:
    if value.source == "default":
        return f"the default; {value.fallback_from} changes it"
    fallback = f"; {value.fallback_from} says nothing else" if value.fallback_from else ""
    return f"{value.where or value.source.replace('_', ' ')}{fallback}"


def _how(value: CapacityValue, name: str = "") -> str:
    if _SECONDS.search(name) and is_finite(value.value):
        return f"{value.value:,.12g} s" if value.value < _FOR_EVER else "no end"
    if isinstance(value.value, int) and not isinstance(value.value, bool):
        return f"{value.value:,}"
    if isinstance(value.value, float):
        return f"{value.value:,.12g}"
    return ", ".join(map(str, value.value)) if isinstance(value.value, list) else str(value.value)


def _configured(configured: ConfiguredCapacity) -> Iterator[Line]:
    def lines(values: Mapping[str, CapacityValue], named: Callable[[str], str]) -> Iterator[Line]:
        said = {name: value for name, value in values.items() if value.value is not None}
        yield from _some([(named(name), _how(value, name), _who(value)) for name, value in said.items()])

    yield from lines({"tasks at a time": configured.submission_capacity}, str)
    yield from lines(configured.task_resource_limits, lambda name: f"resource {name}")
    yield from lines(configured.group_admitted_limits, lambda name: f"tasks of {name} while others wait")
    yield from lines(configured.provider_model_static_caps, lambda name: f"{name}: calls at a time")
    apart = {name: value for name, value in configured.request_resources.items() if "domain_caps" in value.where}
    yield from lines(apart, lambda name: f"{name}: calls at a time")
    yield from lines(configured.request_domain_initial_limits, lambda name: f"{name}: limit begins at")
    admission = configured.request_admission_config
    yield from lines({n: v for n, v in admission.items() if v.source != "default"}, str)
    if unsaid := sum(value.source == "default" for value in admission.values()):
        yield (
            "other figures of calls",
            f"{unsaid}",
            "all at their defaults, in [requests] and [plugins]; as_dict() and --json show them",
        )
    yield from lines(configured.program, str)
    yield from lines({"rows read together": configured.buffer_size}, str)
    yield from lines({"row groups at a time": configured.row_group_admission}, str)
    yield from lines(configured.transport_pool_limits, lambda name: f"connections of {name}")
    if isinstance(configured.plugins.value, list):
        names = ", ".join(map(str, configured.plugins.value))
        yield "plugins that may refuse", f"{len(configured.plugins.value)}", f"{names}; explain says what they refuse"


def _now(now: RuntimeCapacity) -> Iterator[Line]:
    for resource, count in now.task_leases.items():
        yield ("tasks running" if resource == "submission" else f"resource {resource} in use"), f"{count:,}", ""
    yield from _first(now.aggregate_in_flight, lambda model: f"{model}: calls in flight")
    grown = {name: most for name, most in now.effective_maxima.items() if most > now.current_limits.get(name, most)}
    limits = now.current_limits.items()
    yield from _some(
        [(f"{n}: limit", f"{limit:,}", f"may grow to {grown[n]:,}" if n in grown else "") for n, limit in limits]
    )
    blocked = [(until - now.captured_at, name) for name, until in now.blocked_until.items()]
    yield from _some([(f"{name}: cooling down", f"{left:.1f} s", "more") for left, name in sorted(blocked)])


def _observed(observed: ObservedMaxima) -> Iterator[Line]:
    for resource, most in observed.task_leases_by_resource.items():
        yield ("tasks running" if resource == "submission" else f"resource {resource} in use"), f"{most:,}", ""
    yield from _first(observed.queued_by_group, lambda group: f"tasks of {group} queued")
    if observed.row_groups_in_flight is not None:
        yield "row groups in flight", f"{observed.row_groups_in_flight:,}", ""
    yield from _first(observed.aggregate_in_flight, lambda model: f"{model}: calls in flight")
    yield from _first(observed.request_waiters_by_resource, lambda resource: f"{resource}: calls waiting")
    yield from _first(observed.highest_current_limits, lambda resource: f"{resource}: limit")
    yield from _first(observed.transport_use, lambda pool: f"connections of {pool}")


def _not_known(configured: ConfiguredCapacity, observed: ObservedMaxima) -> Iterator[Line]:
    values = {
        "rows read together": configured.buffer_size,
        "row groups at a time": configured.row_group_admission,
        **{f"{name}: limit begins at": value for name, value in configured.request_domain_initial_limits.items()},
        **{name: value for name, value in configured.request_admission_config.items() if value.source != "default"},
        **configured.program,
        **{f"connections of {name}": value for name, value in configured.transport_pool_limits.items()},
    }
    whats: dict[str, list[str]] = {}
    for what, value in values.items():
        if value.missing_reason is not None:
            whats.setdefault(value.missing_reason, []).append(what)
    for name, why in observed.missing.items():
        whats.setdefault(why, []).append(f"the most {name.replace('_', ' ')}")
    yield from ((", ".join(names), why, "") for why, names in whats.items())


def _first(figures: Mapping[str, int], named: Callable[[str], str]) -> Iterable[Line]:
    ordered = sorted(figures.items(), key=lambda pair: (-pair[1], pair[0]))
    return _some([(named(name), f"{most:,}", "") for name, most in ordered])


def _some(lines: Sequence[Line]) -> Iterable[Line]:
    """The first of these lines, and how many more there are."""
    more = len(lines) - LISTED
    return [*lines[:LISTED], (f"and {more:,} more", "", "")] if more > 0 else lines
