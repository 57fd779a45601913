"""The asking side of `penstock explain`: which runs of this user are under way, and one question to one of them.

What answers need not be Penstock: whatever it says, and however slowly, asking ends after some seconds with an answer
of bounded length or with one line of what was wrong.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import attrs
import trio

from penstock.run.explain_protocol import (
    EXCHANGE_TIMEOUT,
    LONGEST_ANSWER,
    LONGEST_GREETING,
    Greeting,
    Question,
    read_answer,
    read_greeting,
)
from penstock.run.local_lines import LocalLines, same_user
from penstock.run.socket_folder import SocketFolder, possible_folders, socket_folder

__all__ = ["FoundRun", "FoundRuns", "ask", "find_runs"]

MOST_AT_ONCE: Final = 32
"""How many sockets are looked at at a time."""


@attrs.frozen
class FoundRun:
    """A run that is under way: how it greets, and its socket."""

    greeting: Greeting
    path: Path


@attrs.frozen
class FoundRuns:
    """The runs of this user that answer, by their start; `notes` has a line for whatever was there and could not be
    used: a folder that is not safe, a socket that does not answer as a run does. `dead` are the sockets of runs that
    have died.
    """

    runs: tuple[FoundRun, ...]
    notes: tuple[str, ...]
    dead: tuple[Path, ...] = ()


async def find_runs(*, remove_dead: bool = True) -> FoundRuns:
    """Every run of this user that is under way and answers. Sockets of runs that have died are removed, if not told
    otherwise."""
    if not hasattr(socket, "AF_UNIX"):
        return FoundRuns((), ("there are no local sockets on this system",))
    runs: list[FoundRun] = []
    notes: list[str] = []
    dead: list[Path] = []
    for path in possible_folders():
        try:
            with socket_folder(path) as folder:
                places = trio.CapacityLimiter(MOST_AT_ONCE)
                async with trio.open_nursery() as nursery:
                    for name in folder.sockets():
                        nursery.start_soon(_look, folder, name, places, runs, notes, dead)
                if remove_dead:
                    for gone in dead:
                        if gone.parent == folder.path:
                            folder.remove(gone.name)
        except FileNotFoundError:
            continue
        except OSError as error:
            notes.append(str(error))
    runs.sort(key=lambda run: (run.greeting.started, run.path))
    return FoundRuns(tuple(runs), tuple(sorted(notes)), tuple(sorted(dead)))


async def _look(
    folder: SocketFolder,
    name: str,
    places: trio.CapacityLimiter,
    runs: list[FoundRun],
    notes: list[str],
    dead: list[Path],
) -> None:
    path = folder.path / name
    try:
        async with places, _connected(path) as lines:
            runs.append(FoundRun(read_greeting(await lines.receive(LONGEST_GREETING)), path))
    except ConnectionRefusedError:
        dead.append(path)
    except FileNotFoundError:
        return  # it ended just now
    except (OSError, ValueError) as error:
        notes.append(f"{path}: {error}")


async def ask(run: FoundRun, question: Question) -> str:
    """The answer of a run, safe to be shown. Raises `OSError` or `ValueError` with what went wrong."""
    with socket_folder(run.path.parent):
        async with _connected(run.path) as lines:
            read_greeting(await lines.receive(LONGEST_GREETING))
            await lines.send(question.line())
            return read_answer(await lines.receive(LONGEST_ANSWER), question)


@asynccontextmanager
async def _connected(path: Path) -> AsyncIterator[LocalLines]:
    """A connection to a socket, for as long as is waited for an answer."""
    connection = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with trio.move_on_after(2 * EXCHANGE_TIMEOUT) as timeout:
        async with LocalLines(connection) as lines:
            await connection.connect(str(path))
            try:
                connection.getpeername()
            except OSError:
                raise ConnectionAbortedError("too many are asking it") from None
            if not same_user(connection):
                raise PermissionError("another user's process answers there")
            try:
                yield lines
            except trio.BrokenResourceError:
                raise ConnectionResetError("the connection broke off before the answer was there") from None
    if timeout.cancelled_caught:
        raise TimeoutError(f"no answer within {2 * EXCHANGE_TIMEOUT:g} s")
