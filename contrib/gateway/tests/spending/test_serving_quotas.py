"""A gateway that keeps to what its keys may use in a day: over loopback, by a clock that is set by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio

from penstock import ConfigError
from penstock_gateway import load_gateway, open_gateway
from penstock_gateway.spending.book import Amounts
from penstock_gateway.spending.periods import day_at
from penstock_gateway.testing import CHAT, KEYS, World, open_world, whole

pytestmark = pytest.mark.loopback

EVENING = datetime(2026, 11, 29, 23, 50, tzinfo=UTC).timestamp()
A = '[gateway.keys.a]\nenv = "A_KEY"\n'
PRICE = "[providers.acme.models.small.price]\ninput = 1000.0\noutput = 10000.0\n"
A_CALLS = f"authorization: Bearer {KEYS['A_KEY']}"
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
PIECE = b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % (b"four" * 100)
STREAMED = b'{"model": "small", "stream": true, "messages": []}'


def used(world: World) -> Amounts:
    assert world.gateway.spending.ledger is not None
    account = world.gateway.spending.ledger.book.account("a", day_at(EVENING))
    assert account is not None
    return account.used


async def begin(world: World, limits: str, more: str = "") -> None:
    world.wall = lambda _: EVENING
    await world.begin(more + A + limits + PRICE)


async def test_a_used_day_is_refused_at_once_by_429_and_says_until_when(world: World) -> None:
    await begin(world, "requests_per_day = 2\n")
    for _ in range(2):
        assert (await world.ask(CHAT, A_CALLS))[0] == 200
    status, headers, body = await world.ask(CHAT, A_CALLS)
    error = json.loads(body)["error"]
    assert (status, headers["retry-after"], error["code"]) == (429, "600", "key_quota")
    assert "key a has used its day (2 of 2 by requests_per_day): until 00:00 UTC" in error["message"]
    assert used(world) == Amounts(2, 10, 46_000_000)
    world.wall = lambda _: EVENING + 600
    assert (await world.ask(CHAT, A_CALLS))[0] == 200


async def test_who_waits_for_the_end_of_the_day_is_told_so_by_explain(world: World) -> None:
    await begin(world, "requests_per_day = 1\nqueue_wait_timeout = 3600.0\n")
    assert (await world.ask(CHAT, A_CALLS))[0] == 200
    await (await world.client()).send(CHAT, A_CALLS)
    with trio.fail_after(30):
        while not (waiting := json.loads(world.gateway.status()[1])["waiting"]):
            await trio.lowlevel.checkpoint()
    assert [(row["detail"], row["by"]) for row in waiting] == [
        ("key a has used its day (1 of 1 by requests_per_day): until 00:00 UTC", "key-quotas")
    ]


async def test_a_used_day_is_told_at_once_also_where_there_is_no_place(world: World) -> None:
    await begin(world, "requests_per_day = 2\n[gateway.keys.b]\nenv = 'B_KEY'\n")
    for _ in range(2):
        assert (await world.ask(CHAT, A_CALLS))[0] == 200
    world.provider.hangs()
    for number in range(3):
        await (await world.client()).send(CHAT, f"authorization: Bearer {KEYS['B_KEY']}")
        await world.provider.until(lambda number=number: world.provider.out == min(number + 1, 2))  # type: ignore[misc]
    status, _, body = await world.ask(CHAT, A_CALLS)
    assert (status, json.loads(body)["error"]["code"]) == (429, "key_quota")


async def test_what_is_refused_and_what_a_provider_refuses_uses_nothing(world: World) -> None:
    await begin(world, "requests_per_day = 2\nmodels = ['small']\n")
    world.provider.says(whole(b'{"error": {"message": "no"}}', b"400 Bad Request"))
    assert (await world.ask(CHAT, A_CALLS))[0] == 400
    assert (await world.ask(b'{"model": "none"}', A_CALLS))[0] == 404
    assert used(world) == Amounts()


async def test_a_stream_that_its_client_leaves_is_paid_for_as_far_as_it_came(world: World) -> None:
    await begin(world, "spend_per_month = 100.0\n")
    world.provider.hangs(STREAM, PIECE)
    client = await world.client()
    await client.send(STREAMED, A_CALLS)
    await world.provider.until(lambda: world.provider.out == 1)
    while PIECE not in bytes(await client.stream.receive_some(65536)):
        pass
    client.stream.socket.close()
    await world.provider.until(lambda: world.provider.out == 0)
    estimate = len(STREAMED) // 4
    assert used(world) == Amounts(1, estimate + 100, estimate * 1_000_000 + 100 * 10_000_000)


async def test_what_keys_have_used_outlives_the_gateway(world: World, tmp_path: Path) -> None:
    await begin(world, "tokens_per_day = 100\n")
    assert (await world.ask(CHAT, A_CALLS))[0] == 200
    spent = used(world)
    await world.end()
    async with open_world(tmp_path) as another:
        await begin(another, "tokens_per_day = 100\n")
        assert used(another) == spent
    assert (tmp_path / "ledger.sqlite").stat().st_mode & 0o777 == 0o600


async def test_without_a_ledger_that_can_be_used_the_gateway_does_not_start(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    mock = '[providers.p]\nkind = "mock"\n[providers.p.models.small]\nmax_parallel_requests = 1\n'
    path.write_text(f'{mock}[gateway]\nport = 0\nledger = "here.db"\n', encoding="utf-8")
    (tmp_path / "here.db").write_text("no database", encoding="utf-8")
    (tmp_path / "here.db").chmod(0o600)
    serving = load_gateway(path, {})
    with pytest.raises(ConfigError, match=r"gateway\.ledger: .*here.db cannot be used .*not a database"):
        async with open_gateway(serving, {}):
            pass


async def test_limits_change_while_it_runs_and_what_was_used_stays_used(world: World, tmp_path: Path) -> None:
    await begin(world, "requests_per_day = 100\n")
    assert (await world.ask(CHAT, A_CALLS))[0] == 200
    path = tmp_path / "gateway.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("requests_per_day = 100", "requests_per_day = 1"), encoding="utf-8")
    world.gateway.reload(load_gateway(path, KEYS))
    assert (await world.ask(CHAT, A_CALLS))[0] == 429
    path.write_text(text.replace("requests_per_day = 100", ""), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"gateway.ledger: is not the file that is in use"):
        world.gateway.reload(load_gateway(path, KEYS))
