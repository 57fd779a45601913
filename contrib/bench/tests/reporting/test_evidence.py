"""Every artifact of every bench has evidence by the schema that is published, and what the schema forbids is found."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import jsonschema
import pytest
import trio
from click.testing import Result

import penstock
from penstock import AsyncCapacityPlan, CapacityValue, ConfiguredCapacity, ObservedMaxima, RuntimeCapacity
from penstock_bench import Outcome, Row, Sizes, Target
from penstock_bench.command import BENCHES, Options, measure_rows, report
from penstock_bench.measuring.machine import facts
from penstock_bench.reporting.evidence import NO_RUN, Gate, evidence
from penstock_bench.sockets.cells import CELLS
from penstock_bench.sockets.command import SocketOptions, sockets_evidence
from penstock_bench.sockets.results import CellOutcome, SocketRun
from penstock_bench.sockets.tables import sockets_json
from penstock_bench.tasks.memory import Weighed
from penstock_bench.tasks.rows import tasks_rows

SCHEMA = Path(__file__).parents[4] / "docs" / "reference" / "bench-evidence.schema.json"
SCENARIO = """
[easy]
latency = { mean = 1.0, sigma = 0.2 }
cap = 4
calls = 20
provider = { slots = 4 }
ideal = 5.0
must = { goodput = 0.5, refused = 0.0 }

