"""The figures of `penstock bench sockets`, and who is said to be better."""

from __future__ import annotations

import pytest

from penstock_bench.reporting.console import verdict_of
from penstock_bench.sockets.cells import CELLS
from penstock_bench.sockets.command import SocketOptions, sockets_command
from penstock_bench.sockets.reasons import HAMMERS, KNOWS_RATE, SLOWER
from penstock_bench.sockets.results import CellOutcome, SocketRun, fairness
from penstock_bench.sockets.tables import sockets_markdown, unexplained

SLOTS = next(cell for cell in CELLS if cell.name == "slots")
BLIND = next(cell for cell in CELLS if cell.name == "rpm-blind")
TENANTS = next(cell for cell in CELLS if cell.name == "tenants")


def one_after_the_other(*tenants: tuple[str, int]) -> list[tuple[float, str]]:
    done = [name for name, calls in tenants for _ in range(calls)]
    return [(float(at), name) for at, name in enumerate(done)]


def test_fairness_is_one_for_equal_shares_and_a_half_for_one_tenant_alone() -> None:
    in_turns = [(float(at), "ab"[at % 2]) for at in range(300)]

    assert fairness(TENANTS, in_turns) == pytest.approx(1.0, abs=0.01)
    assert fairness(TENANTS, one_after_the_other(("a", 450), ("b", 150))) == pytest.approx(0.5)
    assert fairness(SLOTS, in_turns) is None


def run(seconds: float, refused: int, fair: float | None = None, *, done: int = 600) -> SocketRun:
    return SocketRun(seconds, refused, fair, complete=done == 600, done=done)


def test_who_is_faster_or_refused_less_is_named() -> None:
    found = CellOutcome(SLOTS, {"penstock": [run(20.0, 30)], "tenacity": [run(10.0, 3)]}).better()

    assert [(figure, who) for figure, who, _ in found] == [("time", "tenacity"), ("429s", "tenacity")]
    assert "took 20.0 s, semaphore + tenacity 10.0 s" in found[0][2]


def test_who_does_not_finish_is_not_faster() -> None:
    outcome = CellOutcome(SLOTS, {"penstock": [run(20.0, 0)], "peer": [run(10.0, 5, done=170)]})

    assert outcome.better() == []
    assert "| only 170 calls" in sockets_markdown([outcome])


def rpm(**contenders: SocketRun) -> CellOutcome:
    """The cell without headers, where ours took 20 s, with 14 429s."""
    return CellOutcome(BLIND, {"penstock": [run(20.0, 14)], **{name: [one] for name, one in contenders.items()}})


REASONS = {
    "told the rate, faster": (rpm(aiolimiter=run(14.5, 20)), KNOWS_RATE),
    "told the rate, refused less": (rpm(aiolimiter=run(19.5, 10)), KNOWS_RATE),
    "hammers, with the SDK": (rpm(openai=run(14.3, 1400)), HAMMERS),
    "hammers, with tenacity": (rpm(tenacity=run(17.4, 120)), HAMMERS),
    "slower, refused less": (rpm(peer=run(51.5, 13)), SLOWER),
    "never done, refused less": (rpm(peer=run(120.0, 13, done=300)), SLOWER),
}


@pytest.mark.parametrize("case", REASONS)
def test_where_ours_is_not_the_best_the_table_says_why_and_that_is_no_miss(case: str) -> None:
    outcome, why = REASONS[case]

    note = sockets_markdown([outcome]).splitlines()[-1]

    assert note.startswith("- rpm-blind: Penstock ")
    assert note.endswith(f": {why}")
    assert unexplained([outcome]) == []


@pytest.mark.parametrize(
    "outcome",
    [
        rpm(tenacity=run(17.4, 110)),
        rpm(peer=run(29.0, 13)),
        CellOutcome(BLIND, {"penstock": [run(31.5, 14)], "aiolimiter": [run(14.5, 20)]}),
        CellOutcome(BLIND, {"penstock": [run(120.0, 14, done=599)], "openai": [run(14.5, 1400)]}),
    ],
    ids=["few 429s", "not much slower", "ours is too slow", "ours is never done"],
)
def test_a_reason_that_does_not_hold_explains_nothing(outcome: CellOutcome) -> None:
    assert sockets_markdown([outcome]).endswith(": NOT EXPLAINED")
    assert verdict_of(unexplained([outcome])) == 1


def test_what_nothing_explains_is_said_in_the_table_and_is_a_miss(capsys: pytest.CaptureFixture[str]) -> None:
    less_fair = {"penstock": [run(9.0, 1, 0.7)], "tenacity": [run(15.0, 200, 0.9)]}
    outcome = CellOutcome(TENANTS, less_fair)

    assert (
        sockets_markdown([outcome])
        .splitlines()[-1]
        .endswith("tenants: Penstock's fairness is 0.70, that of semaphore + tenacity 0.90: NOT EXPLAINED")
    )
    assert verdict_of(unexplained([outcome])) == 1
    assert capsys.readouterr().err.startswith("missed: tenants: Penstock's fairness is 0.70")


@pytest.mark.loopback
def test_penstock_alone_needs_no_other_environment(capsys: pytest.CaptureFixture[str]) -> None:
    options = SocketOptions(quick=True, only=("slots",), contender=("penstock",), check=True)

    assert sockets_command(options) == 0
    assert "| Penstock" in capsys.readouterr().out
