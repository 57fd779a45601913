"""The clients: `wrk`, for many calls at a time, and one that asks call by call, for the time to the first byte."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Final

import attrs

from penstock import PenstockError
from penstock_bench.gateway.contenders import CALL, KEY, STREAMED, program

__all__ = ["Load", "Wrk", "first_bytes"]

_CALLS: Final = re.compile(r"(\d+) requests in ([\d.]+)(ms|s|m)")
_P99: Final = re.compile(r"99%\s+([\d.]+)(us|ms|s|m)")
_SECONDS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


@attrs.frozen
class Load:
    """What came of a load: calls, over so many seconds, and the 99th percentile of their times."""

    calls: int
    seconds: float
    p99: float


class Wrk:
    """`wrk` with one thread. Raises `CompetitorUnavailable` where there is none."""

    def __init__(self, folder: Path) -> None:
        self._program = program("wrk", "wrk")
        self._folder = folder

    def load(self, port: int, seconds: int, connections: int, *, pause: float = 0.0) -> Load:
        """The calls of so many connections, each at once after the last, or after `pause` seconds in the mean: by
        chance from none to twice as many, since else all would come at once, again and again. Raises `PenstockError`
        where one was not answered well.
        """
        script = self._folder / "call.lua"
        script.write_text(
            f"""wrk.method = "POST"; wrk.path = "/v1/chat/completions"; wrk.body = '{CALL}'
wrk.headers["content-type"] = "application/json"; wrk.headers["authorization"] = "Bearer {KEY}"
"""
            + (f"function delay() return math.random(0, {max(1, round(pause * 2000))}) end\n" if pause else ""),
            encoding="utf-8",
        )
        url = f"http://127.0.0.1:{port}"
        command = [self._program, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "--latency"]
        said = subprocess.run(
            [*command, "-s", str(script), url], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        ).stdout
        found, p99 = _CALLS.search(said), _P99.search(said)
        if found is None or p99 is None or not int(found[1]) or "Non-2xx" in said or "Socket errors" in said:
            raise PenstockError(f"wrk against port {port}: {' '.join(said.split())[-300:]}")
        return Load(int(found[1]), float(found[2]) * _SECONDS[found[3]], float(p99[1]) * _SECONDS[p99[2]])


def first_bytes(ports: Sequence[tuple[int, str]], calls: int) -> list[list[float]]:
    """For each port and path the seconds to the first byte of a stream, call by call in turns."""
    sockets = [socket.create_connection(("127.0.0.1", port)) for port, _ in ports]
    found: list[list[float]] = [[] for _ in ports]
    for sock in sockets:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    requests = [
        f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: {len(STREAMED)}\r\n\r\n"
        f"{STREAMED}".encode()
        for _, path in ports
    ]
    try:
        for _ in range(calls):
            for sock, request, times in zip(sockets, requests, found, strict=True):
                began = perf_counter()
                sock.sendall(request)
                came = sock.recv(65536)
                times.append(perf_counter() - began)
                while not came.endswith((b"[DONE]\n\n", b"0\r\n\r\n")):
                    more = sock.recv(65536)
                    if not more:
                        raise PenstockError(f"a stream broke off: {came[-200:]!r}")
                    came += more
                if not came.startswith(b"HTTP/1.1 200"):
                    raise PenstockError(f"a stream was refused: {came[:200]!r}")
    finally:
        for sock in sockets:
            sock.close()
    return found
