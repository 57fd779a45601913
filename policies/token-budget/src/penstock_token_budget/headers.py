"""What an answer reports of its provider's limits, in the forms in which providers do.

    x-ratelimit-limit-requests, -remaining-requests, -reset-requests, and the same for tokens
        OpenAI ("Rate limits in headers") and many that speak its protocol: per minute, or per day; the reset is the
        time until nothing counts as used any more, as `6m0s`, `1s`, `12ms`; others write bare seconds
    anthropic-ratelimit-requests-limit, -remaining, -reset, and for tokens, input-tokens, output-tokens
        Anthropic ("Rate limits: response headers"): per minute, the reset as an RFC 3339 moment
    ratelimit-limit, -remaining, -reset, and the window from ratelimit-policy or ratelimit-limit (`100;w=60`)
        IETF draft-ietf-httpapi-ratelimit-headers-07: requests, the reset in seconds

A moment is taken against the answer's own `date`, so that the two clocks need not agree. What cannot be right is
ignored, field by field, and listed. Pure: text in, figures out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import attrs

__all__ = ["KNOWN", "ReportedLimit", "read_headers"]

MOST: Final = 10.0**15
"""No limit and nothing that remains is larger than this."""

LONGEST: Final = 32 * 86400.0
"""No window is longer than this, in seconds."""

EPOCH_SECONDS: Final = 1e9
"""A bare number from here on is no duration but a Unix time; from a thousand times this on, in milliseconds."""

_NUMBER: Final = re.compile(r"[0-9]{1,18}(\.[0-9]{1,9})?", re.ASCII)
_DURATION: Final = re.compile(
    r"(?:(?P<d>[0-9]{1,9})d)?(?:(?P<h>[0-9]{1,9})h)?(?:(?P<m>[0-9]{1,9})m(?!s))?"
    r"(?:(?P<s>[0-9]{1,9}(?:\.[0-9]{1,9})?)s)?(?:(?P<ms>[0-9]{1,12}(?:\.[0-9]{1,9})?)ms)?",
    re.ASCII,
)
_UNITS: Final = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_POLICY: Final = re.compile(r"^\s*(?P<q>[0-9]{1,15})\s*;\s*w=(?P<w>[0-9]{1,9})\s*(?:;|,|$)", re.ASCII)

Clock = Callable[[], datetime]


@attrs.frozen
class ReportedLimit:
    """What an answer reports of one dimension. `reset` and `window` are in seconds; `None`: not there, or nonsense."""

    dimension: str
    limit: float | None
    remaining: float | None
    reset: float | None
    window: float | None = None


_Names = tuple[str, str, str, str]

_FAMILIES: Final[tuple[_Names, ...]] = (
    *(
        (kind, f"x-ratelimit-limit-{kind}", f"x-ratelimit-remaining-{kind}", f"x-ratelimit-reset-{kind}")
        for kind in ("requests", "tokens")
    ),
    *(
        (
            kind.replace("-", "_"),
            f"anthropic-ratelimit-{kind}-limit",
            f"anthropic-ratelimit-{kind}-remaining",
            f"anthropic-ratelimit-{kind}-reset",
        )
        for kind in ("requests", "tokens", "input-tokens", "output-tokens")
    ),
    ("requests", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"),
)
"""Dimension, and the headers of its limit, of what remains, and of the reset. The first family that speaks counts."""

KNOWN: Final = frozenset(name for _, limit, remaining, _ in _FAMILIES for name in (limit, remaining))
"""The headers that report anything: an answer without any of them need not be read."""


def read_headers(headers: Mapping[str, str], wall: Clock, ignored: list[str]) -> list[ReportedLimit]:
    """Everything that is reported, one entry per dimension. Header names are in lower case.

    `wall` gives the time of day, for answers without theirs; the names of headers that make no sense are
    added to `ignored`. Never raises.
    """
    found: dict[str, ReportedLimit] = {}
    reader = _Reader(headers, wall, ignored)
    for dimension, limit, remaining, reset in _FAMILIES:
        if dimension not in found and (limit in headers or remaining in headers):
            found[dimension] = reader.limit_of(dimension, limit, remaining, reset)
    return [reported for reported in found.values() if reported.limit is not None or reported.remaining is not None]


class _Reader:
    def __init__(self, headers: Mapping[str, str], wall: Clock, ignored: list[str]) -> None:
        self._headers = headers
        self._wall = wall
        self._ignored = ignored

    def limit_of(self, dimension: str, limit: str, remaining: str, reset: str) -> ReportedLimit:
        most = self._amount(limit)
        if most == 0:  # nobody who is answered has a limit of nothing
            most = None
            self._ignored.append(limit)
        left = self._amount(remaining)
        if left is not None and most is not None and left > most:
            left = None
            self._ignored.append(remaining)
        window = self._policy_window() if limit == "ratelimit-limit" else None
        return ReportedLimit(dimension, most, left, self._reset(reset), window)

    def _policy_window(self) -> float | None:
        """The window that the draft's policy names, where it names one."""
        for name in ("ratelimit-policy", "ratelimit-limit"):
            for part in self._headers.get(name, "").split(","):
                policy = _POLICY.match(part)
                if policy is not None and 0 < float(policy["w"]) <= LONGEST:
                    return float(policy["w"])
        return None

    def _amount(self, name: str) -> float | None:
        text = self._headers.get(name)
        if text is None:
            return None
        text = re.split("[,;]", text, maxsplit=1)[0].strip()  # the draft lets a policy follow
        if not _NUMBER.fullmatch(text) or float(text) > MOST:
            self._ignored.append(name)
            return None
        return float(text)

    def _reset(self, name: str) -> float | None:
        text = self._headers.get(name)
        if text is None:
            return None
        seconds = self._seconds(text.strip())
        if seconds is None or not seconds <= LONGEST:
            self._ignored.append(name)
            return None
        return max(0.0, seconds)

    def _seconds(self, text: str) -> float | None:
        if _NUMBER.fullmatch(text):
            number = float(text)
            if number < EPOCH_SECONDS:
                return number
            return number / (1000 if number >= 1000 * EPOCH_SECONDS else 1) - self._now().timestamp()
        duration = _DURATION.fullmatch(text)
        if duration is not None and text:
            return sum(float(amount) * _UNITS[unit] for unit, amount in duration.groupdict().items() if amount)
        moment = _moment(text)
        return None if moment is None else (moment - self._now()).total_seconds()

    def _now(self) -> datetime:
        """The time of day by the clock of the one who answers."""
        try:
            date = parsedate_to_datetime(self._headers["date"])
        except (KeyError, ValueError, TypeError, IndexError, OverflowError):
            return self._wall()
        return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


def _moment(text: str) -> datetime | None:
    """An RFC 3339 moment. One without an offset could be anything."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
