"""Nobody who asks a run can hurt it, and nothing that answers can hurt who asks."""

from __future__ import annotations

import json
import os
import random
import resource
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner
from trio.testing import MockClock, wait_all_tasks_blocked

from penstock.cli.main import cli
from penstock.run.explain_asking import FoundRun, ask, find_runs
from penstock.run.explain_protocol import EXCHANGE_TIMEOUT, LONGEST_QUESTION, Greeting, Question
from penstock.run.explain_socket import MOST_CONNECTIONS, answer_questions

pytestmark = [
    pytest.mark.loopback,
    pytest.mark.usefixtures("folder"),
    pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no local sockets here"),
]
SOCKET = "0123456789abcdef.sock"
GREETING = Greeting("odd", 1, "2026-01-01T00:00:00+00:00").line()


async def answer(question: Question) -> Mapping[str, Any]:
    return {"text": f"asked about {question.group}"}


@asynccontextmanager
async def an_answering_side() -> AsyncIterator[FoundRun]:
    """The socket alone, which can be had in virtual time too; it must be there, and answer, to the end."""
    async with trio.open_nursery() as nursery:
        await nursery.start(answer_questions, "nightly", answer)
        (run,) = (await find_runs()).runs
        yield run
        assert await ask(run, Question("a")) == "asked about a"
        nursery.cancel_scope.cancel()


async def connected(run: FoundRun) -> trio.SocketStream:
    stream = await trio.open_unix_socket(run.path)
    assert json.loads(await stream.receive_some())["run_id"] == "nightly"
    return stream


async def all_of(stream: trio.SocketStream) -> bytes:
    """What comes until the other side closes, after which this one does."""
    told = b""
    async with stream:
        with suppress(trio.BrokenResourceError):  # it closed while something was on its way to it
            async for more in stream:
                told += more
    return told


@pytest.mark.parametrize(
    "asked",
    [
        b"[" * 4000 + b"\n",
        b'{"group": ' + b"[" * 2000 + b"]" * 2000 + b"}\n",
        b'{"group": "\xe2\x82"}\n',
        b'{"group": NaN}\n',
        b"\x00\xff\n",
        b"x" * (LONGEST_QUESTION + 1),
        b"x" * 10_000_000,
        b"\n",
    ],
    ids=["brackets", "nested", "half a letter", "nan", "binary", "long", "huge", "empty"],
)
async def test_a_malformed_question_gets_one_line_and_ends_nothing(asked: bytes) -> None:
    async with an_answering_side() as run:
        rude = await connected(run)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, rude, asked)
            told = await all_of(rude)
        assert told.count(b"\n") == 1
        assert list(json.loads(told)) == ["error"]


async def test_random_bytes_end_nothing() -> None:
    rng = random.Random(7)
    async with an_answering_side() as run:
        for _ in range(200):
            rude = await connected(run)
            asked = rng.randbytes(rng.randrange(1, 60)) + rng.choice([b"\n", b"", b'{"', b"[["])
            await send(rude, asked)
            if rng.random() < 0.5:
                await rude.send_eof()
                assert list(json.loads(await all_of(rude))) == ["error"]
            await rude.aclose()


async def send(stream: trio.SocketStream, data: bytes) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        await stream.send_all(data)


async def test_who_asks_nothing_or_too_slowly_is_left_after_some_seconds(autojump_clock: MockClock) -> None:
    async def drip(stream: trio.SocketStream) -> None:
        for byte in b'{"group": null}\n':
            await trio.sleep(1)
            await send(stream, bytes([byte]))

    async with an_answering_side() as run:
        silent, slow = await connected(run), await connected(run)
        begun = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip, slow)
            for stream in (silent, slow):
                assert b"did not come in within 5 s" in await all_of(stream)
            assert trio.current_time() - begun == EXCHANGE_TIMEOUT


async def test_many_silent_ones_are_not_all_let_in_and_others_get_their_turn(autojump_clock: MockClock) -> None:
    async with an_answering_side() as run:
        silent = [await connected(run) for _ in range(MOST_CONNECTIONS)]
        begun = trio.current_time()
        assert await ask(run, Question()) == "asked about None"
        assert trio.current_time() - begun == EXCHANGE_TIMEOUT
        waiting = [await trio.open_unix_socket(run.path) for _ in range(2 * MOST_CONNECTIONS + 1)]
        with pytest.raises(ConnectionAbortedError, match="too many are asking it"):
            await ask(run, Question())
        for stream in (*silent, *waiting):
            await stream.aclose()


async def test_who_does_not_listen_is_left(autojump_clock: MockClock) -> None:
    async def much(_: Question) -> Mapping[str, Any]:
        return {"text": "x" * 10_000_000}

    async with trio.open_nursery() as nursery:
        await nursery.start(answer_questions, "nightly", much)
        (run,) = (await find_runs()).runs
        deaf = await connected(run)
        await deaf.send_all(Question().line())
        await trio.sleep(EXCHANGE_TIMEOUT + 1)
        assert len(await all_of(deaf)) < 10_000_000
        nursery.cancel_scope.cancel()


async def test_who_asks_for_what_takes_too_long_is_told_so(autojump_clock: MockClock) -> None:
    async def never(_: Question) -> Mapping[str, Any]:
        await trio.sleep_forever()
        raise AssertionError

    async with trio.open_nursery() as nursery:
        await nursery.start(answer_questions, "nightly", never)
        (run,) = (await find_runs()).runs
        with pytest.raises(ValueError, match="could not answer within 5 s; it has changed nothing"):
            await ask(run, Question())
        nursery.cancel_scope.cancel()


