"""A budget over whole runs: it stops before it is passed, and the next run with a higher one goes on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from penstock_batch.command import check_command, run_command
from penstock_batch.store.reading import StoreReader
from penstock_batch.store.spent import spent_of

if TYPE_CHECKING:
    from contrib.batch.tests.conftest import Folder, Provider
    from contrib.batch.tests.running.conftest import Scripted

pytestmark = pytest.mark.loopback

PIPELINE = """
[input]
path = "rows.jsonl"
[output]
path = "out/answers.jsonl"
[batch]
budget = BUDGET
row_group_size = 10
rows_in_flight = 20
[[steps]]
name = "summary"
kind = "chat"
model = "p/writer"
prompt = "{{ text }}"
PARAMS
[providers.p]
base_url = "BASE_URL"
[providers.p.models.writer]
max_parallel_requests = 8
price = { input = 0, output = 1_000_000 }
"""
ROWS = 60


def begun(folder: Folder, budget: float, *, params: str = "params = { max_tokens = 20 }", rows: int = ROWS) -> None:
    folder.rows(rows)
    folder.write(("BUDGET", str(budget)), ("PARAMS", params), toml=PIPELINE)


def run(folder: Folder) -> int:
    return run_command(folder.toml, limit=None, overwrite=False, plugins=(), progress="none")


def cost(folder: Folder) -> float:
    """What the answers in the output have cost: a token of output costs 1."""
    with StoreReader(folder.store) as reader:
        return spent_of(reader.ask).cost


def test_a_budget_stops_the_run_before_it_is_passed(
    served: Folder, provider: Provider, capsys: pytest.CaptureFixture[str]
) -> None:
    begun(served, 100.0)
    before = provider.completed("writer")
    assert run(served) == 1
    called = provider.completed("writer") - before
    assert 0 < cost(served) <= 100.0
    assert cost(served) + 20 > 100.0  # another call might have passed it
    assert called == len(served.answers())
    assert len(served.failed()) == ROWS - called
    assert {line["error"] for line in served.failed()} == {"not called, the budget of 100 is spent"}
    said = capsys.readouterr().out
    assert f"{ROWS - called} × summary: not called, the budget of 100 is spent" in said
    assert "budget: 100.00, of which " in said
    assert "more than there was" not in said


def test_the_next_run_with_a_higher_budget_goes_on_and_pays_for_nothing_twice(
    served: Folder, provider: Provider
) -> None:
    begun(served, 100.0)
    before = provider.completed("writer")
    assert run(served) == 1
    begun(served, 150.0)
    assert run(served) == 1
    assert 100.0 < cost(served) <= 150.0
    begun(served, 10_000.0)
    assert run(served) == 0
    assert provider.completed("writer") - before == ROWS
    assert len(served.answers()) == ROWS


def test_a_budget_that_is_spent_calls_nothing(served: Folder, provider: Provider) -> None:
    begun(served, 100.0)
    assert run(served) == 1
    before = provider.arrived("writer")
    begun(served, cost(served))
    assert run(served) == 1
    assert provider.arrived("writer") == before


def test_without_max_tokens_it_may_be_passed_by_little_and_that_is_told(
    served: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    begun(served, 100.0, params="")
    assert check_command(served.toml, plugins=()) == 0
    assert "summary has none: there it is 1.5 times the largest answer so far" in capsys.readouterr().out
    assert run(served) == 1
    # All answers of this provider are of about one length, so 1.5 times the largest is enough for each.
    assert 0 < cost(served) <= 100.0


def test_steps_that_cost_nothing_go_on(served: Folder) -> None:
    begun(served, 100.0)
    toml = served.toml.read_text(encoding="utf-8").replace(
        "[providers.p]\n",
        '[[steps]]\nname = "length"\nkind = "python"\nfunction = "len:length"\nneeds = ["text"]\n[providers.p]\n',
    )
    served.toml.write_text(toml, encoding="utf-8")
    (served.path / "len.py").write_text("def length(text):\n    return len(text)\n", encoding="utf-8")
    assert run(served) == 1
    assert served.answers()
    assert all(answer["length"] == len(answer["text"]) for answer in served.answers())


def test_a_call_that_is_too_dear_costs_its_row_alone(served: Folder) -> None:
    begun(served, 1000.0)
    toml = served.toml.read_text(encoding="utf-8").replace("input = 0, output", "input = 10_000, output")
    served.toml.write_text(toml, encoding="utf-8")
    large = json.dumps({"id": 99, "text": "x " * 1_000_000})
    small = [json.dumps({"id": i, "text": f"Row {i} is about gate number {i}."}) for i in range(8)]
    served.lines(*small[:4], large, *small[4:])
    assert run(served) == 1
    assert [line["error"] for line in served.failed()] == [
        "not called, it may cost more than the budget of 1000 leaves"
    ]
    assert len(served.answers()) == 8


def test_what_answers_cost_is_told(served: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    begun(served, 10_000.0)
    assert run(served) == 0
    said = capsys.readouterr().out
    assert f"cost: {cost(served):,.2f}" in said
    assert f"{cost(served) / ROWS:,.2f} each" in said


def test_what_answers_have_cost_that_cannot_be_used_is_spent_in_all_runs(folder: Folder, scripted: Scripted) -> None:
    scripted.answer = lambda messages: ("", None)
    begun(folder, 100.0, rows=2)
    for _ in range(2):
        assert run(folder) == 1
        assert folder.cells() == []
        assert cost(folder) == 5.0 * len(scripted.bodies) > 0
