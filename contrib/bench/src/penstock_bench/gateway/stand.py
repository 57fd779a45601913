"""All servers of a run, each started when it is first asked for, and what is measured at them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Final

from penstock_bench.gateway import contenders
from penstock_bench.gateway.client import Load, Wrk, first_bytes
from penstock_bench.gateway.processes import Server
from penstock_bench.measuring.records import Sample
from penstock_bench.reporting.console import announce

__all__ = ["CAP", "CONNECTIONS", "Stand"]

CONNECTIONS: Final = 64
CAP: Final = 16
"""Where calls wait."""
_WARMING: Final = 2
"""Seconds of load that are not counted: limits open, and caches fill."""
_SLOW: Final = {"litellm": 15}
"""Seconds for those who answer few calls in less."""


class Stand:
    """The servers over files in a folder; `cache` is where environments are kept. Raises `CompetitorUnavailable` where
    nginx or wrk are missing.
    """

    def __init__(self, folder: Path, cache: Path, seconds: int) -> None:
        self._folder = folder
        self._cache = cache
        self._seconds = seconds
        self._wrk = Wrk(folder)
        self._provider = contenders.provider(folder)
        self._servers: dict[str, Server] = {}

    def close(self) -> None:
        """End all servers."""
        for server in (*self._servers.values(), self._provider):
            server.close()

    # -- servers --

    def _server(self, name: str, make: Callable[[], Server]) -> Server:
        server = self._servers.get(name)
        if server is None:
            server = self._servers[name] = make()
            self._wrk.load(server.port, _SLOW.get(name, _WARMING), CONNECTIONS)
        return server

    def ours(self, kind: str = "plain") -> Server:
        """A gateway: `plain`, `waiting` (for a cap), `silent` (without a log), or with `two` or `four` workers."""
        options: dict[str, dict[str, int | bool]] = {
            "plain": {},
            "waiting": {"cap": CAP},
            "silent": {"log": False},
            "two": {"workers": 2},
            "four": {"workers": 4},
        }
        upstream = self._provider.port
        return self._server(kind, lambda: contenders.penstock(self._folder, upstream, **options[kind]))  # type: ignore[arg-type]

    def other(self, name: str) -> Server:
        """`nginx`, `starlette` or `litellm`."""
        folder, upstream = self._folder, self._provider.port
        makers = {
            "nginx": lambda: contenders.nginx(folder, upstream),
            "starlette": lambda: contenders.starlette(
                folder, upstream, contenders.STARLETTE.python(self._cache, announce)
            ),
            "litellm": lambda: contenders.litellm(folder, upstream, contenders.LITELLM.python(self._cache, announce)),
        }
        return self._server(name, makers[name])

    # -- what is measured --

    def cpu(self, server: Server, less: float = 0.0) -> Sample:
        """What a call costs in all processes of a server, less so many seconds, at 64 connections."""
        before = server.cpu_seconds()
        load = self._wrk.load(server.port, max(self._seconds, _SLOW.get(server.name, 0)), CONNECTIONS)
        return Sample(load.calls, server.cpu_seconds() - before - less * load.calls)

    def first_byte(self, calls: int) -> Sample:
        """The median of the time to a stream's first byte through the gateway, less that of the provider's own."""
        upstream = self._provider.port
        server = self._server(
            "streams",
            lambda: contenders.penstock(self._folder, upstream, path="/stream/v1"),
        )
        through, direct = first_bytes(
            [(server.port, "/v1/chat/completions"), (upstream, "/stream/v1/chat/completions")], calls
        )
        return Sample(1, median(through) - median(direct))

    def memory(self, *, further: bool = False) -> Sample:
        """What the first process holds after all that it has done so far, or the mean of the others."""
        held = self.ours("two" if further else "plain").pss()
        return Sample(1, sum(held[1:]) / len(held[1:]) if further else held[0])

    def memory_added(self) -> Sample:
        """What all processes hold with four workers, less what they hold with two, for each that there is more."""
        held = []
        for server in (self.ours("two"), self.ours("four")):
            self._wrk.load(server.port, self._seconds, CONNECTIONS)
            held.append(sum(server.pss()))
        return Sample(2, held[1] - held[0])

    def growth(self, calls: int) -> Sample:
        """By how much the first process has grown over so many calls more."""
        server, done = self.ours(), 0
        before = server.pss()[0]
        while done < calls:
            done += self._wrk.load(server.port, max(self._seconds, 5), CONNECTIONS).calls
        return Sample(1, server.pss()[0] - before)

    def p99_added(self) -> Sample:
        """The 99th percentile at half of the load that the gateway carries, less that of the provider by itself."""
        server = self.ours()
        full = self._wrk.load(server.port, self._seconds, CONNECTIONS)
        pause = 2 * CONNECTIONS * full.seconds / full.calls
        at_half: list[Load] = [
            self._wrk.load(port, self._seconds, CONNECTIONS, pause=pause) for port in (self._provider.port, server.port)
        ]
        return Sample(1, at_half[1].p99 - at_half[0].p99)