async def test_a_question_of_another_user_is_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = os.geteuid()
    async with an_answering_side() as run:
        with monkeypatch.context() as patched:
            patched.setattr(os, "geteuid", lambda: owner + 1)
            other = await trio.open_unix_socket(run.path)
            assert await all_of(other) == b""


async def test_an_answer_that_fails_is_an_error_for_who_asked_and_a_log_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fails(question: Question) -> Mapping[str, Any]:
        raise ZeroDivisionError("a plugin's")

    async with trio.open_nursery() as nursery:
        await nursery.start(answer_questions, "nightly", fails)
        (run,) = (await find_runs()).runs
        for _ in range(2):
            with pytest.raises(ValueError, match=r"the run failed to answer \(ZeroDivisionError\)"):
                await ask(run, Question())
        nursery.cancel_scope.cancel()
    assert "could not be answered" in caplog.text


async def test_too_many_open_files_do_not_end_the_run(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with an_answering_side() as run:
        asker = socket.socket(socket.AF_UNIX)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (asker.fileno() + 1, hard))
        try:
            asker.connect(str(run.path))
            await wait_all_tasks_blocked()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert "could not be taken" in caplog.text
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(asker))
        assert b"nightly" in await stream.receive_some()
        await stream.aclose()


# ------------------------------------------------------------------------------------ answering sides that are not runs


@asynccontextmanager
async def somebody_else(folder: Path, *said: bytes, endless: bytes = b"", stays: bool = False) -> AsyncIterator[None]:
    """A socket at which `said` is said one by one, each after something was heard but the first; then `endless`."""
    folder.mkdir(mode=0o700, exist_ok=True)

    async def handle(stream: trio.SocketStream) -> None:
        try:
            for number, line in enumerate(said):
                if number:
                    await stream.receive_some()
                await stream.send_all(line)
            while endless:
                await stream.send_all(endless)
            if stays:
                await trio.sleep_forever()
        except trio.BrokenResourceError:
            pass
        await stream.aclose()

    listener = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    await listener.bind(str(folder / SOCKET))
    listener.listen(5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, handle, [trio.SocketListener(listener)])
        yield
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("said", "rest", "note"),
    [
        ((b"HTTP/1.1 400\r\n",), {}, "the greeting is not JSON"),
        ((b"[" * 4000 + b"\n",), {}, "the greeting is nested too deep"),
        ((b'{"penstock": "explain"}\n',), {}, "the greeting is not that of a run"),
        ((b"\xff\n",), {}, "the greeting is not UTF-8"),
        ((), {}, "the connection ended without greeting"),
        ((), {"endless": b"x" * 1000}, "the greeting is longer than 4096 bytes"),
        ((), {"stays": True}, "no answer within 10 s"),
        ((b"half",), {"stays": True}, "no answer within 10 s"),
    ],
)
async def test_what_does_not_greet_as_a_run_is_one_note_and_no_run(
    folder: Path, said: tuple[bytes, ...], rest: dict[str, Any], note: str, autojump_clock: MockClock
) -> None:
    async with somebody_else(folder, *said, **rest):
        found = await find_runs()
        assert trio.current_time() <= 2 * EXCHANGE_TIMEOUT
    assert (found.runs, found.notes) == ((), (f"{folder / SOCKET}: {note}",))


@pytest.mark.parametrize(
    ("said", "rest", "wrong"),
    [
        ((b"no\n",), {}, "the answer is not JSON"),
        ((b"",), {}, "the connection ended without answer"),
        ((b"[" * 4000 + b"\n",), {}, "the answer is nested too deep"),
        ((b'{"text": ["a"]}\n',), {}, "the answer has not what was asked for"),
        ((b'{"error": "\\u001b[2J"}\n',), {}, r"^\\x1b\[2J$"),
        ((b"",), {"endless": b"x" * 1_000_000}, "the answer is longer than 16777216 bytes"),
        ((b"{",), {"stays": True}, "no answer within 10 s"),
    ],
)
async def test_what_does_not_answer_as_a_run_does_is_one_line(
    folder: Path, said: tuple[bytes, ...], rest: dict[str, Any], wrong: str, autojump_clock: MockClock
) -> None:
    async with somebody_else(folder, GREETING, *said, **rest):
        (run,) = (await find_runs()).runs
        with pytest.raises((OSError, ValueError), match=wrong):
            await ask(run, Question())
        assert trio.current_time() <= 2 * EXCHANGE_TIMEOUT


async def test_an_answer_is_cleaned_where_it_is_asked_for(folder: Path) -> None:
    async with somebody_else(folder, GREETING, b'{"text": "a\\n\\u001b]0;b\\u0007 \\u202e"}\n'):
        told = await trio.to_thread.run_sync(lambda: CliRunner().invoke(cli, ["explain"]))
    assert told.output == "run odd: a\n\\x1b]0;b\\x07 \\u202e\n"


async def test_what_another_user_answers_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async with an_answering_side() as run:
        with monkeypatch.context() as patched, trio.socket.socket() as some:
            patched.setattr(type(some), "getsockopt", lambda *_: struct.pack("3i", 1, os.geteuid() + 1, 1))
            with pytest.raises(PermissionError, match="another user's process answers there"):
                await ask(run, Question())
