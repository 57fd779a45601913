"""Another configuration while a gateway runs: all of it or nothing, and no call is cut."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from penstock import ConfigError
from penstock_gateway import load_gateway
from penstock_gateway.testing import CHAT, KEYS, World

pytestmark = pytest.mark.loopback

A = '[gateway.keys.a]\nenv = "A_KEY"\n'
B = '[gateway.keys.b]\nenv = "B_KEY"\n'
NEW = '[providers.new]\nbase_url = "http://x/v1"\n[providers.new.models.m]\nmax_parallel_requests = 1\n[plugins]'
A_CALLS, B_CALLS = (f"authorization: Bearer {KEYS[name]}" for name in ("A_KEY", "B_KEY"))


def change(world: World, folder: Path, *changes: tuple[str, str]) -> None:
    """Reload the gateway with its file changed."""
    path = folder / "gateway.toml"
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    world.gateway.reload(load_gateway(path, KEYS))


async def test_keys_and_limits_change_and_calls_under_way_go_on(world: World, tmp_path: Path) -> None:
    await world.begin("queue_wait_timeout = 0.0\n" + A, cap=1)
    world.provider.hangs()
    busy = await world.client()
    await busy.send(CHAT, A_CALLS)
    await world.provider.until(lambda: world.provider.out == 1)
    assert (await world.ask(CHAT, A_CALLS))[0] == 503
    assert (await world.ask(CHAT, B_CALLS))[0] == 401
    change(world, tmp_path, (A, B), ("max_parallel_requests = 1", "max_parallel_requests = 2"))
    assert (await world.ask(CHAT, A_CALLS))[0] == 401
    world.provider.reply = world.provider.answer
    assert (await world.ask(CHAT, B_CALLS))[0] == 200
    assert world.provider.out == 1


async def test_who_waits_goes_when_there_is_room_by_the_new_configuration(world: World, tmp_path: Path) -> None:
    await world.begin(A, cap=1)
    world.provider.hangs()
    for _ in range(2):
        await (await world.client()).send(CHAT, A_CALLS)
    await world.provider.until(lambda: world.provider.out == 1)
    change(world, tmp_path, ("max_parallel_requests = 1", "max_parallel_requests = 2"))
    await world.provider.until(lambda: world.provider.out == 2)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("port = 0", "port = 1", "gateway.port: cannot change while the gateway runs"),
        ("/v1", "/v2", "providers.acme.base_url: cannot change while the gateway runs"),
        ("[plugins]", NEW, "providers.new: is new"),
        ("max_parallel_requests = 1", "max_parallel_requests = 0", "max_parallel_requests: must be"),
        ('"token-budget"]', '"tokenbudget"]', "tokenbudget"),
    ],
)
async def test_what_cannot_be_had_leaves_everything_as_it_was(
    world: World, tmp_path: Path, old: str, new: str, message: str
) -> None:
    await world.begin(A, cap=1)
    with pytest.raises(ConfigError) as caught:
        change(world, tmp_path, (A, B), (old, new))
    assert message in str(caught.value)
    assert (await world.ask(CHAT, A_CALLS))[0] == 200
    assert (await world.ask(CHAT, B_CALLS))[0] == 401


async def test_who_waits_to_be_connected_is_let_in_where_more_may_be(world: World, tmp_path: Path) -> None:
    await world.begin("most_connections = 1\n", cap=2)
    world.provider.hangs()
    await (await world.client()).send()
    await world.provider.until(lambda: world.provider.out == 1)
    outside = await world.client()
    await outside.send()
    await wait_all_tasks_blocked()
    assert world.gateway.connections == 1
    world.provider.reply = world.provider.answer
    change(world, tmp_path, ("most_connections = 1", "most_connections = 2"))
    with trio.fail_after(5):
        assert (await outside.answer())[0] == 200


async def test_connections_to_providers_that_come_later_have_the_new_time(world: World, tmp_path: Path) -> None:
    await world.begin("connect_timeout = 5.0\n")
    change(world, tmp_path, ("connect_timeout = 5.0", "connect_timeout = 2.0"))
    assert [each.client.connect_timeout for each in world.gateway.upstreams.values()] == [2.0]
