"""A gateway of several processes, as it is started by hand: one cap for all, and what happens when one of them dies."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest
import trio

from penstock import ConfigError
from penstock_gateway import ClientRequest
from penstock_gateway.command import serve_command
from penstock_gateway.listening import listen_for_each
from penstock_gateway.testing import ANSWER, CHAT, Client, Provider, whole
from penstock_gateway.testing_processes import Served, open_served, stays
from penstock_wire import ConnectionLost

pytestmark = [
    pytest.mark.loopback,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux has several workers"),
]


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with open_served(tmp_path) as served:
        yield served


class Gatekeeper:
    """A provider that answers when it is told to."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self._lot = trio.lowlevel.ParkingLot()
        self._open = False
        provider.reply = self.reply

    async def reply(self, _: Provider, stream: trio.SocketStream, __: ClientRequest) -> None:
        if self._open or await stays(stream, self._lot.park):
            await stream.send_all(whole(ANSWER))

    def hold(self) -> None:
        self._open = False

    def let_go(self, *, all_later: bool = False) -> None:
        self._open = all_later
        self._lot.unpark_all()


async def answered(client: Client, statuses: list[int]) -> None:
    statuses.append((await client.answer())[0])


async def lost(answer: Awaitable[object]) -> bool:
    try:
        await answer
    except (ConnectionLost, trio.BrokenResourceError):
        return True
    return False


async def test_two_workers_have_one_cap_one_plan_and_one_end(served: Served) -> None:
    served.describe(cap=3)
    keeper, statuses = Gatekeeper(served.provider), list[int]()
    await served.begin()
    assert any("by 2 workers" in line for line in served.said)
    clients = [await served.client(worker) for worker in (1, 2) for _ in range(4)]
    for client in clients:
        await client.send()
    await served.provider.until(lambda: served.provider.out == 3)
    while (figures := await served.figures())['penstock_waiting{model="acme/acme-small-2",domain="chat"}'] < 5:
        await trio.lowlevel.checkpoint()
    assert figures['penstock_limit{model="acme/acme-small-2",domain="chat"}'] == 3
    assert figures["penstock_connections"] >= 8
    # another plan, while calls are under way
    served.describe(cap=5)
    served.process.send_signal(signal.SIGHUP)
    await served.provider.until(lambda: served.provider.out == 5)
    served.path.write_text("nonsense", encoding="utf-8")
    served.process.send_signal(signal.SIGHUP)
    await served.says("not reloaded")
    keeper.let_go(all_later=True)
    async with trio.open_nursery() as nursery:
        for client in clients:
            nursery.start_soon(answered, client, statuses)
    assert statuses == [200] * 8
    assert served.provider.most_out == 5
    # the end, while a call is under way
    keeper.hold()
    await clients[0].send()
    await served.provider.until(lambda: served.provider.out == 1)
    served.process.send_signal(signal.SIGTERM)
    await served.says("draining")
    while await served.is_ready():
        await trio.lowlevel.checkpoint()
    assert await lost(clients[-1].answer())
    assert await lost(clients[1].answer())
    while await served.takes_connections():
        await trio.lowlevel.checkpoint()
    keeper.let_go()
    assert (await clients[0].answer())[0] == 200
    assert await served.process.wait() == 0
    assert served.log.read_text(encoding="utf-8").count('"status":200') == 9


async def test_whoever_dies_is_started_anew_and_no_lease_is_lost(served: Served) -> None:
    served.describe("orphan_seconds = 60.0", cap=2)
    keeper, statuses = Gatekeeper(served.provider), list[int]()
    await served.begin()
    _, first, _ = served.children()
    doomed = [await served.client(1) for _ in range(2)]
    for client in doomed:
        await client.send()
    await served.provider.until(lambda: served.provider.out == 2)
    others = [await served.client(2) for _ in range(2)]
    for client in others:
        await client.send()
    os.kill(first, signal.SIGKILL)
    await served.provider.until(lambda: len(served.provider.requests) == 4 and served.provider.out == 2)
    for client in doomed:
        assert await lost(client.answer())
    anew = await served.client(1)
    await served.figures()  # what is counted by now is kept
    before = await served.figures()
    # the coordinator, while the two are under way
    os.kill(served.children()[0], signal.SIGKILL)
    await served.says("the coordinator has ended")
    keeper.let_go(all_later=True)
    async with trio.open_nursery() as nursery:
        for client in others:
            nursery.start_soon(answered, client, statuses)
    assert statuses == [200, 200]
    assert await lost(anew.answer())
    for worker in (1, 2):
        client = await served.client(worker)
        assert (await client.ask(CHAT))[0] == 200
    after = await served.figures()
    counters = [name for name in before if "_total" in name or "_count" in name]
    assert counters
    assert all(after[name] >= before[name] for name in counters)
    assert after['penstock_in_flight{model="acme/acme-small-2",domain="chat"}'] == 0
    assert served.provider.most_out <= 3  # the provider may learn of a death after the next call has come


