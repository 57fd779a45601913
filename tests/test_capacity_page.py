"""What `docs/what-limits-my-run.md` shows of capacity plans is what is printed."""

from __future__ import annotations

import re
import tomllib
from functools import partial
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner
from trio.testing import MockClock

import penstock
from penstock.cli.main import cli

HOUSE = Path(__file__).parents[1]
PAGE = HOUSE / "docs" / "what-limits-my-run.md"


def blocks(language: str, page: Path = PAGE) -> list[str]:
    """What stands in the page in blocks of this language."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [str(block) for block in found]


@pytest.fixture
def in_virtual_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that run trio run it in virtual time."""
    monkeypatch.setattr(trio, "run", partial(trio.run, clock=MockClock(autojump_threshold=0)))


@pytest.mark.usefixtures("in_virtual_time")
def test_the_plan_of_the_readmes_example_is_what_the_page_shows(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(blocks("python")[0], "example.py", "exec"), {})
    assert capsys.readouterr().out == blocks("text")[0]


def test_the_example_is_the_readmes_but_for_what_it_prints() -> None:
    def told(source: str) -> list[str]:
        return [line for line in source.splitlines() if "print(" not in line and "await handle" not in line]

    assert told(blocks("python")[0]) == told(blocks("python", HOUSE / "README.md")[0])


@pytest.mark.usefixtures("in_virtual_time")
def test_a_program_can_declare_what_the_page_declares() -> None:
    exec(compile(blocks("python")[1], "declares.py", "exec"), {})


async def test_two_hundred_calls_reach_what_the_page_says(autojump_clock: MockClock) -> None:
    async def summarise() -> None:
        async with penstock.request("acme/small"):
            await trio.sleep(0.5)

    async with penstock.open_scheduler(tomllib.loads(blocks("toml")[0])) as scheduler:
        for _ in range(200):
            scheduler.start_soon(summarise, group="summaries")
    printed = str(scheduler.capacity_plan())
    assert blocks("text")[1] in printed


def test_a_file_is_explained_as_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("penstock.toml").write_text(blocks("toml")[0], encoding="utf-8")
    command, _, shown = blocks("console")[0].partition("\n")
    assert CliRunner().invoke(cli, command.removeprefix("$ penstock ").split()).output == shown
