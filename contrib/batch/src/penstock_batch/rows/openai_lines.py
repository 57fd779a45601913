"""The results of a batch as OpenAI writes them: a line for each call, answered or not."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from penstock_batch.rows.lines import json_bytes, json_line

__all__ = ["answered_line", "unanswered_line"]


def answered_line(record: Mapping[str, Any], response: str) -> bytes:
    """The line of a call that was answered: what it said, and under `response` the body of the answer."""
    answer = {"status_code": 200, "request_id": None, "body": record[response]}
    return _line(record["custom_id"], answer, None)


def unanswered_line(columns: Mapping[str, Any] | None, message: str, *, called: bool) -> bytes:
    """The line of a call that was not: `called`, and failed, or never a call. `columns` are what it said, as far as it
    could be read.
    """
    code = "request_failed" if called else "invalid_line"
    return _line((columns or {}).get("custom_id"), None, {"code": code, "message": message})


def _line(custom_id: Any, response: Mapping[str, Any] | None, error: Mapping[str, Any] | None) -> bytes:
    known_by = blake2b(json_bytes([custom_id, error]), digest_size=12).hexdigest()
    return json_line({"id": f"batch_req_{known_by}", "custom_id": custom_id, "response": response, "error": error})
