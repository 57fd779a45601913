"""Our end of the pipe to the competitor's process, with a competitor that is made up."""

from __future__ import annotations

import shlex
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock_bench.competitor.client import CompetitorProcess
from penstock_bench.competitor.environment import CompetitorUnavailable

pytestmark = pytest.mark.loopback

Make = Callable[[str], CompetitorProcess]


@pytest.fixture
def competitor_that(tmp_path: Path) -> Make:
    """A process that stands in for the competitor's Python, whatever it is asked to run."""

    def make(does: str) -> CompetitorProcess:
        script, body = tmp_path / "python", tmp_path / "body.py"
        body.write_text("import json, sys\n" + textwrap.dedent(does), encoding="utf-8")
        python, program = shlex.quote(sys.executable), shlex.quote(str(body))  # a path after #! may have no spaces
        script.write_text(f'#!/bin/sh\nexec {python} {program} "$@"\n', encoding="utf-8")
        script.chmod(0o755)
        return CompetitorProcess(script, 20.0, tmp_path / "competitor.log")

    return make


ECHO = """
    print(json.dumps({"ready": "1"}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        complete = request["cell"] != "long"
        print(json.dumps({"units": request["n"], "seconds": request["seconds"], "complete": complete}), flush=True)
        if not complete:
            break
"""


def test_a_cell_is_asked_for_by_name_with_its_time_and_its_parameters(competitor_that: Make) -> None:
    with competitor_that(ECHO) as competitor:
        sample = competitor.measure("short", {"n": 5})

    assert (sample.units, sample.amount, sample.complete) == (5, 20.0, True)


def test_after_a_cell_was_cut_the_next_gets_a_process_of_its_own(competitor_that: Make) -> None:
    with competitor_that(ECHO) as competitor:
        cut = competitor.measure("long", {"n": 1})
        done = competitor.measure("short", {"n": 2})

    assert (cut.complete, done.complete) == (False, True)


def test_a_competitor_that_has_ended_before_it_is_asked_is_known_by_what_it_said_last(competitor_that: Make) -> None:
    does = """print('{"ready": "1"}'); print('{"error": "KeyError: 1"}'); sys.stdout.flush(); os.close(0)"""
    with competitor_that(f"import os; {does}") as competitor, pytest.raises(CompetitorUnavailable, match="KeyError: 1"):
        competitor.measure("any", {"padding": "x" * 200_000})  # more than a pipe holds: writing meets the closed end


@pytest.mark.parametrize(
    ("does", "why"),
    [
        ("sys.exit('no such module')", "ended with exit code 1"),
        ("""print('{"ready": "1"}'); print('{"error": "KeyError: 1"}')""", "could not measure: KeyError: 1"),
    ],
)
def test_a_competitor_that_gives_no_figure_is_reported_with_its_log(competitor_that: Make, does: str, why: str) -> None:
    with competitor_that(does) as competitor, pytest.raises(CompetitorUnavailable, match=why) as raised:
        competitor.measure("any", {})

    assert "competitor.log" in str(raised.value)


def test_the_competitors_side_needs_nothing_of_this_environment_and_says_if_the_competitor_is_not_there(
    tmp_path: Path,
) -> None:
    """Here it does not find the competitor; that it comes so far shows that it finds itself."""
    with (
        CompetitorProcess(Path(sys.executable), 20.0, tmp_path / "competitor.log") as competitor,
        pytest.raises(CompetitorUnavailable),
    ):
        competitor.measure("dispatch", {})

    assert "No module named 'data_designer'" in tmp_path.joinpath("competitor.log").read_text(encoding="utf-8")
