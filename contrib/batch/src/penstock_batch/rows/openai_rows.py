"""OpenAI's batch files: on each line a call, as `{"custom_id": …, "method": "POST", "url": …, "body": {…}}`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from penstock_batch.rows.json_rows import JsonReader
from penstock_batch.rows.lines import json_bytes
from penstock_batch.rows.row import BadRow, Row, digest_of

__all__ = ["OpenAiReader"]


class OpenAiReader:
    """The reader of OpenAI's batch files. A line that is no call, or has the `custom_id` of one before, costs its
    row.
    """

    def rows(self, path: Path) -> Iterator[Row | BadRow]:
        """The calls of a file, in order: rows with `custom_id`, `method`, `url`, `body` and what else stands there."""
        seen: set[int] = set()
        for row in JsonReader().rows(path):
            if isinstance(row, Row):
                problem = _problem(row.values)
                if problem is None:
                    key = digest_of(json_bytes(row.values["custom_id"]))
                    if key in seen:
                        problem = f"the custom_id {row.values['custom_id']!r} stands on a line before"
                    seen.add(key)
                if problem is not None:
                    text = json_bytes(row.values).decode()[:500]
                    yield BadRow(row.index, row.line, problem, text, row.digest)
                    continue
            yield row

    def header(self, path: Path) -> tuple[str, ...]:
        """What each line has."""
        return ("custom_id", "method", "url", "body")


def _problem(values: dict[str, Any]) -> str | None:
    custom_id, method, url, body = (values.get(name) for name in ("custom_id", "method", "url", "body"))
    if not isinstance(custom_id, str) or not custom_id:
        return "has no custom_id, which must be a text"
    if method != "POST":
        return 'must have the method "POST"'
    if not isinstance(url, str) or not url.startswith("/"):
        return 'has no url, such as "/v1/chat/completions"'
    return None if isinstance(body, dict) else "has no body, which must be an object"
