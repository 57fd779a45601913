"""Where a cycle goes: how many bytecodes of the interpreter each function executes, and how often it is called.

Counts, not times: the same on a busy machine as on a quiet one, and so what an optimisation is first judged by. On
CPython 3.11 a bytecode is worth some 28 machine instructions, and a call of a Python function some 600 more.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import PurePath
from types import CodeType, FrameType
from typing import Any

import attrs

from penstock import SchedulableTask, TaskGroupSpec
from penstock_bench.dispatch.driver import GateDriver, driver_of
from penstock_bench.dispatch.workloads import Workload
from penstock_bench.reporting.tables import markdown_table

__all__ = ["Place", "Profile", "count", "cycles_beside", "cycles_of", "profile_text"]


@attrs.frozen
class Place:
    """A function: what it executes itself in one cycle, without what it calls."""

    name: str
    opcodes: float
    calls: float


@attrs.frozen
class Profile:
    """The places of one cycle, the largest first."""

    places: Sequence[Place]

    @property
    def opcodes(self) -> float:
        """Bytecodes a cycle."""
        return sum(place.opcodes for place in self.places)

    @property
    def calls(self) -> float:
        """Calls of Python functions a cycle."""
        return sum(place.calls for place in self.places)


def count(run: Callable[[], object], cycles: int) -> Profile:
    """The profile of what `run` executes, which does so many cycles."""
    opcodes: Counter[CodeType] = Counter()
    calls: Counter[CodeType] = Counter()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "call":
            calls[frame.f_code] += 1
        elif event == "opcode":
            opcodes[frame.f_code] += 1
        return trace

    before = sys.gettrace()
    sys._getframe().f_trace_opcodes = True  # Python 3.12 looks whether anybody wants them only when tracing begins
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    codes = sorted(opcodes, key=lambda code: (-opcodes[code], _name(code)))
    return Profile([Place(_name(code), opcodes[code] / cycles, calls[code] / cycles) for code in codes])


def _name(code: CodeType) -> str:
    return f"{PurePath(code.co_filename).name}:{code.co_firstlineno} {code.co_qualname}"


def cycles_of(workload: Workload, warm_up: int, cycles: int) -> Profile:
    """The profile of a dispatch cycle, after so many others: what is once and for all has been done by then."""
    driver = driver_of(workload)

    def run(most: int) -> int:
        return driver.cycles_with_held(most, workload.held) if workload.held else driver.cycles(most)

    run(warm_up)
    return count(lambda: run(cycles), cycles)


def cycles_beside(driver: GateDriver, warm_up: int, cycles: int) -> Profile:
    """The profile of a cycle of one more group, beside what keeps waiting in this gate."""
    free = TaskGroupSpec.named("free")
    driver.offer([SchedulableTask(f"free-{n}", None, free) for n in range(warm_up + cycles + 1)])
    assert driver.cycles(warm_up) == warm_up
    return count(lambda: driver.cycles(cycles), cycles)


def profile_text(title: str, profile: Profile, places: int) -> str:
    """The sums, and a table of the largest places."""
    lines = [(f"{place.opcodes:.1f}", f"{place.calls:.2f}", place.name) for place in profile.places[:places]]
    head = f"{title}: {profile.opcodes:,.0f} bytecodes and {profile.calls:,.1f} calls a cycle"
    return f"{head}\n\n{markdown_table(('bytecodes', 'calls', 'where'), lines)}"
