"""Both ends of the pipe to the peer's process, with a peer that is made up; and the making of its environment."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from subprocess import CalledProcessError
from threading import Event

import pytest

from penstock_bench.peer_client import PeerProcess
from penstock_bench.peer_environment import PeerUnavailable, cache_folder, peer_python
from penstock_bench.peer_side.progress import Progress
from penstock_bench.peer_side.server import Cell, serve

Told = list[Mapping[str, object]]


def count(progress: Progress, *, units: int) -> None:
    progress.begin()
    progress.enqueued(units)
    for _ in range(units):
        progress.units += 1


def fail(progress: Progress) -> None:
    raise RuntimeError("the cell is broken")


CELLS: Mapping[str, Cell] = {"count": count, "fail": fail}


def answers(*requests: Mapping[str, object]) -> Told:
    told: Told = []
    serve([json.dumps(request) for request in requests], told.append, CELLS, leave=lambda: None)
    return told


# -- the peer's end


def test_a_cell_that_is_done_says_how_many_units_it_did() -> None:
    (told,) = answers({"cell": "count", "seconds": 60, "units": 7})

    assert told["units"] == 7
    assert told["complete"] is True


def test_a_cell_that_fails_is_an_answer_too_and_the_next_is_executed(capsys: pytest.CaptureFixture[str]) -> None:
    failed, done = answers({"cell": "fail", "seconds": 60}, {"cell": "count", "seconds": 60, "units": 1})

    assert failed == {"error": "RuntimeError: the cell is broken"}
    assert done["units"] == 1
    assert "RuntimeError" in capsys.readouterr().err


@pytest.mark.loopback
def test_a_cell_whose_time_is_up_is_answered_with_what_was_done_until_then() -> None:
    was_cut = Event()
    told: Told = []

    def stuck(progress: Progress) -> None:
        progress.begin()
        progress.units = 3
        assert was_cut.wait(60)

    serve(['{"cell": "stuck", "seconds": 0.01}'], told.append, {"stuck": stuck}, leave=was_cut.set)

    assert told[0]["units"] == 3
    assert told[0]["complete"] is False


@pytest.mark.loopback
def test_units_that_are_done_bear_only_their_share_of_what_was_done_for_all() -> None:
    was_cut = Event()
    told: Told = []

    def half(progress: Progress) -> None:
        progress.begin()
        Event().wait(0.05)  # for ten units together
        progress.enqueued(10)
        assert was_cut.wait(60)

    def cut(answer: Mapping[str, object]) -> None:
        told.append(answer)
        was_cut.set()

    half(Progress(0.06, cut))

    seconds = told[0]["seconds"]
    assert isinstance(seconds, float)
    assert seconds < 0.05, "no unit was done, so none bears a share of the 0.05 s"


# -- our end


def peer_that(tmp_path: Path, does: str) -> PeerProcess:
    """A process that stands in for the peer's Python, whatever it is asked to run."""
    script = tmp_path / "python"
    script.write_text(f"#!{sys.executable}\nimport json, sys\n" + textwrap.dedent(does))
    script.chmod(0o755)
    return PeerProcess(script, 20.0, tmp_path / "peer.log")


ECHO = """
    print(json.dumps({"ready": "1"}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        complete = request["cell"] != "long"
        print(json.dumps({"units": request["n"], "seconds": request["seconds"], "complete": complete}), flush=True)
        if not complete:
            break
"""


@pytest.mark.loopback
def test_a_cell_is_asked_for_by_name_with_its_time_and_its_parameters(tmp_path: Path) -> None:
    with peer_that(tmp_path, ECHO) as peer:
        sample = peer.measure("short", {"n": 5})

    assert (sample.units, sample.amount, sample.complete) == (5, 20.0, True)


@pytest.mark.loopback
def test_after_a_cell_was_cut_the_next_gets_a_process_of_its_own(tmp_path: Path) -> None:
    with peer_that(tmp_path, ECHO) as peer:
        cut = peer.measure("long", {"n": 1})
        done = peer.measure("short", {"n": 2})

    assert (cut.complete, done.complete) == (False, True)


@pytest.mark.loopback
def test_a_peer_that_has_ended_before_it_is_asked_is_told_by_what_it_said_last(tmp_path: Path) -> None:
    does = """print('{"ready": "1"}'); print('{"error": "KeyError: 1"}'); sys.stdout.flush(); os.close(0)"""
    with peer_that(tmp_path, f"import os; {does}") as peer, pytest.raises(PeerUnavailable, match="KeyError: 1"):
        peer.measure("any", {"padding": "x" * 200_000})  # more than a pipe holds: writing meets the closed end


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("does", "why"),
    [
        ("sys.exit('no such module')", "ended with exit code 1"),
        ("""print('{"ready": "1"}'); print('{"error": "KeyError: 1"}')""", "could not measure: KeyError: 1"),
    ],
)
def test_a_peer_that_gives_no_figure_is_told_with_its_log(tmp_path: Path, does: str, why: str) -> None:
    with peer_that(tmp_path, does) as peer, pytest.raises(PeerUnavailable, match=why) as raised:
        peer.measure("any", {})

    assert "peer.log" in str(raised.value)


@pytest.mark.loopback
def test_the_peers_side_needs_nothing_of_this_environment_and_says_if_the_peer_is_not_there(tmp_path: Path) -> None:
    """Here it does not find the peer; that it comes so far shows that it finds itself."""
    with PeerProcess(Path(sys.executable), 20.0, tmp_path / "peer.log") as peer, pytest.raises(PeerUnavailable):
        peer.measure("dispatch", {})

    assert "No module named 'data_designer'" in tmp_path.joinpath("peer.log").read_text()


# -- the environment


def test_an_environment_is_made_once(tmp_path: Path) -> None:
    made: list[Path] = []

    def install(folder: Path, log: Path) -> None:
        folder.mkdir()
        made.append(folder)

    first = peer_python(tmp_path, lambda _: None, install)
    second = peer_python(tmp_path, lambda _: None, install)

    assert first == second
    assert first.is_relative_to(made[0])
    assert len(made) == 1


def test_an_environment_that_was_left_half_made_is_made_anew(tmp_path: Path) -> None:
    attempts: list[Path] = []

    def install(folder: Path, log: Path) -> None:
        attempts.append(folder)
        folder.mkdir(exist_ok=True)
        if len(attempts) == 1:
            raise OSError("the disk is full")

    with pytest.raises(PeerUnavailable, match="the disk is full"):
        peer_python(tmp_path, lambda _: None, install)
    peer_python(tmp_path, lambda _: None, install)

    assert len(attempts) == 2


def test_what_pip_said_is_told_in_one_line(tmp_path: Path) -> None:
    def install(folder: Path, log: Path) -> None:
        log.write_text("Collecting it\nERROR: No matching distribution found\n\n[notice] a new release of pip\n")
        raise CalledProcessError(1, ["pip"])

    with pytest.raises(PeerUnavailable) as raised:
        peer_python(tmp_path, lambda _: None, install)

    assert "could not be installed: ERROR: No matching distribution found" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_environments_are_kept_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert cache_folder() == tmp_path / "penstock" / "bench"

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))

    assert cache_folder() == tmp_path / ".cache" / "penstock" / "bench"
