"""The page at `/status` of a gateway at work: its figures, and what a real browser makes of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio
from contrib.batch.tests.report.conftest import document_at

from penstock_gateway.status import status_page
from penstock_gateway.testing import CHAT, KEYS, Client, World

pytestmark = pytest.mark.loopback

EVENING = datetime(2026, 11, 29, 23, 50, tzinfo=UTC).timestamp()
A_CALLS, B_CALLS = (f"authorization: Bearer {KEYS[name]}" for name in ("A_KEY", "B_KEY"))
EVIL = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">\u202e"
CONFIG = f"""
[gateway.keys.a]
env = "A_KEY"
weight = 2.0
requests_per_day = 10
spend_per_month = 5.0
[gateway.keys.b]
env = "B_KEY"
[gateway.admin]
port = 0
[providers.acme.models.small.price]
input = 1000.0
output = 10000.0
[providers.acme.models.evil]
model = '''{EVIL}'''
max_parallel_requests = 3
price = {{ input = 1.0, output = 1.0 }}
"""


async def busy(world: World) -> None:
    """One call has been answered, two are out, and two of `a` and one of `b` wait."""
    world.wall = lambda _: EVENING
    await world.begin(CONFIG, cap=1)
    assert (await world.ask(CHAT, A_CALLS))[0] == 200
    world.provider.hangs()
    await (await world.client()).send(b'{"model": "evil"}', B_CALLS)
    await world.provider.until(lambda: world.provider.out == 1)
    for number, key in enumerate((A_CALLS, A_CALLS, B_CALLS, A_CALLS)):
        await (await world.client()).send(CHAT, key)
        await world.provider.until(lambda: world.provider.out == 2)
        with trio.fail_after(30):
            while sum(row["waiting"] for row in json.loads(world.gateway.status()[1])["keys"]) < number:
                await trio.lowlevel.checkpoint()


async def answer_at(url: str, path: str) -> tuple[int, dict[str, str], bytes]:
    host, _, port = url.removeprefix("http://").partition(":")
    client = Client(await trio.open_tcp_stream(host, int(port)))
    async with client.stream:
        return await client.ask(b"", path=path, method="GET")


async def test_the_status_says_limits_who_waits_for_what_keys_quotas_and_workers(world: World) -> None:
    await busy(world)
    code, headers, body = await answer_at(world.gateway.admin_url, "/status.json")
    assert (code, headers["content-type"]) == (200, "application/json")
    status = json.loads(body)
    assert status["at"] == "2026-11-29 23:50:00 UTC"
    limits = {row["model"]: (row["in_flight"], row["limit"], row["waiting"]) for row in status["limits"]}
    assert limits["acme/acme-small-2"] == (1, 1, 3)
    (small,) = (row for row in status["limits"] if row["model"] == "acme/acme-small-2")
    assert (small["cap"], small["most_in_flight"], small["most_waiting"]) == (1, 1, 3)
    assert small["cap_by"].endswith(".max_parallel_requests")
    assert {(row["reason"], row["by"], row["waiting"]) for row in status["waiting"]} == {("no_capacity", "core", 3)}
    keys = {row["key"]: (row["weight"], row["waiting"], row["calls"], row["cost"]) for row in status["keys"]}
    assert keys == {"a": (2.0, 2, 1, 0.023), "b": (1.0, 1, 0, 0)}
    quotas = [(row["key"], row["quota"], row["used"], row["out"], row["limit"]) for row in status["quotas"]]
    assert quotas == [("a", "requests_per_day", 2, 1, 10), ("a", "spend_per_month", 0.031, 0.008, 5)]
    assert [worker["connections"] for worker in status["workers"]] == [status["connections"]]
    assert "\u202e" not in body.decode()


async def test_the_page_runs_its_own_script_alone(world: World) -> None:
    await world.begin("[gateway.admin]\nport = 0\n")
    code, headers, body = await answer_at(world.gateway.admin_url, "/status")
    assert (code, body) == (200, status_page()[1])
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["content-security-policy"].count("sha256-") == 1
    assert b"innerHTML" not in body
    assert (await answer_at(world.gateway.admin_url, "/stat"))[0] == 404


async def test_a_browser_shows_the_figures_and_runs_nothing_foreign(world: World, tmp_path: Path) -> None:
    await busy(world)
    url = f"{world.gateway.admin_url}/status"
    document = await trio.to_thread.run_sync(document_at, url, tmp_path, 3_000)
    assert document.title == "Penstock gateway"
    assert document.texts["state"] == "serving"
    assert not any(tag == "img" for tag, _ in document.attributes)
    limits = {row[0]: row[1:] for row in document.tables["limits-table"][1:]}
    assert limits["acme/acme-small-2"] == ["chat", "1 of 1", "1 of 1", "3", "3", "–"]
    assert any(name.startswith("acme/</script><script>") for name in limits)
    (waiting,) = document.tables["waiting-table"][1:]
    assert waiting[:3] == ["acme/acme-small-2/chat", "3", "a, b"]
    assert [row[:4] for row in document.tables["keys-table"][1:]] == [["a", "2", "2", "1"], ["b", "1", "1", "0"]]
    assert [row[1:3] for row in document.tables["quotas-table"][1:]] == [
        ["requests_per_day", "2 of 10"],
        ["spend_per_month", "0.031 of 5"],
    ]
    assert document.tables["workers-table"][1][0] == "this process"
