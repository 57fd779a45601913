"""What `penstock top` shows: of any run, whatever it is called, on any terminal, until it ends."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from click.testing import CliRunner, Result
from rich.console import Console

import penstock
from penstock import RunFigures
from penstock.cli.main import cli
from penstock.cli.top.drawing import drawn, most_rows
from penstock.cli.top.view import read_figures, view_of
from penstock.cli.top.watching import watch
from penstock.run.explain_asking import find_runs
from penstock.words.report import CallsFigures, TasksFigures, TenantFigures, WaitingFor

FULL = WaitingFor("no_capacity", "aimd", 7)
CALLS = CallsFigures(
    provider="acme",
    model="small",
    domain="chat",
    limit=4,
    cap=8,
    active=4,
    waiting=8,
    gone_out=100,
    longest_wait=75.0,
    cooldown=2.5,
    paused=1,
    waits_for=(FULL, WaitingFor("turn", "core", 1)),
)
FIGURES = RunFigures(
    run_id="nightly",
    captured_at=1_000.0,
    running_for=7_500.0,
    unfinished=20,
    resources={"submission": (12, 1024), "gpu": (1, 1)},
    ended={"completed": 1_234, "failed": 2, "dropped": 0},
    tasks=(
        TasksFigures(group="local/column", kind="local", active=12, waiting=8, longest_wait=3.0, waits_for=(FULL,)),
    ),
    calls=(CALLS,),
    tenants=(
        TenantFigures(group="umbrella", active=1, waiting=0),
        TenantFigures(group="acme-corp", active=3, waiting=8),
    ),
)
HOSTILE = "\x1b[2J[red]x[/red]\u202ereversed\ud800\nline :smile: 東京"


def lines(figures: RunFigures, before: RunFigures | None = None, note: str = "", **terminal: Any) -> list[str]:
    """What stands on a terminal."""
    encoding = terminal.pop("encoding", "utf-8")
    written = io.BytesIO()
    file = io.TextIOWrapper(written, encoding=encoding, newline="\n")
    console = Console(file=file, markup=False, emoji=False, highlight=False, **{"width": 120, "height": 40, **terminal})
    console.print(drawn(view_of(figures, before, most_rows(console)), console, note))
    file.flush()
    return written.getvalue().decode(encoding).splitlines()


def test_it_shows_limits_what_is_out_who_waits_and_for_what() -> None:
    text = lines(FIGURES)
    assert text[:3] == [
        "run nightly, for 2:05:00",
        "tasks: 12 running, 8 waiting, 20 unfinished; 1,234 done, 2 failed",
        "places: submission 12 of 1,024, gpu 1 of 1",
    ]
    words = [line.split() for line in text]
    assert [
        "acme/small",
        "4",
        "4",
        "8",
        "1:15",
        "2.5",
        "s",
        "1",
        *["7", "no_capacity", "by", "aimd,", "1", "turn"],
    ] in words
    assert words.index(["acme-corp", "3", "8"]) < words.index(["umbrella", "1"]), "who waits stands above"
    assert ["local/column", "12", "8", "3.0", "s", "7", "no_capacity", "by", "aimd"] in words


def test_rates_are_those_between_two_looks() -> None:
    before = attrs.evolve(
        FIGURES, captured_at=998.0, ended={"completed": 1_224}, calls=(attrs.evolve(CALLS, gone_out=95),)
    )
    text = lines(FIGURES, before)
    assert "1,234 done (5.0/s)" in text[1]
    assert any("acme/small" in line and " 2.5 " in line for line in text)


@pytest.mark.parametrize(
    "before", [FIGURES, attrs.evolve(FIGURES, captured_at=2_000.0), attrs.evolve(FIGURES, run_id="b")]
)
def test_there_is_no_rate_where_no_time_has_gone_by_or_another_run_answers(before: RunFigures) -> None:
    assert "/s)" not in lines(FIGURES, attrs.evolve(before, captured_at=max(before.captured_at, 1_000.0)))[1]


@pytest.mark.parametrize("width", [1, 8, 20, 40, 60, 80, 200])
def test_no_line_is_longer_than_the_terminal_is_wide(width: int) -> None:
    text = lines(FIGURES, width=width)
    assert max(map(len, text)) <= width
    assert text[0] == "run nightly, for 2:05:00"[:width].rstrip()


def test_a_narrow_terminal_keeps_the_columns_that_matter_most() -> None:
    (head,) = [line for line in lines(FIGURES, width=36) if line.startswith("calls to")]
    assert head.split() == ["calls", "to", "limit", "out", "wait"]


def test_where_names_are_too_long_they_are_cut_and_no_figure_is() -> None:
    long = attrs.evolve(CALLS, provider="a-provider-of-a-long-name", model="a-model-of-one", active=123_456)
    (row,) = [line for line in lines(attrs.evolve(FIGURES, calls=(long,)), width=80) if line.startswith("a-provider")]
    assert row.split()[1:] == ["4", "123,456", "8", "1:15", "2.5", "s", "1"]


def test_names_are_shown_as_text_and_do_nothing_to_the_terminal() -> None:
    figures = attrs.evolve(
        FIGURES,
        run_id=HOSTILE,
        resources={HOSTILE: (1, 1)},
        calls=(attrs.evolve(CALLS, provider=HOSTILE, waits_for=(WaitingFor(HOSTILE, HOSTILE, 1),)),),
        tenants=(TenantFigures(group=HOSTILE, active=1, waiting=1),),
    )
    text = "\n".join(lines(figures, note=HOSTILE, width=400))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert r"\x1b[2J[red]x[/red]\u202ereversed\ud800\nline :smile: 東京" in text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8", "utf-16"])
def test_a_terminal_that_has_not_all_letters_shows_escapes(encoding: str) -> None:
    figures = attrs.evolve(FIGURES, tenants=(TenantFigures(group="東京 é", active=1, waiting=1),))
    text = "\n".join(lines(figures, encoding=encoding))
    assert ("東京" in text) is encoding.startswith("utf")
    assert ("\\u6771" in text) is not encoding.startswith("utf")


def test_nothing_is_coloured_where_no_color_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    text = "\n".join(lines(FIGURES, force_terminal=True))
    assert "\x1b[3" not in text


def test_a_low_terminal_has_a_few_rows_of_each_table_and_counts_the_rest() -> None:
    many = tuple(TenantFigures(group=f"t{n}", active=0, waiting=n + 1) for n in range(50))
    text = lines(attrs.evolve(FIGURES, tenants=many), force_terminal=True, height=24, no_color=True)
    assert any("and 46 more" in line for line in text)
    assert len(text) <= 24
    assert not any(" more" in line for line in lines(attrs.evolve(FIGURES, tenants=many))), "a file has room for all"


def test_a_run_in_which_nothing_is_going_on_has_no_tables() -> None:
    assert (
        view_of(
            RunFigures(run_id="r", captured_at=0, running_for=0, unfinished=0, resources={}, ended={}), None, 9
        ).tables
        == []
    )


def test_what_a_run_answers_is_read_again_as_it_was() -> None:
    assert read_figures(json.loads(json.dumps(FIGURES.as_dict()))) == FIGURES


@pytest.mark.parametrize(
    "records",
    [
        {},
        [],
        None,
        "text",
        {**FIGURES.as_dict(), "calls": 3},
        {**FIGURES.as_dict(), "resources": {"a": [1]}},
        {**FIGURES.as_dict(), "unfinished": "many"},
        {**FIGURES.as_dict(), "tenants": [{}]},
    ],
)
def test_what_is_no_record_of_figures_is_refused(records: Any) -> None:
    with pytest.raises(ValueError, match="another version"):
        read_figures(records)


def test_figures_of_a_later_version_are_read_as_far_as_they_are_known() -> None:
    assert read_figures({**FIGURES.as_dict(), "weather": "fine"}) == FIGURES


# -- until it ends --


@attrs.define(eq=False)
class Shown:
    """What was shown, and when."""

    looks: list[tuple[float, str, str | None]] = attrs.field(factory=list)

    def __call__(self, now: RunFigures, before: RunFigures | None, note: str) -> None:
        self.looks.append((trio.current_time(), note, None if before is None else before.run_id))


def answering(*answers: RunFigures | Exception) -> Any:
    left: Iterator[RunFigures | Exception] = iter(answers)

    async def ask() -> RunFigures:
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return ask


@pytest.mark.parametrize("gone", [FileNotFoundError("gone"), ConnectionRefusedError("dead")])
async def test_a_run_that_ends_while_it_is_watched_ends_the_watch(
    gone: Exception, autojump_clock: trio.testing.MockClock
) -> None:
    shown = Shown()
    assert await watch(answering(FIGURES, FIGURES, gone), shown, 2.0) == "the run has ended"
    assert [(at, note) for at, note, _ in shown.looks] == [(0.0, ""), (2.0, "")]
    assert [before for *_, before in shown.looks] == [None, "nightly"]


async def test_a_run_that_is_silent_is_asked_again(autojump_clock: trio.testing.MockClock) -> None:
    shown = Shown()
    silent, ended = TimeoutError("no answer within 10 s"), FileNotFoundError()
    await watch(answering(FIGURES, silent, ConnectionResetError("broke off"), FIGURES, ended), shown, 1.0)
    assert [note for _, note, _ in shown.looks] == [
        "",
        "no answer for 0 s: no answer within 10 s",
        "no answer for 1 s: broke off",
        "",
    ]


async def test_a_run_that_never_answers_is_an_error(autojump_clock: trio.testing.MockClock) -> None:
    with pytest.raises(ValueError, match="not JSON"):
        await watch(answering(ValueError("the answer is not JSON")), Shown(), 1.0)


# -- the command --


needs_sockets = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no local sockets here")


@asynccontextmanager
async def a_run(groups: Sequence[str]) -> AsyncIterator[None]:
    config = {"scheduler": {"explain_socket": True, "submission_capacity": 1}}
    enough = trio.Event()
    async with penstock.open_scheduler(config, run_id="nightly") as scheduler:
        for group in groups:
            scheduler.start_soon(enough.wait, group=group)
        with trio.fail_after(60):
            while not (await find_runs()).runs:
                await trio.lowlevel.checkpoint()
        yield
        enough.set()


async def top(*arguments: str) -> Result:
    return await trio.to_thread.run_sync(lambda: CliRunner().invoke(cli, ["top", *arguments]))


@needs_sockets
@pytest.mark.loopback
async def test_a_run_is_shown_once_where_there_is_no_terminal_and_as_a_record(folder: Path) -> None:
    async with a_run(["works", "waits", "waits"]):
        shown, once, record = await top(), await top("--once"), await top("--json", "--run", "nightly")
        unknown = await top("--run", "daily")
    assert (shown.exit_code, once.exit_code, record.exit_code) == (0, 0, 0), shown.output
    for told in (shown, once):
        assert told.stdout.startswith("run nightly, for 0.")
        assert "tasks: 1 running, 2 waiting, 3 unfinished" in told.stdout
        assert ["local/waits", "2"] in [line.split()[:2] for line in told.stdout.splitlines()]
    figures = read_figures(json.loads(record.stdout))
    assert figures.run_id == "nightly"
    assert figures.resources == {"submission": (1, 1)}
    assert unknown.exit_code == 2
    assert "there is no run 'daily' under way" in unknown.stderr


@needs_sockets
@pytest.mark.loopback
async def test_without_a_run_or_with_a_dead_socket_it_says_so(folder: Path) -> None:
    none = await top("--once")
    folder.mkdir(mode=0o700, exist_ok=True)
    dead = folder / "0123456789abcdef.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(dead))
    still_none = await top("--once")
    assert (none.exit_code, still_none.exit_code) == (2, 2)
    assert "no run of yours is under way" in none.stderr
    assert "no run of yours is under way" in still_none.stderr
    assert not dead.exists()


@pytest.mark.parametrize("arguments", [["--interval", "0"], ["--interval", "nan"], ["--interval", "soon"]])
async def test_an_interval_that_is_none_is_refused(arguments: list[str]) -> None:
    refused = await top(*arguments)
    assert refused.exit_code == 2
    assert "--interval" in refused.stderr


WITHOUT_RICH = """
import sys
sys.modules["rich"] = None
from penstock.cli.main import cli
cli(["top"])
"""


def test_without_rich_it_says_what_installs_it() -> None:
    told = subprocess.run([sys.executable, "-c", WITHOUT_RICH], capture_output=True, encoding="utf-8", check=False)
    assert told.returncode == 2
    assert told.stderr == 'penstock: penstock top needs rich: python -m pip install "penstock-core[top]"\n'


def test_rich_is_imported_by_nothing_else() -> None:
    code = "import sys; from penstock.cli.main import cli; print('rich' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert told.stdout == "False\n"
