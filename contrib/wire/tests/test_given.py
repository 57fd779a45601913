"""What is handed to a client is refused as it comes, by the name of the argument, and not when a call is over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from math import inf, nan
from typing import Any

import httpx2
import pytest

from penstock_wire import CallsClient, Target, WireClient, open_poller
from penstock_wire.transport import WireTransport

BASE = "http://127.0.0.1:9"
NO_TEXT: tuple[object, ...] = (None, 3, 1.5, b"x", ["x"], {}, object())
NO_NUMBER: tuple[object, ...] = (None, "3", b"3", True, nan, -1, -inf, [3], Decimal(3), object())
NO_PAIRS: tuple[object, ...] = (
    None,
    3,
    "ab",
    b"ab",
    {"accept": "*/*"},
    {"te": "x"},
    ["ab"],
    ["abc"],
    [("accept",)],
    [("a", 3)],
    [(b"a", b"b")],
)
WRONG: list[tuple[str, tuple[object, ...]]] = [
    ("base_url", NO_TEXT),
    ("headers", NO_PAIRS),
    ("tls", (3, "yes", True, object())),
    ("keep_alive", NO_NUMBER),
    ("connect_timeout", (*NO_NUMBER, 0)),
    ("most_idle", (*NO_NUMBER, 1.5, inf)),
]


@pytest.mark.parametrize(("name", "values"), WRONG, ids=[name for name, _ in WRONG])
def test_a_client_is_made_of_what_fits_or_not_at_all(name: str, values: tuple[object, ...]) -> None:
    for value in values:
        options: dict[str, Any] = {"base_url": BASE, name: value}
        with pytest.raises(ValueError, match=name):
            WireClient(**options)


@pytest.mark.parametrize("target", [*NO_TEXT, BASE])
async def test_a_client_that_calls_back_is_made_of_a_target(target: Any) -> None:
    async with open_poller() as poller:
        with pytest.raises(ValueError, match=r"target must be a Target, as in Target\(base_url\)"):
            CallsClient(poller, target)


@pytest.mark.parametrize("base_url", NO_TEXT)
def test_a_target_is_made_of_text(base_url: Any) -> None:
    with pytest.raises(ValueError, match="base_url"):
        Target(base_url)


@pytest.mark.parametrize("name", ["tls", "keep_alive"])
def test_so_is_a_transport(name: str) -> None:
    for value in dict(WRONG)[name]:
        options: dict[str, Any] = {name: value}
        with pytest.raises(ValueError, match=name):
            WireTransport(**options)


@pytest.mark.parametrize(
    ("name", "values"),
    [("method", NO_TEXT), ("path", NO_TEXT), ("body", (None, 3, "{}", {}, ["x"])), ("headers", NO_PAIRS)],
)
def test_a_call_is_made_of_what_fits_or_not_at_all(name: str, values: tuple[object, ...]) -> None:
    client = WireClient(BASE, headers={"accept": "*/*"}.items(), keep_alive=0, connect_timeout=inf, most_idle=0)
    for value in values:
        options: dict[str, Any] = {"method": "POST", "path": "/", name: value}
        with pytest.raises(ValueError, match=name):
            client.call(**options)


async def calling() -> None:
    async with WireClient(BASE) as client, client.call("GET", "/"):
        pass


async def sending() -> None:
    async with httpx2.AsyncClient(transport=WireTransport()) as client:
        await client.get(BASE)


async def polling() -> None:
    async with open_poller():
        pass


@pytest.mark.parametrize("use", [calling, sending, polling])
def test_under_another_loop_it_is_said_what_it_runs_under(use: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await use()

    with pytest.raises(RuntimeError, match=r"penstock-wire runs under trio, .*`trio\.run\(main\)`, or, under asyncio"):
        asyncio.run(main())
