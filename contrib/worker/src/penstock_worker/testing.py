"""A parent process as the protocol has it, with all its traps: for tests of a worker, and of tasks of one's own.

`Parent` is pure: it is told what the worker wrote, when, and when it ended. What it makes of that is what happens with
a real parent, where a line that is not quite right is no error, but a task that hangs.
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal

import attrs

__all__ = ["LONGEST_READ", "LOST_BEFORE_EXIT", "Outcome", "Parent"]

LONGEST_READ: Final = 10 * 1024 * 1024
"""Bytes of a line from which on the parent stops reading for good."""

LOST_BEFORE_EXIT: Final = 0.2
"""Seconds before an exit in which what was written is lost."""


@attrs.frozen
class Outcome:
    """What became of a task, to the parent: a success with its result, or a failure with the error's words."""

    kind: Literal["success", "failure"]
    value: Any
    at: float


class Parent:
    """The parent's half of the protocol.

    `status`    `None` until the worker said `"ready"`, or `"error"`, which aborts the start
    `pending`   the ids that it waits for
    `outcomes`  what became of the others, by id, in the order in which they came
    `warnings`  what it dropped, and why
    `deaf`      whether a line was too long for it: it then reads no more, and every task hangs
    """

    def __init__(self) -> None:
        self.status: str | None = None
        self.start_error: str | None = None
        self.pending: set[str] = set()
        self.outcomes: dict[str, Outcome] = {}
        self.warnings: list[str] = []
        self.deaf = False
        self.exit_code: int | None = None
        self._rest = b""

    def line(self, task_id: str, payload: Any = None, *, kind: str = "demo", queue: str = "q.default") -> bytes:
        """The line that hands a task to the worker, which it waits for from now on."""
        self.pending.add(task_id)
        message = {
            "task_id": task_id,
            "type": kind,
            "payload": payload,
            "retry_count": 0,
            "max_retry": 2,
            "queue": queue,
        }
        return json.dumps(message, separators=(",", ":")).encode() + b"\n"

    def read(self, data: bytes, now: float) -> None:
        """What the worker wrote, or the end of that (`b""`)."""
        if self.deaf:
            return
        *lines, self._rest = (self._rest + data).split(b"\n") if b"\n" in data else [self._rest + data]
        for line in lines:
            if len(line) >= LONGEST_READ:
                self.deaf = True
                return
            self._take(line, now)
        self.deaf = len(self._rest) >= LONGEST_READ

    def exited(self, code: int, now: float) -> None:
        """The worker has ended: what it wrote just before is lost."""
        self.exit_code = code
        for task_id, outcome in tuple(self.outcomes.items()):
            if outcome.at > now - LOST_BEFORE_EXIT:
                del self.outcomes[task_id]
                self.pending.add(task_id)
                self.warnings.append(f"lost: the answer to {task_id}, just before the exit")

    def _take(self, line: bytes, now: float) -> None:
        try:
            found = json.loads(line.decode(), parse_constant=_no_number)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            self._drop("no JSON object", line)
        elif self.status is None:
            self.status, self.start_error = found.get("status"), found.get("error")
        else:
            self._answer(found, line, now)

    def _answer(self, found: dict[str, Any], line: bytes, now: float) -> None:
        task_id, error = found.get("task_id"), found.get("error")
        if not isinstance(task_id, str) or not (error is None or isinstance(error, str)):
            self._drop("fields of another type", line)
        elif task_id not in self.pending:
            self._drop("an unknown id, or a second answer", line)
        else:
            self.pending.remove(task_id)
            self.outcomes[task_id] = (
                Outcome("failure", error, now) if error else Outcome("success", found.get("result"), now)
            )

    def _drop(self, why: str, line: bytes) -> None:
        if self.status is not None:
            self.warnings.append(f"dropped, {why}: {line[:200]!r}")


def _no_number(constant: str) -> None:
    raise ValueError(constant)
