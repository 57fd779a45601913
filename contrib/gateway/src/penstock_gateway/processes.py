"""The first process of a gateway with several workers: it binds, forks, and forks anew whoever dies.

It runs no trio and no thread, so a fork of it is whole: what it has imported, its children share. It sleeps until a
child ends, a signal comes, the coordinator says something, or somebody is due.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from math import inf
from typing import Any, Final, NoReturn

import msgspec
import trio

from penstock import ConfigError, PenstockError, printable
from penstock_gateway.call_log import open_log_file
from penstock_gateway.collector import settle_down
from penstock_gateway.control import ALIVE, FAILED, PLAN, READY, RELOAD, RELOADED, Control, hand_over, heard
from penstock_gateway.coordinator import coordinate
from penstock_gateway.kept import KeptBytes
from penstock_gateway.listening import listen, listen_for_each, url_of
from penstock_gateway.loading import Serving
from penstock_gateway.messages import Plan
from penstock_gateway.plan import PlanReader
from penstock_gateway.prepared import prepare
from penstock_gateway.saying import say
from penstock_gateway.service_manager import LIVES, READY as READY_TO_SERVE, STOPPING, ServiceManager
from penstock_gateway.supervision import COORDINATOR, Supervision
from penstock_gateway.worker import work

__all__ = ["serve_by_processes"]

_MINE: Final = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_LAST_WORDS: Final = 16_000
"""Bytes of what is told of a failure."""


LAST_WORDS_SECONDS: Final = 5.0
"""How long the coordinator may take to say what is wrong at the start, when a worker has ended by that."""


def serve_by_processes(serving: Serving, load: Callable[[], Serving], say: Callable[[str, str], None]) -> None:
    """Serve by `serving.gateway.workers` processes until a signal asks for the end; `say` is called with the URLs of
    the gateway and of its admin port, when all are at work, and `load` for the configuration after a SIGHUP.

    Raises `ConfigError`, also for what a child finds wrong at the start, and `PluginError`.
    """
    first = FirstProcess(serving, load, say)
    settle_down()
    first.run()


class FirstProcess:
    """The first process at work. It owns the sockets that clients connect to."""

    def __init__(self, serving: Serving, load: Callable[[], Serving], say: Callable[[str, str], None]) -> None:
        config = serving.gateway
        self._prepared = prepare(serving)
        self._load = load
        self._say = say
        self._log = open_log_file(config.log)
        self._clients = listen_for_each(config.workers, config.host, config.port)
        admin = config.admin
        self._admin = [] if admin is None else listen(admin.host, admin.port, "gateway.admin", shared=False)
        self._supervision = Supervision(config.workers, config.orphan_seconds)
        self._kept = KeptBytes()
        self._plans = PlanReader()
        self._control: socket.socket | None = None
        self._reloads = 0
        """How many reloads the coordinator has been asked for, and has not answered."""
        self._starts = 0
        self._failure = ""
        self._woken, self._wake = socket.socketpair()
        self._manager = ServiceManager(os.environ, os.getpid())
        self._tells_at = time.monotonic() + self._manager.beat
        """When it says next that it lives."""

    def run(self) -> None:
        """Serve until a signal asks for the end."""
        for end in (self._woken, self._wake):
            end.setblocking(False)
        for number in _MINE:
            signal.signal(number, _nothing)
        signal.set_wakeup_fd(self._wake.fileno())
        supervision = self._supervision
        while not supervision.finished:
            for who in supervision.to_start(time.monotonic()):
                self._start(who)
            for pid in supervision.to_kill(time.monotonic()):
                if pid == supervision.pids.get(COORDINATOR) and not supervision.draining:
                    _tell("the coordinator hangs, and is ended")
                os.kill(pid, signal.SIGKILL)
            self._sleep()
            self._take_signals()
            self._hear()
        if supervision.failed:
            raise ConfigError(self._failure or "gateway: one of its processes has ended at the start")

    def _sleep(self) -> None:
        now = time.monotonic()
        if self._tells_at <= now:
            self._manager.tell(LIVES)
            self._tells_at = now + self._manager.beat
        changes = self._supervision.next_change()
        until = self._tells_at if changes is None else min(changes, self._tells_at)
        seconds = None if until == inf else max(0.0, until - now)
        watched = [self._woken] if self._control is None else [self._woken, self._control]
        select.select(watched, [], [], seconds)

    def _take_signals(self) -> None:
        try:
            numbers = self._woken.recv(4096)
        except BlockingIOError:
            return
        for number in dict.fromkeys(numbers):
            if number == signal.SIGCHLD:
                self._bury()
            elif number == signal.SIGHUP:
                self._reload()
            else:
                self._drain(twice=numbers.count(number) > 1)

    def _bury(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._hear()  # what it had said before
            expected = self._supervision.draining
            who = self._supervision.ended(pid, time.monotonic())
            if who == COORDINATOR and self._control is not None:
                self._control.close()
                self._control = None
                # It is not asked again: that may be what has ended it.
                if self._reloads and not expected:
                    _tell("not reloaded: the coordinator has ended before; ask again")
                self._reloads = 0
            if who is not None and not expected and self._supervision.ready:
                how = os.waitstatus_to_exitcode(status)
                _tell(f"{_name(who)} has ended ({f'signal {-how}' if how < 0 else f'status {how}'})")
            if self._supervision.failed:
                self._hear_last_words()
                self._signal_all(signal.SIGQUIT)

    def _hear_last_words(self) -> None:
        """Wait for why it cannot be started: a worker may end before the coordinator has said so. That it lives is not
        it.
        """
        last = time.monotonic() + LAST_WORDS_SECONDS
        while self._control is not None and not self._failure and (left := last - time.monotonic()) > 0:
            if not select.select([self._control], [], [], left)[0] or not self._hear():
                return

    def _reload(self) -> None:
        if self._control is None:
            _tell("not reloaded: the coordinator is being started anew; ask again")
            return
        try:
            self._control.send(RELOAD, socket.MSG_DONTWAIT)
            self._reloads += 1
        except OSError:
            _tell("not reloaded: the coordinator does not listen")

    def _drain(self, *, twice: bool) -> None:
        if twice or self._supervision.draining:
            self._signal_all(signal.SIGQUIT)
            self._supervision.drain(time.monotonic(), 0.0)
            return
        seconds = self._prepared.serving.gateway.drain_seconds
        _tell(f"draining, {seconds:g} s at most")
        self._manager.tell(STOPPING)
        _close(self._clients)
        self._supervision.drain(time.monotonic(), seconds)
        self._signal_all(signal.SIGTERM)

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in self._supervision.pids.values():
            os.kill(pid, number)

    def _hear(self) -> bool:
        """Take what the coordinator has said; whether it has said anything."""
        spoken = False
        while self._control is not None and (said := heard(self._control)) is not None:
            spoken = True
            what, more = said[:1], said[1:]
            if what == ALIVE:
                self._supervision.lives(time.monotonic())
            elif what == READY and not self._supervision.ready:
                self._supervision.ready = True
                if not self._supervision.draining:
                    gateway = self._prepared.serving.gateway
                    where = "" if gateway.admin is None else url_of(gateway.admin.host, self._admin[0])
                    self._say(f"{url_of(gateway.host, self._clients[0][0])}/v1", where)
                    self._manager.tell(READY_TO_SERVE)
            elif what == RELOADED:
                self._reloads -= 1
            elif what == FAILED:
                self._failure = more.decode("utf-8", "replace")
            elif what == PLAN:
                plan = self._plans.take(msgspec.msgpack.decode(more, type=Plan))
                if plan is not None:
                    self._prepared = self._prepared.replaced(plan.serving)
                    self._supervision.grace = plan.serving.gateway.orphan_seconds
        return spoken

    # -- children --

    def _start(self, who: int) -> None:
        self._starts += 1
        if who == COORDINATOR:
            self._plans = PlanReader()  # of the last one half a plan may have come
            own, other = _pair()
            pid = self._fork(partial(self._coordinate, other), [own])
            other.close()
            self._control = own
        else:
            own, other = _pair()
            pid = self._fork(partial(self._work, who, own, f"{who:x}.{self._starts:x}."), [other])
            own.close()
            assert self._control is not None
            # Where it is not, the worker finds its socket closed, and goes.
            hand_over(self._control, other, pid, self._prepared.number)
            other.close()
        self._supervision.started(who, pid, time.monotonic())

    def _fork(self, child: Callable[[], None], not_the_childs: Sequence[socket.socket]) -> int:
        for each in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                each.flush()
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            self._become_a_child(not_the_childs)
            child()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            _leave(code)

    def _become_a_child(self, not_the_childs: Sequence[socket.socket]) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for number in (signal.SIGINT, signal.SIGHUP):  # of a terminal: what they mean here the first process says
            signal.signal(number, signal.SIG_IGN)
        for each in (self._woken, self._wake, *not_the_childs):
            each.close()

    def _coordinate(self, control: socket.socket) -> None:
        _close(self._clients)
        trio.run(self._coordinated, control)

    async def _coordinated(self, connected: socket.socket) -> None:
        control = Control(connected)
        try:
            await coordinate(control, self._admin, self._prepared, self._load, self._kept.keep, self._kept.last)
        except PenstockError as error:
            await control.tell(FAILED, str(error).encode()[:_LAST_WORDS])
            for line in str(error).split("\n") if self._supervision.ready else ():
                _tell(line)

    def _work(self, who: int, coordinator: socket.socket, prefix: str) -> None:
        if self._control is not None:
            self._control.close()
        own = self._clients[who - 1]
        _close([self._admin, *(each for each in self._clients if each is not own)])
        trio.run(work, coordinator, own, self._log, prefix, self._prepared.serving, self._prepared.upstreams)


def _pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def _close(listeners: Sequence[Sequence[socket.socket]]) -> None:
    for each in listeners:
        for listener in each:
            listener.close()


def _leave(code: int) -> NoReturn:
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(code)


def _nothing(_: int, __: Any) -> None:
    """A signal is taken where the first process has slept, not in the middle of what it does."""


def _name(who: int) -> str:
    return "the coordinator" if who == COORDINATOR else f"worker {who}"


def _tell(line: str) -> None:
    say(f"penstock: {printable(line)}")
