"""What is looked at when a call says what it is expected to use, and what its events are joined by.

Apart from the records, so that it can be compiled: so it takes whatever their fields hold.
"""

from __future__ import annotations

from typing import Any

from penstock.events.correlation import RuntimeCorrelation
from penstock.words.checks import MOST_TOKENS, a_name, an_instance, whole_number

__all__ = ["check_context", "check_cost"]


def check_cost(cost: Any) -> None:
    """Raises `ConfigError` unless these are numbers of requests and of tokens."""
    requests, inp, out = cost.requests, cost.input_tokens, cost.output_tokens
    if type(requests) is not int or requests != 1:
        whole_number(requests, "cost.requests")
    if type(inp) is not int or not 0 <= inp <= MOST_TOKENS:
        whole_number(inp, "cost.input_tokens", 0, MOST_TOKENS)
    if type(out) is not int or not 0 <= out <= MOST_TOKENS:
        whole_number(out, "cost.output_tokens", 0, MOST_TOKENS)


def check_context(context: Any) -> None:
    """Raises `ConfigError` unless events can be joined by these."""
    correlation, task_id, attempt_id = context.correlation, context.task_execution_id, context.request_attempt_id
    if correlation is not None:
        an_instance(correlation, RuntimeCorrelation, "event_context.correlation").check()
    if task_id is not None:
        a_name(task_id, "event_context.task_execution_id")
    if attempt_id is not None and (type(attempt_id) is not str or not attempt_id or not attempt_id.isascii()):
        a_name(attempt_id, "event_context.request_attempt_id")
