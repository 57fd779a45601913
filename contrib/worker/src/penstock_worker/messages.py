"""What the parent process wrote: each line as a task, or as what is wrong with it.

A line that cannot be used is answered all the same where its id can be found, since the parent waits for each id that
it sent. In a broken line the id is believed only where it is the first key of the object, as the parent writes it: any
other `"task_id"` may belong to the payload.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from typing import Any, Final, NoReturn

import attrs

from penstock_worker.framing import LongLine

__all__ = ["DEFAULT_QUEUE", "BadLine", "Message", "read_message"]

DEFAULT_QUEUE: Final = "default"
"""The group of tasks whose message names no queue."""

_FIRST_KEY: Final = re.compile(rb'\s*\{\s*"task_id"\s*:\s*("(?:[^"\\\x00-\x1f]|\\.)*")')


@attrs.frozen
class Message:
    """A task as the parent sent it. `size` is the length of its line in bytes."""

    task_id: str
    type: str | None
    payload: Any
    queue: str
    size: int


@attrs.frozen
class BadLine:
    """A line that is no task: what is wrong with it, and the id to answer to, where it has one."""

    task_id: str | None
    error: str


def read_message(line: bytes | LongLine) -> Message | BadLine | None:
    """The task on a line, or what is wrong with it; `None` for an empty line."""
    if isinstance(line, LongLine):
        return BadLine(_first_id(line.head), f"the line is {line.size:,} bytes long, which is above the limit")
    text = line.removeprefix(BOM_UTF8)
    if not text.strip():
        return None
    try:
        found = json.loads(text.decode(), parse_constant=_refuse)
    except UnicodeDecodeError as error:
        return BadLine(_first_id(text), f"the line is not UTF-8: {error.reason} at byte {error.start}")
    except RecursionError:
        return BadLine(_first_id(text), "the line is nested too deeply")
    except ValueError as error:
        return BadLine(_first_id(text), f"the line is not JSON: {error}")
    if not isinstance(found, dict):
        return BadLine(None, "the line must be a JSON object with a task_id")
    return _message(found, len(line))


def _message(found: dict[str, Any], size: int) -> Message | BadLine:
    task_id = found.get("task_id")
    if not isinstance(task_id, str):
        number = isinstance(task_id, int) and not isinstance(task_id, bool)
        return BadLine(str(task_id) if number else None, "task_id must be a string")
    kind, queue = found.get("type"), found.get("queue")
    if not (kind is None or isinstance(kind, str)):
        return BadLine(task_id, "type must be a string")
    if not (queue is None or (isinstance(queue, str) and _can_be_written(queue))):
        return BadLine(task_id, "queue must be a string")
    return Message(task_id, kind, found.get("payload", {}), queue or DEFAULT_QUEUE, size)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number in JSON")


def _first_id(text: bytes) -> str | None:
    found = _FIRST_KEY.match(text)
    if found is None:
        return None
    try:
        return str(json.loads(found[1].decode()))
    except ValueError:
        return None


def _can_be_written(text: str) -> bool:
    """Whether there is no half of a character in it, of which no name can be made."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
