"""The hints in an answer's headers, read by tables: one row for each limit that some provider reports.

    x-ratelimit-limit-requests, -remaining-requests, -reset-requests, and the same for tokens
        OpenAI ("Rate limits in headers") and many that speak its protocol: per minute, or per day; the reset is the
        time until nothing counts as used any more
    anthropic-ratelimit-requests-limit, -remaining, -reset, and for tokens, input-tokens, output-tokens
        Anthropic ("Rate limits: response headers"): per minute, the reset as a moment
    ratelimit-limit, -remaining, -reset, and the window from ratelimit-policy or ratelimit-limit (`100;w=60`)
        IETF draft-ietf-httpapi-ratelimit-headers-07: requests, the reset in seconds
    x-ratelimit-limit, -remaining, -reset
        requests; of those who named their headers before the draft

`penstock-dialects` reads further families with the same function. What cannot be right is ignored, field by field, and
listed. Pure: headers in, records out; never raises for what a header says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Final

import attrs

from penstock.requests.figures import LONGEST, MOST, http_date, number_of, seconds_until
from penstock.requests.hints import Hints, LimitHint

__all__ = ["HEADER_FAMILIES", "HintFamily", "read_hints", "retry_after_seconds"]

YEAR: Final = 366 * 86400.0
"""Seconds by which a clock is not a little wrong any more: it begins at the epoch, or at that of its making."""

_NOT_TOLD: Final = frozenset({"none", "null"})
"""What some proxies write where they tell nothing; everything else that is no number is nonsense."""

_JOINED: Final = re.compile("(?<!mon)(?<!tue)(?<!wed)(?<!thu)(?<!fri)(?<!sat)(?<!sun)(?<!day),", re.IGNORECASE)
"""Between several headers of one name, which a client has joined; the comma of a date follows its day of the week."""

_THOUSANDS: Final = re.compile("[0-9]{1,3}(,[0-9]{3}){1,4}", re.ASCII)
"""A number for people; several headers of one name are joined with a blank behind the comma, or all say the same."""

_POLICY: Final = re.compile(r"^\s*(?P<q>[0-9]{1,15})\s*;\s*w=(?P<w>[0-9]{1,9})\s*(?:;|,|$)", re.ASCII)


@attrs.frozen
class HintFamily:
    """The headers (lower-case names) that report one limit.

    `window`  the seconds that the names themselves state (`-requests-minute`)
    `unit`    seconds per unit of a reset that is a bare number
    `fixed`   the reset is the moment until which nothing goes once nothing is left; else all trickles back until then
    `policy`  the header that states the window, as the draft has it
    """

    dimension: str
    limit: str
    remaining: str
    reset: str = ""
    window: float | None = None
    unit: float = 1.0
    fixed: bool = False
    policy: str = ""


HEADER_FAMILIES: Final[tuple[HintFamily, ...]] = (
    *(
        HintFamily(kind, f"x-ratelimit-limit-{kind}", f"x-ratelimit-remaining-{kind}", f"x-ratelimit-reset-{kind}")
        for kind in ("requests", "tokens")
    ),
    *(
        HintFamily(
            kind.replace("-", "_"),
            f"anthropic-ratelimit-{kind}-limit",
            f"anthropic-ratelimit-{kind}-remaining",
            f"anthropic-ratelimit-{kind}-reset",
        )
        for kind in ("requests", "tokens", "input-tokens", "output-tokens")
    ),
    HintFamily(
        "requests", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", fixed=True, policy="ratelimit-policy"
    ),
    HintFamily("requests", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", fixed=True),
)
"""The limits that the core knows. Of one dimension and window the first that an answer reports counts."""


def read_hints(
    headers: Mapping[str, str],
    *,
    refused: bool,
    wall_now: datetime | None = None,
    families: Iterable[HintFamily] = HEADER_FAMILIES,
) -> Hints:
    """What an answer's headers (lower-case names) tell. `wall_now` is for answers that do not say their own time.

    Only a refusal names a time before which no call should go out: some send `retry-after` with every answer.
    """
    reader = _Reader(headers, wall_now)
    found: dict[tuple[str, float | None], LimitHint] = {}
    read: set[str] = set()
    last, said_by = 0.0, ""
    for family in families:
        key = (family.dimension, family.window)
        if key in found or family.limit in read or (family.limit not in headers and family.remaining not in headers):
            continue
        read.add(family.limit)
        hint = reader.limit_of(family)
        if hint.limit is None and hint.remaining is None:
            continue
        found[key] = hint
        if family.fixed and hint.remaining == 0 and hint.reset is not None and hint.reset > last:
            last, said_by = hint.reset, family.reset
    asked = None
    if refused:
        asked = retry_after_seconds(headers, wall_now)
        if asked is not None:
            said_by = "retry-after" if "retry-after" in headers else "retry-after-ms"
        elif said_by:
            asked = last
    return Hints(
        not_before_seconds=asked,
        said_by="" if asked is None else said_by,
        limits=tuple(found.values()),
        ignored=tuple(reader.ignored),
    )


def retry_after_seconds(headers: Mapping[str, str], wall_now: datetime | None = None) -> float | None:
    """How long the provider asks to wait, in seconds, from headers with lower-case names; `None` if it does not
    say.

    Reads `retry-after-ms` (milliseconds), and `retry-after` as seconds, as an HTTP date (RFC 9110, section 10.2.3) or
    as a Unix time; of two that are there the longer, since either may be rounded down to nothing. A moment is taken
    against the answer's own `date` header, so that the two clocks need not agree, else against `wall_now`; where they
    are more than a year apart, against the later: one of them is wrong, and nobody waits for decades. A moment in the
    past means 0. Nonsense is no header.
    """
    now = _time_there(headers, wall_now)
    milliseconds = [number_of(part) for part in headers.get("retry-after-ms", "").split(",")]
    found = [number / 1000 for number in milliseconds if number is not None]
    for part in _JOINED.split(headers.get("retry-after", "")):
        seconds = seconds_until(part, now)
        if seconds is not None:
            found.append(max(0.0, seconds))
    return max(found, default=None)


def _time_there(headers: Mapping[str, str], wall_now: datetime | None) -> datetime | None:
    """The time of day at the provider, as it says, unless it is far behind."""
    there = http_date(headers.get("date"))
    if there is None or wall_now is None:
        return wall_now if there is None else there
    own = wall_now if wall_now.tzinfo is not None else wall_now.replace(tzinfo=UTC)
    return own if (own - there).total_seconds() > YEAR else there


class _Reader:
    def __init__(self, headers: Mapping[str, str], wall_now: datetime | None) -> None:
        self._headers = headers
        self._wall_now = wall_now
        self.ignored: list[str] = []

    @cached_property
    def _now(self) -> datetime | None:
        return _time_there(self._headers, self._wall_now)

    def limit_of(self, family: HintFamily) -> LimitHint:
        most = self._amount(family.limit)
        if most == 0:  # nobody who is answered has a limit of nothing
            most = None
            self.ignored.append(family.limit)
        left = self._amount(family.remaining)
        if left is not None and most is not None and left > most:
            left = None
            self.ignored.append(family.remaining)
        window = family.window if not family.policy else self._policy_window(family)
        reset = self._reset(family)
        return LimitHint(family.dimension, most, left, reset, window, family.limit)

    def _policy_window(self, family: HintFamily) -> float | None:
        """The window that the draft's policy names, where it names one."""
        for name in (family.policy, family.limit):
            for part in self._headers.get(name, "").split(","):
                policy = _POLICY.match(part)
                if policy is not None and 0 < float(policy["w"]) <= LONGEST:
                    return float(policy["w"])
        return None

    def _amount(self, name: str) -> float | None:
        text = self._headers.get(name)
        if text is None:
            return None
        parts = [part.strip() for part in text.partition(";")[0].split(",")]  # the draft lets a policy follow
        text = parts[0] if len(set(parts)) == 1 or not _THOUSANDS.fullmatch(text.strip()) else "".join(parts)
        amount = number_of(text)
        if amount is None or amount > MOST:
            if text.lower() not in _NOT_TOLD:
                self.ignored.append(name)
            return None
        return amount

    def _reset(self, family: HintFamily) -> float | None:
        text = self._headers.get(family.reset)
        if text is None:
            return None
        seconds = seconds_until(text, self._now)
        if seconds is not None and family.unit != 1.0 and number_of(text) is not None:
            seconds *= family.unit
        if seconds is None or not seconds <= LONGEST:
            self.ignored.append(family.reset)
            return None
        return max(0.0, seconds)
