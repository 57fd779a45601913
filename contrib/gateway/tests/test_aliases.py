"""One name for models of several providers: called where the turn comes first, and elsewhere where one refuses."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import msgspec
import pytest
import trio

from penstock import ConfigError
from penstock_gateway import ClientRequest, load_gateway
from penstock_gateway.call_line import CallLine
from penstock_gateway.testing import ANSWER, CHAT, KEYS, Provider, Reply, World, whole

pytestmark = pytest.mark.loopback

A_CALLS = f"authorization: Bearer {KEYS['A_KEY']}"
FAST = b'{"model": "fast", "messages": []}'
OVERLOADED = whole(b'{"error": {"message": "no"}}', b"503 Service Unavailable")
LIMITED = whole(b'{"error": {"message": "slow down"}}', b"429 Too Many Requests", b"retry-after: 30")


def other(world: World, cap: int = 1) -> str:
    return f"""
        [gateway.models.fast]
        to = ["acme/small", "other/tiny"]
        [providers.other]
        base_url = "{world.provider.url}"
        api_key_env = "B_KEY"
        [providers.other.models.tiny]
        max_parallel_requests = {cap}
    """


def model_of(request: ClientRequest) -> str:
    return str(json.loads(request.body)["model"])


def first_says(answer: bytes) -> Reply:
    async def reply(_: Provider, stream: trio.SocketStream, request: ClientRequest) -> None:
        await stream.send_all(answer if model_of(request) == "acme-small-2" else whole(ANSWER))

    return reply


async def test_an_alias_is_served_by_all_its_models_each_by_its_own_name_and_key(world: World) -> None:
    await world.begin(other(world), cap=1)
    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(world.ask, FAST)
    asked = Counter(map(model_of, world.provider.requests))
    assert asked.total() == 8
    assert min(asked["acme-small-2"], asked["tiny"]) >= 2
    assert world.provider.most_out <= 2
    keys = {request.header(b"authorization") for request in world.provider.requests if model_of(request) == "tiny"}
    assert keys == {f"Bearer {KEYS['B_KEY']}"}


async def test_a_call_that_waits_goes_where_another_of_its_models_can_take_it_and_in_its_order(world: World) -> None:
    await world.begin(other(world), cap=1)
    world.provider.hangs()
    held = {}
    for model in (CHAT, b'{"model": "tiny", "messages": []}'):
        held[model] = await world.client()
        await held[model].send(model)
    await world.provider.until(lambda: world.provider.out == 2)
    waiting = [await world.client() for _ in range(2)]
    for client in waiting:
        await client.send(FAST)
        await client.stream.send_all(b"")
    held[b'{"model": "tiny", "messages": []}'].stream.socket.close()
    await world.provider.until(lambda: len(world.provider.requests) == 3)
    assert model_of(world.provider.requests[2]) == "tiny"
    held[CHAT].stream.socket.close()
    await world.provider.until(lambda: len(world.provider.requests) == 4)
    assert model_of(world.provider.requests[3]) == "acme-small-2"


@pytest.mark.parametrize("refusal", [LIMITED, OVERLOADED])
async def test_who_refuses_before_the_first_byte_is_passed_over(world: World, refusal: bytes) -> None:
    await world.begin(other(world), cooldown=False)
    world.provider.reply = first_says(refusal)
    for _ in range(3):
        status, headers, answer = await world.ask(FAST)
        assert (status, answer, headers["x-penstock-provider"]) == (200, ANSWER, "other")
        assert headers["x-penstock-model"] == "other/tiny"


def test_the_log_has_the_alias_and_which_of_its_models_was_called() -> None:
    line = CallLine("1", 0.0)
    line.model, line.alias, line.served = "fast", True, "other/tiny"
    written = msgspec.json.decode(msgspec.json.encode(line.logged("/v1/chat/completions", 2, 1.0)))
    assert (written["model"], written["served"], written["seconds"]) == ("fast", "other/tiny", 1.0)
    assert written.keys() & {"began", "alias", "tries", "provider"} == set()


async def test_a_session_stays_at_its_endpoint_and_leaves_it_when_that_takes_no_calls(world: World) -> None:
    await world.begin(other(world, cap=4), cap=4)
    homes = {}
    for number in range(6):
        session = f"x-penstock-session: {number}"
        found = {(await world.ask(FAST, session))[1]["x-penstock-provider"] for _ in range(3)}
        (homes[number],) = found
    assert set(homes.values()) == {"acme", "other"}
    world.provider.reply = first_says(LIMITED)
    moved = next(number for number, home in homes.items() if home == "acme")
    for _ in range(2):  # the first is refused there, and made elsewhere; the second finds it cooling down
        status, headers, _ = await world.ask(FAST, f"x-penstock-session: {moved}")
        assert (status, headers["x-penstock-provider"]) == (200, "other")
    assert [model_of(each) for each in world.provider.requests[-3:]] == ["acme-small-2", "tiny", "tiny"]
    assert all(request.header(b"x-penstock-session") is None for request in world.provider.requests)


async def test_an_alias_is_listed_and_keys_may_name_it(world: World) -> None:
    await world.begin(f'[gateway.keys.a]\nenv = "A_KEY"\nmodels = ["fast"]\n{other(world)}')
    _, _, answer = await world.ask(b"", A_CALLS, path="/v1/models", method="GET")
    assert [(each["id"], each["owned_by"]) for each in json.loads(answer)["data"]] == [("fast", "penstock")]
    assert (await world.ask(FAST, A_CALLS))[0] == 200
    assert (await world.ask(CHAT, A_CALLS))[0] == 403


async def test_calls_of_a_key_go_by_their_priority_and_of_equals_the_oldest(world: World) -> None:
    await world.begin(cap=1)
    world.provider.hangs()
    busy = await world.client()
    await busy.send(CHAT)
    await world.provider.until(lambda: world.provider.out == 1)
    for number, priority in enumerate((0, -1, 5, 0)):
        client = await world.client()
        await client.send(b'{"model": "small", "n": %d}' % number, f"x-penstock-priority: {priority}")
        groups = world.gateway.front.serving.keys
        assert [*groups] == ["anybody"]
        while f'penstock_key_waiting{{key="anybody"}} {number + 1}\n' not in world.gateway.metrics():
            await trio.lowlevel.checkpoint()
    world.provider.reply = world.provider.answer
    busy.stream.socket.close()
    await world.provider.until(lambda: len(world.provider.requests) == 5)
    assert [json.loads(each.body)["n"] for each in world.provider.requests[1:]] == [2, 0, 3, 1]


MOCKS = """
[providers.acme]
kind = "mock"
[providers.acme.models.small]
max_parallel_requests = 2
[providers.other]
kind = "anthropic"
base_url = "http://x/v1"
[providers.other.models.large]
max_parallel_requests = 2
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[gateway.models.fast]\nto = ["acme/smal"]\n', "gateway.models.fast.to: names no model that is served"),
        ("[gateway.models.fast]\nto = []\n", "gateway.models.fast.to: must name models"),
        ('[gateway.models.fast]\nto = ["small", "small"]\n', "gateway.models.fast.to: must name models, each once"),
        ('[gateway.models.small]\nto = ["acme/small"]\n', "gateway.models.small: is the name of acme/small already"),
        ('[gateway.models."a b"]\nto = ["small"]\n', 'gateway.models."a b": is no name for a model'),
        ('[gateway.models.fast]\nto = ["small", "large"]\n', "gateway.models.fast.to: must name models of one dialect"),
    ],
)
def test_an_alias_that_makes_no_sense_is_told_at_its_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(text + MOCKS, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_gateway(path, {})
    assert message in str(caught.value)
