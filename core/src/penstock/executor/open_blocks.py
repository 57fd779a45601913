"""The blocks of attempts that somebody is in, and the end of those that are left open.

Who has entered a block may end without leaving it: an async generator that is not read to its end, an `__aenter__` by
hand, a stack that nobody closes. So when a trio task ends, or the work of a thread, what it still holds is given back,
as a call that was cancelled, with a line in the log. Trio reports the end of a task to instruments alone; this one has
no other hook, so that it costs one look into a dictionary for each task that ends, and nothing per step.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from types import CodeType, FrameType
from typing import Final, Protocol

import trio

from penstock.executor.thread_work import ThreadWork
from penstock.requests.items import RequestAdmissionLease
from penstock.words.printable import printable

__all__ = ["CallSite", "Holder", "OpenBlock", "OpenBlocks", "call_site"]

_log: Final = logging.getLogger("penstock.requests")

_NOBODYS: Final = ("penstock.", "contextlib", "trio.")
"""The modules through which blocks are entered for somebody else."""

CallSite = tuple[CodeType, int]
"""The code and the line in it where a block was entered."""

Holder = trio.lowlevel.Task | ThreadWork
"""Who is in a block: at its end the block cannot be left any more by whoever entered it."""


class OpenBlock(Protocol):
    """What a block holds until it is left: an attempt."""

    @property
    def lease(self) -> RequestAdmissionLease:
        """The permit that it holds."""

    @property
    def site(self) -> CallSite | None:
        """Where the block was entered, if that is known."""

    def left_open(self) -> None:
        """Its holder has ended; it is to give its lease back, and to leave the blocks first of all."""


class OpenBlocks(trio.abc.Instrument):
    """The blocks of one gate that somebody is in, `by_holder`, in the order in which they were entered."""

    def __init__(self) -> None:
        self.by_holder: dict[Holder, list[OpenBlock]] = {}
        self._system_nursery: trio.Nursery | None = None

    def watch(self, system_task: trio.lowlevel.Task) -> None:
        """From now on what the tasks of the run leave open is given back. `system_task` is any one of trio's."""
        self._system_nursery = system_task.parent_nursery
        trio.lowlevel.add_instrument(self)

    def unwatch(self) -> None:
        """The gate has gone: nobody waits any more for what is given back."""
        with suppress(KeyError):
            trio.lowlevel.remove_instrument(self)

    def enter(self, block: OpenBlock, holder: Holder) -> None:
        """The holder is in this block from now on, until `leave`."""
        held = self.by_holder.get(holder)
        if held is not None:
            held.append(block)
            return
        self.by_holder[holder] = [block]
        if isinstance(holder, ThreadWork):
            holder.at_end.add(self.give_back)

    def leave(self, block: OpenBlock, holder: Holder) -> None:
        """The block ends, or somebody else ends what it holds."""
        held = self.by_holder[holder]
        held.remove(block)
        if not held:
            del self.by_holder[holder]

    def holder_for_thread(self, work: ThreadWork | None) -> Holder | None:
        """Who holds a block that a thread enters, asked in the task in which trio carries that out for the thread.

        That is the work of the thread, or the task that awaits it. Of other threads nobody knows the end: what enters
        for them is a task of trio's own, over at once.
        """
        if work is not None:
            return work
        task = trio.lowlevel.current_task()
        return None if task.parent_nursery is self._system_nursery else task

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        if task in self.by_holder:
            self.give_back(task)

    @trio.lowlevel.enable_ki_protection  # as in `gate.py`
    def give_back(self, holder: Holder) -> None:
        """The holder has ended: what it has left open ends, the innermost first. Never raises."""
        while held := self.by_holder.get(holder):
            block = held[-1]
            try:
                block.left_open()
                _log.warning("%s", printable(_in_words(block, holder)))
            except BaseException:  # of who receives the event, or whose turn comes: nobody is there to hear of it
                _log.exception("what followed when a block was given back that was left open has failed")


def call_site(frame: FrameType) -> CallSite:
    """The place in the code of whoever calls in `frame`, or calls that for somebody else."""
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith(_NOBODYS):
        frame = frame.f_back
    return frame.f_code, frame.f_lineno


def _in_words(block: OpenBlock, holder: Holder) -> str:
    what = "the work of thread" if isinstance(holder, ThreadWork) else "trio task"
    place = "an unknown place"
    if block.site is not None:
        code, line = block.site
        place = f"{os.path.basename(code.co_filename)}:{line} in {code.co_qualname}"
    return (
        f"{what} {holder.name!r} has ended and left a request block open: its place at {block.lease.item.resource} is "
        f"given back, and the call counts as cancelled. The block was entered at {place}; use `async with` for it, and "
        f"`contextlib.aclosing` for an async generator that contains it"
    )
