"""Whatever one cell meets with costs that cell: all others come out, and the run ends as it should."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from penstock_batch.command import run_command
from penstock_batch.rows.lines import kept

if TYPE_CHECKING:
    from contrib.batch.tests.conftest import Folder

pytestmark = pytest.mark.loopback

HEAD = """
import asyncio

class Mute(Exception):
    def __str__(self):
        raise KeyboardInterrupt

class Odd:
    def __str__(self):
        raise SystemExit
    __repr__ = __str__

class Twisted(dict):
    def items(self):
        raise asyncio.CancelledError

def deep(levels):
    made = []
    for _ in range(levels):
        made = [made]
    return made

def circle():
    made = []
    made.append(made)
    return made

def throw(error):
    raise error
"""

SURPRISES = [
    ("throw(ValueError('one\\ntwo'))", "ValueError: one"),
    ("throw(Mute())", "Mute, whose text cannot be had"),
    ("throw(KeyboardInterrupt())", "KeyboardInterrupt"),
    ("throw(SystemExit(0))", "SystemExit: 0"),
    ("throw(GeneratorExit())", "GeneratorExit"),
    ("throw(asyncio.CancelledError())", "CancelledError"),
    ("throw(BaseException('x'))", "BaseException: x"),
    ("throw(ExceptionGroup('several', [ValueError('a'), KeyError('b')]))", "ExceptionGroup: ValueError: a"),
    ("throw(BaseExceptionGroup('several', [KeyboardInterrupt()]))", "BaseExceptionGroup: KeyboardInterrupt"),
    ("throw(StopIteration(1))", "RuntimeError: coroutine raised StopIteration"),  # in Python's own words
    ("deep(1000)", "returned what JSON cannot hold: it is nested more than 100 deep"),
    ("deep(100_000)", "returned what JSON cannot hold: it is nested more than 100 deep"),
    ("circle()", "returned what JSON cannot hold"),
    ("float('inf')", "returned what JSON cannot hold"),
    ("[1.0, float('nan')]", "returned what JSON cannot hold"),
    ("{1: {2}}", "returned what JSON cannot hold"),
    ("{(1, 2): 3}", "returned what JSON cannot hold"),
    ("Odd()", "returned what JSON cannot hold"),
    ("b'bytes'", "returned what JSON cannot hold"),
    ("{1: 'a', '1': 'b'}", "returned what JSON cannot hold: the name '1' twice in one object"),
    ("throw(__import__('trio').TooSlowError())", "TooSlowError"),
    ("10 ** 5000", "returned what JSON cannot hold"),
    ("OSError(28, 'No space left on device')", "returned what JSON cannot hold"),
    ("throw(OSError(28, 'No space left on device'))", "OSError: [Errno 28]"),
    ("throw(RecursionError('deep'))", "RecursionError: deep"),
    ("throw(MemoryError())", "MemoryError"),
]

PIPELINE = """
[input]
path = "rows.jsonl"
[output]
path = "out/answers.jsonl"
[[steps]]
name = "made"
kind = "python"
function = "PYTHON_STEPS:FUNCTION"
needs = ["id"]
MORE
"""


def run(folder: Folder) -> int:
    return run_command(folder.toml, limit=None, overwrite=False, plugins=(), progress="none")


def surprised(folder: Folder, *expressions: str, more: str = "", is_async: bool = False) -> int:
    """A run of a step that does in the n-th row what the n-th expression does; other rows get their number."""
    folder.rows(len(expressions) + 2)
    folder.write(("FUNCTION", "f"), ("MORE", more), toml=PIPELINE)
    (steps,) = folder.path.glob("steps_of_*.py")
    branches = "".join(f"    if id == {row}:\n        return {each}\n" for row, each in enumerate(expressions))
    head = "async def" if is_async else "def"
    steps.write_text(f"{HEAD}\n{head} f(id):\n{branches}    return id\n", encoding="utf-8")
    return run(folder)


@pytest.mark.parametrize("how", ["", "thread = false", "async"])
def test_whatever_a_python_step_does_is_its_rows_failure(folder: Folder, how: str) -> None:
    expressions, reasons = zip(*SURPRISES, strict=True)
    ended = surprised(folder, *expressions, more="" if how == "async" else how, is_async=how == "async")
    assert ended == 1
    assert [answer["id"] for answer in folder.answers()] == [len(SURPRISES), len(SURPRISES) + 1]
    for failed, expression, reason in zip(folder.failed(), expressions, reasons, strict=True):
        assert failed["error"].startswith(reason), (expression, failed["error"])


def test_a_value_is_passed_on_as_it_is_kept(folder: Folder) -> None:
    assert surprised(folder, "(1, 2)", "{1: 'x'}") == 0
    assert [answer["made"] for answer in folder.answers()] == [[1, 2], {"1": "x"}, 2, 3]
    mine = [["x"]]
    held = kept(mine)
    mine[0].append("y")
    assert held == [["x"]]


def test_a_step_that_takes_too_long_fails_its_row(folder: Folder) -> None:
    waits = "__import__('threading').Event().wait()"
    assert surprised(folder, waits, more="timeout = 0.05") == 1
    (failed,) = folder.failed()
    assert failed["error"] == "took longer than its timeout of 0.05 s"


def test_busy_python_steps_hold_up_no_call(served: Folder) -> None:
    """The forty threads of the first step are at work until the other step's calls have been answered."""
    served.rows(60)
    step = '[[steps]]\nname = "wait"\nkind = "python"\nfunction = "PYTHON_STEPS:wait"\nneeds = ["id"]\n[providers.p]\n'
    served.write(("[providers.p]\n", step), ("http://127.0.0.1", "http://localhost"), toml=_with_name(served))
    (steps,) = served.path.glob("steps_of_*.py")
    with steps.open("a", encoding="utf-8") as file:
        file.write(
            "\nimport threading\nanswered = threading.Event()\ncount = 0\n"
            "def length(summary, vector):\n    global count\n    count += 1\n"
            "    count == 60 and answered.set()\n    return 1\n"
            "def wait(id):\n    return answered.wait(60)\n"
        )
    assert run(served) == 0
    assert all(answer["wait"] for answer in served.answers())


def _with_name(folder: Folder) -> str:
    """The usual pipeline at an address that a name look-up leads to."""
    from contrib.batch.tests.conftest import BASE

    return BASE.replace("BASE_URL", folder.provider_url)
