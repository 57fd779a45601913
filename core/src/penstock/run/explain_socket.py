"""What a run waits for, for whoever of the same user asks: a local socket per run.

The socket is a Unix-domain socket in a folder that only its user may enter. Whoever connects is greeted with the run's
name, process and start, and may then ask one question; it gets one answer, or one line of what is wrong with the
question, and the connection is closed. A few are answered at a time; one that asks nothing, too slowly or does not
listen is left after some seconds. Nothing that comes in by the socket, and no failure of it, ends the run.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final

import trio

from penstock.run.explain_protocol import (
    EXCHANGE_TIMEOUT,
    LONGEST_QUESTION,
    Greeting,
    Question,
    answer_line,
    error_line,
    read_question,
)
from penstock.run.local_lines import LocalLines, same_user
from penstock.run.socket_folder import SocketFolder, run_folder
from penstock.words.printable import printable

__all__ = ["MOST_CONNECTIONS", "answer_questions"]

MOST_CONNECTIONS: Final = 8
"""How many connections are open at a time; as many more wait to be let in."""

ACCEPT_PAUSE: Final = 1.0
"""Seconds until the next try after a connection could not be taken, as when there are too many open files."""

_log: Final = logging.getLogger("penstock.explain")

Answer = Callable[[Question], Awaitable[Mapping[str, Any]]]
"""Makes the answer to a question: a mapping with `text`, `records` or `error`."""


async def answer_questions(
    run_id: str, answer: Answer, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """The answers of a run, until cancelled; started once the socket can be found.

    Where there can be no safe socket, that is logged, and the run goes on without.
    """
    found = False
    if not hasattr(socket, "AF_UNIX"):
        _log.info("there is no local socket on this system: `penstock explain` cannot ask run %s", printable(run_id))
        task_status.started()
        return
    greeting = Greeting(run_id, os.getpid(), datetime.now().astimezone().isoformat(timespec="seconds"))
    try:
        with run_folder() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            name = folder.new_name()
            try:
                _listen(listener, folder, name)
                found = True
                task_status.started()
                await _Answering(greeting, answer).serve(trio.socket.from_stdlib_socket(listener))
            finally:
                folder.remove(name)
    except OSError as error:
        _log.warning(
            "`penstock explain` cannot ask run %s, which goes on without: %s", printable(run_id), printable(str(error))
        )
        if not found:
            task_status.started()


def _listen(listener: socket.socket, folder: SocketFolder, name: str) -> None:
    begun = name.removesuffix(".sock")  # so that nobody finds it before it listens, and takes it for a dead one
    # By no thread, as trio's own would: the folder has been opened just now, and a thread is 0.4 MB of a process.
    listener.bind(str(folder.path / begun))
    listener.setblocking(False)
    folder.close_to_others(begun)
    listener.listen(MOST_CONNECTIONS)
    folder.rename(begun, name)


class _Answering:
    """A run's side of the socket."""

    def __init__(self, greeting: Greeting, answer: Answer) -> None:
        self._greeting = greeting
        self._answer = answer
        self._places = trio.Semaphore(MOST_CONNECTIONS)

    async def serve(self, listener: trio.socket.SocketType) -> None:
        async with trio.open_nursery() as nursery:
            while True:
                await self._places.acquire()
                nursery.start_soon(self._answer_one, await self._accepted(listener))

    async def _accepted(self, listener: trio.socket.SocketType) -> trio.socket.SocketType:
        while True:
            try:
                connection, _ = await listener.accept()
            except OSError as error:
                _log.warning("a question of `penstock explain` could not be taken: %s", error)
                await trio.sleep(ACCEPT_PAUSE)
            else:
                return connection

    async def _answer_one(self, connection: trio.socket.SocketType) -> None:
        try:
            async with LocalLines(connection) as lines:
                if same_user(connection):
                    await self._converse(lines)
        except (trio.BrokenResourceError, OSError):
            pass  # who has gone needs no answer
        finally:
            self._places.release()

    async def _converse(self, lines: LocalLines) -> None:
        reply = error_line(f"the question did not come in within {EXCHANGE_TIMEOUT:g} s")
        with trio.move_on_after(EXCHANGE_TIMEOUT):
            await lines.send(self._greeting.line())
            asked = await lines.receive(LONGEST_QUESTION)
            if not asked:
                return
            reply = error_line(f"the run could not answer within {EXCHANGE_TIMEOUT:g} s; it has changed nothing")
            reply = await self._reply(asked)
        with trio.move_on_after(EXCHANGE_TIMEOUT):
            await lines.send(reply)

    async def _reply(self, asked: bytes) -> bytes:
        try:
            question = read_question(asked)
        except ValueError as error:
            return error_line(str(error))
        try:
            return answer_line(await self._answer(question))
        except Exception as error:
            _log.exception("a question of `penstock explain` could not be answered")
            return error_line(f"the run failed to answer ({type(error).__name__}); its log says more")
