"""Who is connected where no more may be, and who comes then."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from penstock import load_config
from penstock_gateway.door import IDLE
from penstock_gateway.open_files import OTHERS, files_for_calls, most_clients, most_idle
from penstock_gateway.request_parser import ClientRequest
from penstock_gateway.testing import ANSWER, Client, Provider, World, whole


@pytest.mark.parametrize("files", [1, OTHERS, OTHERS + 5, 256, 1024, 4096, 1_000_000])
@pytest.mark.parametrize("for_calls", [1, 64, 300, 100_000])
@pytest.mark.parametrize("wanted", [1, 512, 4096])
def test_clients_and_calls_have_files_enough_between_them(files: int, for_calls: int, wanted: int) -> None:
    clients = most_clients(wanted, files, for_calls)
    assert 1 <= clients <= wanted
    calls = min(for_calls, clients)  # each is a client's
    idle = min(for_calls - calls, 2 * most_idle(2, files))
    assert clients + calls + idle <= max(files - OTHERS, 6)


def test_where_caps_are_beyond_all_files_two_fifths_of_them_are_for_clients() -> None:
    assert most_clients(4096, OTHERS + 1000, 100_000) == 400
    assert most_clients(4096, OTHERS + 1000, 550) == 450


def test_the_calls_of_an_embedded_mock_have_two_files_each() -> None:
    models = {"small": {"max_parallel_requests": 4}, "large": {"max_parallel_requests": 3}}
    mock = {"kind": "mock", "models": models}
    acme = {"base_url": "http://127.0.0.1:9/v1", "models": models}
    both = load_config({"providers": {"mock": mock, "acme": acme}})
    assert files_for_calls(both.config.providers.values()) == 14 + 7


@pytest.mark.loopback
async def test_who_comes_is_let_in_for_the_client_that_was_idle_longest(
    world: World, mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    await world.begin("most_connections = 3\n", cap=9)
    before = [await world.client() for _ in range(3)]
    for client in (before[1], before[0], before[2]):
        assert (await client.ask())[0] == 200
        mock_clock.jump(IDLE)
    assert await answers(before[1]), "who has just been served is no longer idle"
    mock_clock.jump(IDLE)
    assert (await world.ask())[0] == 200
    assert await answers(before[1])
    assert await ended(before[0])
    assert (await world.ask())[0] == 200
    assert await ended(before[2])
    assert await answers(before[1])
    (line,) = [line for line in caplog.messages if "clients are connected" in line]
    assert line.startswith("3 clients are connected, as many as may be")
    assert "most_connections" in line


@pytest.mark.loopback
async def test_who_has_sent_nothing_goes_before_who_has_begun_and_nobody_whose_call_is_under_way(
    world: World, mock_clock: MockClock
) -> None:
    await world.begin("most_connections = 3\n", cap=9)
    busy, slow, silent = [await world.client() for _ in range(3)]
    world.provider.hangs()
    await busy.send()
    await world.provider.until(lambda: world.provider.out == 1)
    await slow.stream.send_all(b"POST /v1/chat")
    await wait_all_tasks_blocked()
    mock_clock.jump(IDLE)
    world.provider.reply = world.provider.answer
    assert (await world.ask())[0] == 200
    assert await ended(silent)
    mock_clock.jump(IDLE)
    assert [(await world.ask())[0] for _ in range(2)] == [200, 200]
    assert await ended(slow)
    assert world.provider.out == 1


@pytest.mark.loopback
async def test_where_nobody_is_idle_who_comes_waits_and_the_next_answer_is_the_last_of_its_connection(
    world: World, mock_clock: MockClock
) -> None:
    await world.begin("most_connections = 2\n", cap=9)
    go_on = trio.Event()

    async def reply(_: Provider, stream: trio.SocketStream, __: ClientRequest) -> None:
        await go_on.wait()
        await stream.send_all(whole(ANSWER))

    world.provider.reply = reply
    inside = [await world.client() for _ in range(2)]
    for client in inside:
        await client.send()
    await world.provider.until(lambda: world.provider.out == 2)
    outside = await world.client()
    await outside.send()
    await wait_all_tasks_blocked()
    mock_clock.jump(10 * IDLE)
    await wait_all_tasks_blocked()
    assert (world.gateway.connections, world.provider.out, outside.began.is_set()) == (2, 2, False)
    go_on.set()
    told = [(await client.answer())[:2] for client in inside]
    assert [status for status, _ in told] == [200, 200]
    assert "close" in [headers.get("connection") for _, headers in told]
    status, headers, *_ = await outside.answer()
    assert status == 200
    assert headers.get("connection") != "close"


@pytest.mark.loopback
async def test_a_client_that_has_just_come_has_a_second_for_its_request(world: World, mock_clock: MockClock) -> None:
    await world.begin("most_connections = 1\n")
    first, second = await world.client(), await world.client()
    await second.send()
    await wait_all_tasks_blocked()
    assert (await first.ask())[0] == 200
    assert (await second.answer())[0] == 200


@pytest.mark.loopback
async def test_a_drain_does_not_wait_for_who_waits_to_be_connected(world: World) -> None:
    gateway = await world.begin("most_connections = 1\n")
    world.provider.hangs()
    await (await world.client()).send()
    outside = await world.client()
    await world.provider.until(lambda: world.provider.out == 1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gateway.drain, 60.0)
        assert await ended(outside)
        gateway.close()


async def answers(client: Client) -> bool:
    return (await client.ask())[0] == 200


async def ended(client: Client) -> bool:
    try:
        return not await client.stream.receive_some(1)
    except trio.BrokenResourceError:
        return True
