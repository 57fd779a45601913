"""`penstock serve --reload`: the command of the core finds a gateway by its file, and the gateway takes it."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trio
from click.testing import CliRunner

from penstock.cli.main import cli
from penstock_gateway import load_gateway
from penstock_gateway.testing import CHAT, KEYS, World, open_world

pytestmark = pytest.mark.loopback

A = '[gateway.keys.a]\nenv = "A_KEY"\n'
B = '[gateway.keys.b]\nenv = "B_KEY"\n'
B_CALLS = f"authorization: Bearer {KEYS['B_KEY']}"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A gateway, its provider and clients; nothing is served yet."""
    async with open_world(tmp_path) as world:
        yield world


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder of its own for the sockets of runs, with a short name, as the paths of sockets must be."""
    tmp_path_factory.getbasetemp()  # which is made in the temporary folder when it is first asked for
    with TemporaryDirectory(prefix="p", dir="/tmp") as short:
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        monkeypatch.setattr(tempfile, "tempdir", short)
        yield


async def asked(*arguments: object) -> tuple[int, str]:
    """Exit code and output of the command `penstock`, in a thread."""
    command = functools.partial(CliRunner().invoke, cli, [str(argument) for argument in arguments])
    done = await trio.to_thread.run_sync(command)
    return done.exit_code, f"{done.output}{done.exception or ''}"


@pytest.mark.usefixtures("runs")
async def test_a_gateway_is_asked_to_reload_by_its_file_and_tells_what_changed(world: World, tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    await world.begin(A, cap=1)
    world.gateway.reload_by(lambda: load_gateway(path, KEYS))
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text.replace(A, B).replace("max_parallel_requests = 1", "max_parallel_requests = 2"), encoding="utf-8"
    )
    code, said = await asked("serve", path, "--reload")
    assert code == 0, said
    assert "keys added: b\nkeys removed: a\n" in said
    assert "cap acme/small: 1 -> 2" in said.replace("acme-small-2", "small")
    assert (await world.ask(CHAT, B_CALLS))[0] == 200
    code, said = await asked("serve", path, "--reload", "--json")
    assert json.loads(said)["served"] == {}
    path.write_text(text.replace("port = 0", "port = 1"), encoding="utf-8")
    code, said = await asked("serve", path, "--reload")
    assert code != 0
    assert "gateway.port: cannot change while the gateway runs" in said
    assert (await world.ask(CHAT, B_CALLS))[0] == 200


@pytest.mark.usefixtures("runs")
async def test_a_gateway_takes_no_other_file_and_one_that_is_not_there_is_told(world: World, tmp_path: Path) -> None:
    await world.begin(A)
    world.gateway.reload_by(lambda: load_gateway(tmp_path / "gateway.toml", KEYS))
    other = tmp_path / "other.toml"
    other.write_text("[gateway]\n", encoding="utf-8")
    code, said = await asked("serve", other, "--reload")
    assert code != 0
    assert "there is no run 'gateway-other-" in said
    assert "gateway-gateway-" in said
    code, said = await asked("reconfigure", other)
    assert code != 0
    assert "this gateway serves by" in said