[hard]
latency = { mean = 1.0, sigma = 0.2 }
cap = 4
calls = 20
provider = { slots = 2, retry_after = 1.0 }
ideal = 10.0
must = { refused = 0.0 }
"""


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft202012Validator:
    found = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


def rows_of(bench: str, sizes: Sizes) -> list[Row]:
    if bench == "tasks":
        return tasks_rows(sizes, lambda what, tasks: Weighed(tasks, 1000, 1000 + 500 * tasks, 1010))
    return BENCHES[bench](sizes)


def written(folder: Path, bench: str) -> Any:
    return json.loads(folder.joinpath(f"{bench}.json").read_text(encoding="utf-8"))


# ------------------------------------------------------------------------------------------------- every bench


@pytest.mark.parametrize("bench", BENCHES)
def test_a_bench_of_rows_writes_evidence(
    bench: str, tiny: Sizes, tmp_path: Path, schema: jsonschema.Draft202012Validator
) -> None:
    row = rows_of(bench, tiny)[0]
    measure_rows(bench, [attrs.evolve(row, other=None)], [], Options(rounds=1, out=tmp_path, without_peer=True), 1.0)
    found = written(tmp_path, bench)
    schema.validate(found)
    told = found["evidence"]
    assert (told["bench"], told["seeds"], told["gates"], told["passed"]) == (bench, [0], [], None)
    if bench in ("tasks", "requests"):
        (plan,) = told["capacity_plans"].values()
        sources = {value["source"] for value in plan["configured"]["request_admission_config"].values()}
        assert "run_config" not in sources, "what a bench configures is told as such"
        assert told["capacity_missing_reason"] is None
    else:
        assert told["capacity_plans"] == {}
        assert told["capacity_missing_reason"] == NO_RUN


def test_the_gateway_bench_writes_evidence_with_the_gates_that_were_passed_and_not(
    outcome: Callable[..., Outcome], tmp_path: Path, schema: jsonschema.Draft202012Validator
) -> None:
    def wants(row: str) -> Target:
        return Target(bench="gateway", row=row, figure="ratio", at_least=6, source="page", says="so much")

    outcomes = [outcome("slow", ratio=(5.0,)), outcome("fast", ratio=(9.0,)), outcome("lone")]
    told = facts(bench="gateway", rounds=1, shortened=True, competitor=None, competitor_cap=1.0)
    report("gateway", told, outcomes, [wants("slow"), wants("fast"), wants("lone")], Options(out=tmp_path))
    found = written(tmp_path, "gateway")
    schema.validate(found)
    gates = {gate["name"]: (gate["value"], gate["passed"]) for gate in found["evidence"]["gates"]}
    assert gates == {"slow: ratio": (5.0, False), "fast: ratio": (9.0, True), "lone: ratio": (None, None)}
    assert found["evidence"]["passed"] is False
    assert found["evidence"]["shortened"] is True


def test_scenarios_write_evidence_with_their_seeds_and_a_plan_for_each(
    bench: Callable[..., Result], tmp_path: Path, schema: jsonschema.Draft202012Validator
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(SCENARIO, encoding="utf-8")
    arguments = ("--file", str(file), "--seeds", "3-4", "--jobs", "1", "--out", str(tmp_path))
    assert bench("scenarios", *arguments).exit_code == 0
    found = written(tmp_path, "scenarios")
    schema.validate(found)
    told = found["evidence"]
    assert told["seeds"] == [3, 4]
    assert {gate["name"]: gate["passed"] for gate in told["gates"]} == {
        "easy: goodput": True,
        "easy: refused": True,
        "hard: refused": False,
    }
    assert told["passed"] is False
    assert told["capacity_plans"].keys() == {"easy", "hard"}
    easy = told["capacity_plans"]["easy"]
    assert [*easy["observed_maxima"]["aggregate_in_flight"].values()] == [4]
    assert [value["source"] for value in easy["configured"]["provider_model_static_caps"].values()] == [
        "benchmark_override"
    ]


def test_the_bench_over_sockets_writes_evidence_with_a_gate_for_each_provider(
    schema: jsonschema.Draft202012Validator,
) -> None:
    slots = next(cell for cell in CELLS if cell.name == "slots")
    run = SocketRun(10.0, 3, None, complete=True, done=600)
    slow = SocketRun(30.0, 3, None, complete=True, done=600)
    outcomes = [CellOutcome(slots, {"penstock": [ours], "tenacity": [run]}) for ours in (run, slow)]
    told = sockets_evidence(outcomes, SocketOptions(rounds=2))
    schema.validate(json.loads(sockets_json({"bench": "sockets", "evidence": told}, outcomes)))
    assert [gate["passed"] for gate in told["gates"]] == [True, False]  # type: ignore[attr-defined]
    assert (told["passed"], told["seeds"]) == (False, [0, 1])


# ------------------------------------------------------------------------------------------------- the schema


def test_the_schema_has_the_fields_of_the_plans_records() -> None:
    definitions = json.loads(SCHEMA.read_text(encoding="utf-8"))["$defs"]
    plan = definitions["capacity_plan"]["properties"]
    for record, told in (
        (AsyncCapacityPlan, plan),
        (ConfiguredCapacity, plan["configured"]["properties"]),
        (RuntimeCapacity, plan["runtime_snapshot"]["properties"]),
        (ObservedMaxima, plan["observed_maxima"]["properties"]),
        (CapacityValue, definitions["capacity_value"]["properties"]),
    ):
        assert list(told) == [field.name for field in attrs.fields(record)], record.__name__


@pytest.fixture(scope="module")
def artifact() -> Any:
    async def plan() -> AsyncCapacityPlan:
        async with penstock.open_scheduler(
            {"providers": {"p": {"models": {"m": {"max_parallel_requests": 2}}}}}
        ) as run:
            return run.capacity_plan()

    gate = Gate(name="r: ratio", bound="≥ 6 ×", value=7.0, passed=True)
    return {"bench": "tasks", "evidence": evidence("tasks", [gate], {"r": trio.run(plan)}, seeds=[0], shortened=False)}


DAMAGE: dict[str, Callable[[Any], object]] = {
    "no evidence": lambda found: found.pop("evidence"),
    "another version": lambda found: found["evidence"].update(schema_version=2),
    "no machine": lambda found: found["evidence"].pop("machine"),
    "a gate without a word on it": lambda found: found["evidence"]["gates"][0].pop("passed"),
    "an unknown figure without a reason": lambda found: found["evidence"]["gates"][0].update(value=None),
    "a commit that is none": lambda found: found["evidence"]["commit"].update(id="main", changed=False),
    "an unknown bench": lambda found: found["evidence"].update(bench="speed"),
    "a source that there is not": lambda found: configured(found)["submission_capacity"].update(source="a guess"),
    "an unknown value without a reason": lambda found: configured(found)["submission_capacity"].update(value=None),
    "a known value with a reason": lambda found: configured(found)["submission_capacity"].update(missing_reason="?"),
    "what was observed among the configured": lambda found: configured(found).update(row_groups_in_flight=3),
    "a part too few": lambda found: found["evidence"]["capacity_plans"]["r"].pop("observed_maxima"),
    "less than nothing": lambda found: found["evidence"]["capacity_plans"]["r"]["observed_maxima"].update(
        queued_by_group={"a": -1}
    ),
}


def configured(found: Any) -> Any:
    return found["evidence"]["capacity_plans"]["r"]["configured"]


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_the_schema_forbids_is_found(damage: str, artifact: Any, schema: jsonschema.Draft202012Validator) -> None:
    found = json.loads(json.dumps(artifact))
    schema.validate(found)
    DAMAGE[damage](found)
    with pytest.raises(jsonschema.ValidationError):
        schema.validate(found)


def test_outside_of_a_checkout_there_is_no_commit_and_the_reason_is_told(
    monkeypatch: pytest.MonkeyPatch, schema: jsonschema.Draft202012Validator
) -> None:
    def no_git(*given: object, **options: object) -> None:
        raise subprocess.CalledProcessError(128, "git")

    monkeypatch.setattr(subprocess, "run", no_git)
    told = evidence("worker", [], {}, seeds=[], shortened=False)
    schema.validate({"bench": "worker", "evidence": told})
    assert told["commit"]["id"] is None
    assert "checkout" in told["commit"]["missing_reason"]
