"""What a running batch waits for, told to whoever of the same user asks: a local socket per run.

The socket is a Unix-domain socket in a folder that only its user may enter, named by the run. One connection is one
question (a line of JSON: `{"group": null}`) and one answer (a JSON document); then it is closed. Somebody who asks
nothing, or does not listen, is left after a few seconds, and disturbs nobody.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import trio

__all__ = ["answer_questions", "ask", "runs_that_answer", "runtime_folder"]

PATIENCE: Final = 5.0
"""Seconds for one question and its answer."""

LONGEST_PATH: Final = 100
"""Bytes of a socket's path: systems take 104 to 108."""

LONGEST_FOLDER: Final = LONGEST_PATH - 30
"""Bytes of its folder, so that there is room for a run's name."""

MANY: Final = 8
"""How many questions are answered at a time."""

_log: Final = logging.getLogger("penstock.explain")

Answer = Callable[[str | None], dict[str, Any]]
"""Makes the answer about one group, or about all."""


def runtime_folder() -> Path:
    """Where the sockets of this user's runs are: `$XDG_RUNTIME_DIR/penstock`, or else in the temporary folder.

    That is `/tmp` if the path of the one that is set is too long for a socket.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return Path(runtime, "penstock")
    folder = Path(tempfile.gettempdir(), f"penstock-{os.getuid()}")
    return folder if len(os.fsencode(folder)) <= LONGEST_FOLDER else Path("/tmp", folder.name)


def _made_folder() -> Path:
    """The folder, with nobody else in it. Raises `OSError` if it is somebody else's."""
    folder = runtime_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{folder} can be entered by others")
    return folder


async def answer_questions(run_id: str, answer: Answer) -> None:
    """Answer until cancelled. Where there can be no socket, that is logged, and the run goes on without."""
    if not hasattr(socket, "AF_UNIX"):
        _log.info("there is no local socket on this system: `penstock explain` cannot ask run %s", run_id)
        return
    path: Path | None = None
    try:
        path = _made_folder() / f"{run_id}.sock"
        if len(os.fsencode(path)) > LONGEST_PATH:
            raise OSError(f"the path {path} is too long for a socket; set XDG_RUNTIME_DIR to a shorter one")
        listener = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    except OSError as error:
        _log.warning("`penstock explain` cannot ask run %s: %s", run_id, error)
        return
    with listener:
        try:
            begun = path.with_suffix(".begun")  # so that nobody finds it before it listens, and takes it for a dead one
            begun.unlink(missing_ok=True)
            await listener.bind(str(begun))
            begun.chmod(0o600)
            listener.listen(MANY)
            begun.replace(path)
        except OSError as error:
            _log.warning("`penstock explain` cannot ask run %s: %s", run_id, error)
            return
        try:
            async with trio.open_nursery() as nursery:
                places = trio.CapacityLimiter(MANY)
                while True:
                    connection, _ = await listener.accept()
                    nursery.start_soon(_answer_one, connection, places, answer)
        finally:
            path.unlink(missing_ok=True)


async def _answer_one(connection: trio.socket.SocketType, places: trio.CapacityLimiter, answer: Answer) -> None:
    stream = trio.SocketStream(connection)
    async with stream, places:
        with trio.move_on_after(PATIENCE):
            try:
                asked = b""
                while b"\n" not in asked and len(asked) < 4096:
                    more = await stream.receive_some()
                    if not more:
                        return
                    asked += more
                question = json.loads(asked)
                told = answer(question.get("group") if isinstance(question, dict) else None)
                await stream.send_all(json.dumps(told).encode() + b"\n")
            except (trio.BrokenResourceError, ValueError):
                return  # who has gone, or asks in another language, needs no answer


def runs_that_answer() -> dict[str, Path]:
    """Run id to socket, of the runs of this user that are alive. Sockets of runs that have died are removed."""
    if not hasattr(socket, "AF_UNIX"):
        return {}
    alive: dict[str, Path] = {}
    for path in sorted(runtime_folder().glob("*.sock")):
        try:
            with _connected(path):
                alive[path.stem] = path
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except OSError:
            continue
    return alive


def ask(path: Path, group: str | None = None) -> dict[str, Any]:
    """The answer of the run behind this socket. Raises `OSError` (`TimeoutError` if it does not answer in time)."""
    with _connected(path) as connection:
        connection.sendall(json.dumps({"group": group}).encode() + b"\n")
        told = b""
        while more := connection.recv(65536):
            told += more
    if not told:
        raise ConnectionResetError("the run ended before it answered")
    answer: dict[str, Any] = json.loads(told)
    return answer


def _connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(2 * PATIENCE)
        connection.connect(str(path))
    except BaseException:
        connection.close()
        raise
    return connection
