"""The headers in which providers report limits, beyond those that the core knows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from penstock import HEADER_FAMILIES, HintFamily, LimitHint, number_of

__all__ = ["ALL_FAMILIES", "AZURE", "GROQ", "TOGETHER", "draft_limits", "limit_headers", "only_reset"]

MINUTE: Final = 60.0
DAY: Final = 86400.0
LONGEST: Final = 32 * DAY
"""Seconds; no limit is renewed later than that, and no window is longer."""
_SECONDS: Final = {"10-second": 10.0, "second": 1.0, "minute": MINUTE, "hour": 3600.0, "day": DAY, "month": 30 * DAY}


def _named(dimension: str, pattern: str, *, window: float | None = None, fixed: bool = False) -> HintFamily:
    limit, remaining, reset = (pattern.format(what) for what in ("limit", "remaining", "reset"))
    return HintFamily(dimension, limit, remaining, reset, window=window, fixed=fixed)


def _plain(dimension: str, name: str, *, window: float | None = None, fixed: bool = False) -> HintFamily:
    return _named(dimension, f"x-ratelimit-{{}}-{name}", window=window, fixed=fixed)


_WINDOWED: Final = tuple(  # Mistral: `req-10-second`; Cerebras: `requests-day`; the marks of both are fixed
    _plain(dimension, f"{word}-{per}", window=seconds, fixed=True)
    for dimension, word in (("requests", "req"), ("requests", "requests"), ("tokens", "tokens"))
    for per, seconds in _SECONDS.items()
)

_FIREWORKS: Final = (
    _plain("output_tokens", "tokens-generated", window=MINUTE),
    _plain("input_tokens", "tokens-prompt", window=MINUTE),
)

TOGETHER: Final = (
    _named("requests", "x-ratelimit-{}", window=1.0, fixed=True),
    _named("tokens", "x-tokenlimit-{}", window=1.0),
)
"""The names without a kind: meant per second."""

_MISTRAL_2024: Final = tuple(
    _named("tokens", pattern, window=seconds)
    for pattern, seconds in (
        ("ratelimitbysize-{}", MINUTE),
        ("x-ratelimitbysize-{}-minute", MINUTE),
        ("x-ratelimitbysize-{}-month", 30 * DAY),
    )
)

_PRIORITY: Final = tuple(
    _named(f"{kind}_tokens", f"anthropic-priority-{kind}-tokens-{{}}") for kind in ("input", "output")
)

AZURE: Final = tuple(attrs.evolve(_plain(kind, kind), unit=0.001) for kind in ("requests", "tokens"))
"""OpenAI's names; a reset is a bare number of milliseconds."""

_ONLY_RESETS: Final = ("x-rate-limit-reset-requests", "x-rate-limit-reset-tokens")
"""What Azure sent in 2023 with a refusal, and nothing else: seconds."""

GROQ: Final = (_plain("requests", "requests", window=DAY), _plain("tokens", "tokens", window=MINUTE))
"""OpenAI's names: requests are meant per day."""

_COHERE: Final = (
    HintFamily("requests", "x-trial-endpoint-call-limit", "x-trial-endpoint-call-remaining", window=MINUTE),
)

ALL_FAMILIES: Final = (*HEADER_FAMILIES, *_WINDOWED, *_FIREWORKS, *_MISTRAL_2024, *_PRIORITY, *_COHERE)
"""What can be read without knowing who speaks."""


def limit_headers(of: Iterable[HintFamily]) -> frozenset[str]:
    """The names of the headers by which families, and the draft of the IETF, report a limit or what is left of it."""
    return frozenset({"ratelimit", *(name for family in of for name in (family.limit, family.remaining))})


def only_reset(headers: Mapping[str, str]) -> tuple[float, str] | None:
    """The seconds until a limit is there again, and the header that says so, where it says nothing of the limit."""
    found = [(seconds, name) for name in _ONLY_RESETS if (seconds := number_of(headers.get(name, ""))) is not None]
    return max(found, default=None)


_ITEM: Final = re.compile(
    r'(?:"(?P<name>[^"]{0,60})"|(?P<token>[A-Za-z*][\w.:*/-]{0,59}))(?P<values>(?:\s*;\s*[a-z]+=[^;,]{1,200})+)',
    re.ASCII,
)
_VERSION_7: Final = re.compile(r"(?:^|,)\s*(limit|remaining|reset)\s*=\s*([0-9]{1,15})(?=\s*(?:,|$))", re.ASCII)
_QUOTA: Final = re.compile(r"(?:^|,)\s*([0-9]{1,15})\s*;\s*w=([0-9]{1,9})", re.ASCII)
_VALUE: Final = re.compile(r"([a-z]+)=([0-9]{1,15})", re.ASCII)


def draft_limits(headers: Mapping[str, str]) -> list[LimitHint]:
    """The limits in the structured fields of the IETF draft. Since version 8 RateLimit has what remains (`r`) and the
    seconds until it is renewed (`t`), RateLimit-Policy the quota (`q`) and the window (`w`), by name; in version 7
    RateLimit says it in words (`limit=100, remaining=50, reset=5`), and the policy begins with the quota (`100;w=60`).
    """
    told = {word: float(number) for word, number in _VERSION_7.findall(headers.get("ratelimit", "")[:2000])}
    if told.keys() & {"limit", "remaining"}:
        windows = dict(_QUOTA.findall(headers.get("ratelimit-policy", "")[:2000]))
        window = windows.get(f"{told.get('limit', 0.0):.0f}")
        return [
            _draft_limit(
                told.get("limit"), told.get("remaining"), told.get("reset"), None if window is None else float(window)
            )
        ]
    policies = _items(headers.get("ratelimit-policy", ""))
    found = []
    for name, values in _items(headers.get("ratelimit", "")).items():
        policy = policies.get(name) or (next(iter(policies.values())) if len(policies) == 1 else {})
        limit, left = policy.get("q"), values.get("r")
        if limit is not None or left is not None:
            found.append(_draft_limit(limit, left, values.get("t"), policy.get("w")))
    return found


def _draft_limit(limit: float | None, left: float | None, reset: float | None, window: float | None) -> LimitHint:
    """What makes sense of these: nothing is renewed after more than a month, and no more is left than there is."""
    if limit is not None and left is not None and left > limit:
        left = None
    reset = None if reset is None or reset > LONGEST else reset
    window = None if window is None or window > LONGEST else window
    return LimitHint("requests", limit or None, left, reset, window or None, "ratelimit")


def _items(text: str) -> dict[str, dict[str, float]]:
    return {
        item["name"] or item["token"] or "": {key: float(number) for key, number in _VALUE.findall(item["values"])}
        for item in _ITEM.finditer(text[:2000])
    }