async def test_whoever_is_started_after_a_reload_serves_what_was_reloaded(served: Served) -> None:
    served.describe(cap=2)
    Gatekeeper(served.provider).let_go(all_later=True)
    await served.begin()
    renamed = CHAT.replace(b"small", b"renamed")
    assert (await (await served.client(1)).ask(renamed))[0] == 404
    served.describe('[gateway.models.renamed]\nto = ["small"]', cap=2)
    served.process.send_signal(signal.SIGHUP)
    await served.says("penstock: reloaded")
    client = await served.client(1)
    os.kill(served.children()[1], signal.SIGKILL)
    assert await lost(client.answer())
    assert (await (await served.client(1)).ask(renamed))[0] == 200
    old = served.children()
    os.kill(old[0], signal.SIGKILL)
    while not {*old}.isdisjoint(served.children()):  # the workers end with it
        await trio.lowlevel.checkpoint()
    for worker in (1, 2):
        assert (await (await served.client(worker)).ask(renamed))[0] == 200


async def test_clients_that_only_connect_leave_calls_their_files(served: Served) -> None:
    served.describe(cap=4, workers=1)
    await served.begin(files=100)
    for _ in range(80):
        await served.client()
    asks = await served.client()
    assert (await asks.ask())[0] == 200
    assert (await served.figures())["penstock_connections_limit"] == 32
    assert [line for line in served.said if "clients are connected, as many as may be" in line]


@pytest.mark.parametrize("by", ["signal", "command"])
@pytest.mark.parametrize("workers", [1, 2])
async def test_a_reload_that_waits_for_its_file_keeps_nobody_from_ending_the_gateway(
    served: Served, tmp_path: Path, workers: int, by: str
) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text('{"keys": []}', encoding="utf-8")
    served.describe('keys_file = "keys.json"', cap=1, workers=workers)
    await served.begin()
    keys.unlink()
    os.mkfifo(keys)
    if by == "signal":
        for _ in range(2):
            served.process.send_signal(signal.SIGHUP)
    else:
        command = [sys.executable, "-m", "penstock", "serve", "--reload", str(served.path)]
        told = await trio.run_process(command, check=False, capture_stderr=True)
        assert b"it has changed nothing" in told.stderr
    assert (await (await served.client()).ask())[0] == 200
    served.process.send_signal(signal.SIGTERM)
    await served.hears(lambda: served.process.returncode is not None)
    assert served.process.returncode == 0


async def test_a_reload_that_ends_with_its_coordinator_is_told(served: Served, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text('{"keys": []}', encoding="utf-8")
    served.describe('keys_file = "keys.json"', cap=1)
    await served.begin()
    served.process.send_signal(signal.SIGHUP)
    await served.says("penstock: reloaded")
    keys.unlink()
    os.mkfifo(keys)
    served.process.send_signal(signal.SIGHUP)
    with await trio.to_thread.run_sync(lambda: keys.open("w", encoding="utf-8")):  # when it is being read
        os.kill(served.children()[0], signal.SIGKILL)
        await served.says("the coordinator has ended (signal 9)")
        await served.says("not reloaded: the coordinator has ended before; ask again")
    assert (await (await served.client()).ask())[0] == 200


async def test_what_is_wrong_at_the_start_is_told_and_ends_it(served: Served) -> None:
    served.describe(cap=1)
    text = served.path.read_text(encoding="utf-8")
    served.path.write_text(text.replace("PROVIDER_KEY", "NO_SUCH_VARIABLE"), encoding="utf-8")
    await served.begin()
    assert await served.process.wait() == 2
    assert any("names NO_SUCH_VARIABLE, which is not set" in line for line in served.said), served.said
    assert not any("Traceback" in line for line in served.said)


def test_elsewhere_than_on_linux_it_is_said_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "gateway.toml"
    mock = '[providers.mock]\nkind = "mock"\n[providers.mock.models.m]\nmax_parallel_requests = 1\n'
    path.write_text(f"[gateway]\nport = 0\nworkers = 2\n{mock}", encoding="utf-8")
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ConfigError, match=r"gateway\.workers: 2 processes need Linux: set workers = 1"):
        serve_command(path)


def test_a_second_gateway_is_not_let_in_beside_the_first() -> None:
    first = listen_for_each(2, "127.0.0.1", 0)
    port = first[0][0].getsockname()[1]
    assert {each.getsockname()[1] for (each,) in first} == {port}
    with pytest.raises(ConfigError, match="gateway: cannot listen"):
        listen_for_each(2, "127.0.0.1", port)
    for (each,) in first:
        each.close()
