"""What is looked at when the facts of an answer, and its outcome, are made: each is made once per call.

Apart from the records, so that it can be compiled: so it takes whatever their fields hold.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

from penstock.requests.hints import Hints
from penstock.requests.verdict import Usage, Verdict
from penstock.requests.verdict_checks import check_verdict
from penstock.words.checks import (
    a_duration,
    a_mapping,
    a_moment,
    an_instance,
    is_text,
    shown,
    true_or_false,
    whole_number,
)
from penstock.words.errors import ConfigError

__all__ = ["check_facts", "check_outcome"]


def check_facts(facts: Any) -> None:
    """Raises `ConfigError` unless these are facts of an answer."""
    _check_headers(facts.headers)
    _check_figures(facts.status, facts.elapsed, facts.first_token_at)
    error_type, received_at, body = facts.error_type, facts.received_at, facts.body
    if error_type is not None and not is_text(error_type):
        raise ConfigError(f"error_type must be text, not {shown(error_type)}")
    if received_at is not None:
        a_moment(received_at, "received_at")
    if body is not None and not (is_text(body) or isinstance(body, bytes)):
        raise ConfigError(f"body must be bytes or text, not {shown(body)}")
    if facts.hints is not None and type(facts.hints) is not Hints:
        an_instance(facts.hints, Hints, "hints")
    if facts.verdict is not None and type(facts.verdict) is not Verdict:
        an_instance(facts.verdict, Verdict, "verdict")


def check_outcome(outcome: Any) -> None:
    """Raises `ConfigError` unless this is how a call can have ended."""
    check_verdict(outcome)
    asked, usage, detail, hints = outcome.retry_after_seconds, outcome.usage, outcome.detail, outcome.hints
    if asked is not None and not isfinite(a_duration(asked, "retry_after_seconds")):
        raise ConfigError("retry_after_seconds must be finite; leave it out where nothing was asked for")
    _check_figures(outcome.status, outcome.elapsed, outcome.first_token_at)
    if usage is not None and type(usage) is not Usage:
        an_instance(usage, Usage, "usage")
    if type(detail) is not str and detail is not None and not is_text(detail):
        raise ConfigError(f"detail must be text, not {shown(detail)}")
    if hints is not None and type(hints) is not Hints:
        an_instance(hints, Hints, "hints")
    if type(outcome.went_out) is not bool:
        true_or_false(outcome.went_out, "went_out")


def _check_headers(headers: Any) -> None:
    told = headers if type(headers) is dict else dict(a_mapping(headers, "headers", "{'retry-after': '3'}"))
    for name, value in told.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise ConfigError(f"headers must map text to text, not {shown(name)} to {shown(value)}")


def _check_figures(status: Any, elapsed: Any, first_token_at: Any) -> None:
    if elapsed is not None and (type(elapsed) is not float or not elapsed >= 0):
        a_duration(elapsed, "elapsed")
    if first_token_at is not None and (type(first_token_at) is not float or not first_token_at >= 0):
        a_duration(first_token_at, "first_token_at")
    if status is not None and (type(status) is not int or not 0 <= status <= 999):
        whole_number(status, "status", 0, 999)
