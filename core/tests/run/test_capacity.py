"""What limits a run: who says each figure, what holds at a moment, and what was seen at most."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from click.testing import CliRunner
from trio.testing import MockClock

import penstock
from penstock import (
    AsyncCapacityPlan,
    CapacityValue,
    ConfigError,
    PenstockConfig,
    ResponseFacts,
    RuntimeCorrelation,
    load_config,
    structure,
)
from penstock.cli.main import cli

CONFIG: Mapping[str, Any] = {
    "scheduler": {"submission_capacity": 3, "resources": {"gpu": 2}, "admitted_limits": {"local/a": 1}},
    "requests": {"max_attempts": 2},
    "providers": {
        "acme": {
            "models": {
                "small": {"max_parallel_requests": 4, "domain_caps": {"embedding": 2}},
                "fast": {"max_parallel_requests": 9, "model": "small"},
            }
        }
    },
    "plugins": {"request_limiters": ["cooldown", "aimd"], "aimd": {"initial_limit": 2, "startup_ramp_seconds": 0.0}},
}
MODEL = "providers.acme.models.small"


async def work() -> None:
    async with penstock.request("acme/small") as attempt:
        await trio.sleep(1)
        attempt.answered(ResponseFacts(status=200))


def said(value: CapacityValue) -> tuple[object, str]:
    return value.value, value.source


async def test_in_the_middle_each_figure_is_told_with_who_says_it_and_what_is_seen_stands_apart(
    autojump_clock: MockClock,
) -> None:
    async with penstock.open_scheduler(CONFIG, run_id="r") as scheduler:
        for _ in range(5):
            scheduler.start_soon(work, group="a")
        scheduler.start_soon(trio.sleep, 1, group="b", needs={"gpu": 2})
        await trio.sleep(0.5)
        plan = scheduler.capacity_plan()
    configured, now, seen = plan.configured, plan.runtime_snapshot, plan.observed_maxima

    assert (plan.run_id, plan.generation) == ("r", 1)
    assert said(configured.submission_capacity) == (3, "run_config")
    assert configured.submission_capacity.where == "the program's configuration: scheduler.submission_capacity"
    assert said(configured.task_resource_limits["gpu"]) == (2, "run_config")
    assert said(configured.group_admitted_limits["local/a"]) == (1, "run_config")
    cap = configured.provider_model_static_caps["acme/small"]
    assert said(cap) == (4, "run_config")
    assert cap.where.endswith(f"{MODEL}.max_parallel_requests, the smallest of 2 names of this model")
    assert said(configured.request_resources["acme/small/chat"]) == (4, "run_config")
    assert configured.request_resources["acme/small/chat"].fallback_from == f"{MODEL}.domain_caps.chat"
    assert said(configured.request_resources["acme/small/embedding"]) == (2, "run_config")
    assert configured.request_resources["acme/small/embedding"].where.endswith(f"{MODEL}.domain_caps.embedding")
    assert said(configured.request_domain_initial_limits["acme/small/chat"]) == (2, "run_config")
    admission = configured.request_admission_config
    assert said(admission["requests.max_attempts"]) == (2, "run_config")
    assert said(admission["requests.retry_backoff"]) == (1.0, "default")
    assert admission["requests.retry_backoff"].fallback_from == "requests.retry_backoff"
    assert said(admission["plugins.aimd.initial_limit"]) == (2, "run_config")
    assert said(admission["plugins.aimd.additive_increase_step"])[1] == "default"
    assert configured.plugins.value == ["strict-fair", "cooldown", "aimd"]

    assert now.current_limits == {"acme/small/embedding": 2, "acme/small/chat": 2}
    assert now.effective_maxima == {"acme/small/embedding": 2, "acme/small/chat": 4}
    assert now.blocked_until == {}
    assert now.task_leases == {"submission": 3, "gpu": 2}
    assert now.aggregate_in_flight == {"acme/small": 2}

    assert seen.task_leases_by_resource == {"submission": 3, "gpu": 2}
    assert seen.queued_by_group == {"local/a": 5, "local/b": 1}
    assert seen.aggregate_in_flight == {"acme/small": 2}
    assert seen.request_in_flight_by_resource == {"acme/small/chat": 2, "acme/small/embedding": 0}
    assert seen.highest_current_limits["acme/small/chat"] == 2


async def test_after_the_end_the_most_is_still_told_and_nothing_holds_any_more(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(CONFIG) as scheduler:
        for _ in range(3):
            scheduler.start_soon(work)
    plan = scheduler.capacity_plan()
    assert plan.runtime_snapshot.task_leases == {"submission": 0, "gpu": 0}
    assert plan.runtime_snapshot.aggregate_in_flight == {"acme/small": 0}
    assert plan.observed_maxima.task_leases_by_resource == {"submission": 3, "gpu": 0}
    assert plan.observed_maxima.aggregate_in_flight == {"acme/small": 2}
    assert plan.observed_maxima.request_waiters_by_resource["acme/small/chat"] == 1
    assert ("tasks at a time", "3 of 3") in plan.reached
    assert ("acme/small/chat: the limit that its limiters set", "2 of 2") in plan.reached


async def test_without_a_provider_nothing_is_made_up(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(None) as scheduler:
        plan = scheduler.capacity_plan()
    configured = plan.configured
    assert said(configured.submission_capacity) == (1024, "default")
    assert configured.submission_capacity.fallback_from == "scheduler.submission_capacity"
    assert configured.request_resources == configured.provider_model_static_caps == {}
    assert plan.observed_maxima.aggregate_in_flight == plan.runtime_snapshot.current_limits == {}
    assert plan.observed_maxima.row_groups_in_flight is None
    assert plan.observed_maxima.missing.keys() == {"row_groups_in_flight", "transport_use"}
    assert plan.reached == []


async def test_no_figure_that_is_not_known_is_told_as_a_number(autojump_clock: MockClock) -> None:
    def values(found: object) -> list[Mapping[str, Any]]:
        if isinstance(found, Mapping) and "missing_reason" in found:
            return [found]
        return [each for below in found.values() for each in values(below)] if isinstance(found, Mapping) else []

    async with penstock.open_scheduler(CONFIG) as scheduler:
        found = values(scheduler.capacity_plan().as_dict()["configured"])
    assert len(found) > 30
    for value in found:
        assert (value["value"] is None) == bool(value["missing_reason"])
        assert value["fallback_from"] if value["source"] == "default" else value["where"] or value["missing_reason"]


async def test_a_cooldown_is_told_with_its_moment(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(CONFIG) as scheduler:
        async with scheduler.requests.attempt("acme/small") as attempt:
            attempt.answered(ResponseFacts(status=429, headers={"retry-after": "30"}))
        now = scheduler.capacity_plan().runtime_snapshot
        assert now.blocked_until["acme/small/chat"] >= now.captured_at + 30
        assert "acme/small/chat: cooling down" in str(scheduler.capacity_plan())


async def test_what_the_program_registers_by_itself_is_told_as_such(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(None) as scheduler:
        scheduler.requests.register("own", "model", cap=7)
        unused = scheduler.capacity_plan().configured
        async with penstock.request("own/model"):
            used = scheduler.capacity_plan().configured
    assert said(unused.provider_model_static_caps["own/model"]) == (7, "runtime_snapshot")
    assert unused.request_domain_initial_limits["own/model"].value is None
    assert "first call" in str(unused.request_domain_initial_limits["own/model"].missing_reason)
    assert used.request_domain_initial_limits.keys() == {"own/model/chat"}


async def test_a_duration_is_told_with_its_unit(autojump_clock: MockClock) -> None:
    durations = {"queue_wait_timeout": 30, "unpaid_timeout": 1e9}
    async with penstock.open_scheduler({**CONFIG, "requests": durations}) as scheduler:
        text = str(scheduler.capacity_plan())
    assert re.search(r"requests\.queue_wait_timeout +30 s ", text)
    assert re.search(r"requests\.unpaid_timeout +no end ", text)


async def test_where_no_limiter_is_asked_the_cap_is_the_limit(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler({**CONFIG, "plugins": {"request_limiters": []}}) as scheduler:
        scheduler.start_soon(work)
        await trio.sleep(0.5)
        plan = scheduler.capacity_plan()
    began = plan.configured.request_domain_initial_limits["acme/small/chat"]
    assert said(began) == (4, "run_config")
    assert began.fallback_from == "plugins.request_limiters"
    assert plan.observed_maxima.highest_current_limits["acme/small/chat"] == 4


async def test_a_reconfiguration_changes_who_says_a_figure_and_what_was_seen_stays(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    file = tmp_path / "second.toml"
    file.write_text("[scheduler]\nsubmission_capacity = 2\n[requests]\nmax_attempts = 9\n", encoding="utf-8")
    async with penstock.open_scheduler({"requests": {"retry_backoff": 2.0}}) as scheduler:
        for _ in range(6):
            scheduler.start_soon(trio.sleep, 1)
        await trio.sleep(0.5)
        before = scheduler.capacity_plan()
        scheduler.reconfigure(file)
        after = scheduler.capacity_plan()
        scheduler.cancel()
    assert said(before.configured.submission_capacity) == (1024, "default")
    assert said(after.configured.submission_capacity) == (2, "run_config")
    where = f"{file}: scheduler.submission_capacity, by reconfiguration 1"
    assert after.configured.submission_capacity.where == where
    assert after.generation == 2
    assert said(before.configured.request_admission_config["requests.retry_backoff"]) == (2.0, "run_config")
    assert said(after.configured.request_admission_config["requests.retry_backoff"]) == (1.0, "default")
    assert after.observed_maxima.task_leases_by_resource["submission"] == 6
    assert after.runtime_snapshot.task_leases["submission"] == 6


async def test_what_the_program_changed_is_not_told_as_the_files(autojump_clock: MockClock) -> None:
    read = load_config({"scheduler": {"submission_capacity": 8}}).config
    changed = attrs.evolve(read, scheduler=attrs.evolve(read.scheduler, submission_capacity=9, resources={"gpu": 1}))
    by_hand = PenstockConfig(scheduler=attrs.evolve(read.scheduler, submission_capacity=9))
    plans = []
    for config in (changed, by_hand):
        async with penstock.open_scheduler(config) as scheduler:
            plans.append(scheduler.capacity_plan().configured)
    assert said(plans[0].submission_capacity) == (9, "engine_internal_config")
    assert plans[0].submission_capacity.where.endswith("scheduler.submission_capacity says 8")
    assert said(plans[0].task_resource_limits["gpu"]) == (1, "engine_internal_config")
    assert said(plans[1].submission_capacity) == (9, "run_config"), "nobody knows who made the record"


async def test_a_program_says_what_else_bounds_its_run(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(None) as scheduler:
        rows = CapacityValue(100, "dataset_builder", where="job.toml: batch.rows")
        pools = {"acme": CapacityValue(32, "adapter_config", where="the client")}
        scheduler.declare_capacity(buffer_size=rows, transport_pool_limits=pools, transport_use=lambda: {"acme": 12})
        for name in ("1", "2"):
            correlation = RuntimeCorrelation(scheduler.run_id, row_group=name)
            scheduler.emit("row_group_admitted", correlation=correlation)
            scheduler.emit("row_group_admitted", correlation=correlation)
        scheduler.emit("row_group_checkpointed", correlation=RuntimeCorrelation(scheduler.run_id, row_group="1"))
        plan = scheduler.capacity_plan()
    assert plan.configured.buffer_size is rows
    assert plan.configured.transport_pool_limits == pools
    assert plan.observed_maxima.transport_use == {"acme": 12}
    assert plan.observed_maxima.row_groups_in_flight == 2
    assert plan.observed_maxima.missing == {}
    assert "connections of acme" in str(plan)


@pytest.mark.parametrize(
    ("figures", "wrong"),
    [
        ({"bufer_size": CapacityValue(1, "default")}, "did you mean 'buffer_size'"),
        ({"buffer_size": 100}, "buffer_size must be of the type CapacityValue"),
        ({"program": CapacityValue(1, "default")}, "program must be a mapping"),
        ({"program": {"": CapacityValue(1, "default")}}, "each name in program"),
        ({"program": {"a": 1}}, "program: a must be of the type CapacityValue"),
        ({"submission_capacity": CapacityValue(1, "default")}, "no 'submission_capacity'"),
        ({"transport_use": {"acme": 3}}, "transport_use must be a function"),
    ],
)
async def test_a_wrong_declaration_is_refused_whole(figures: Any, wrong: str, autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(None) as scheduler:
        fine: dict[str, Any] = {"row_group_admission": CapacityValue(5, "dataset_builder")}
        with pytest.raises(ConfigError, match=wrong):
            scheduler.declare_capacity(**fine, **figures)
        assert scheduler.capacity_plan().configured.row_group_admission.value is None


@pytest.mark.parametrize(
    ("use", "why"),
    [
        (lambda: 1 / 0, "what the program gave to tell raised ZeroDivisionError"),
        (lambda: {"acme": -1}, "the program does not tell it: connections must be a whole number from 0 on, not -1"),
        (lambda: None, "the program does not tell it: transport_use must be a mapping, such as {'acme': 12}, not None"),
        (lambda: {3: 4}, "the program does not tell it: a pool must be a non-empty string, not 3"),
    ],
)
async def test_a_count_of_connections_that_goes_wrong_is_not_known(
    use: Any, why: str, autojump_clock: MockClock
) -> None:
    async with penstock.open_scheduler(None) as scheduler:
        scheduler.declare_capacity(transport_use=use)
        seen = scheduler.capacity_plan().observed_maxima
    assert seen.transport_use == {}
    assert seen.missing["transport_use"] == why


@pytest.mark.parametrize(
    "given",
    [{"value": None, "source": "default"}, {"value": 1, "source": "default", "missing_reason": "it is not known"}],
)
def test_a_value_has_a_figure_or_a_reason_and_not_both(given: Any) -> None:
    with pytest.raises(ConfigError, match="one of the two"):
        CapacityValue(**given)


@pytest.mark.parametrize("value", [object(), float("nan"), float("inf"), [1, object()], {"a": 1}])
def test_a_value_is_what_json_has_a_number_or_text_for(value: object) -> None:
    with pytest.raises(ConfigError, match="must be a finite number, text or a list of these"):
        CapacityValue(value, "default")


async def test_names_and_figures_of_others_command_no_terminal(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(None) as scheduler:
        evil = CapacityValue("b\x1b[2J", "adapter_config", where="c\x1b[2J")
        scheduler.declare_capacity(program={"a\x1b[2J": evil})
        printed = str(scheduler.capacity_plan())
    assert "\x1b" not in printed
    assert "a\\x1b[2J" in printed


def test_a_source_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigError, match="must be one of default, run_config"):
        CapacityValue(1, "a guess")  # type: ignore[arg-type]


async def test_secrets_of_a_limiters_table_are_not_told(autojump_clock: MockClock) -> None:
    @attrs.frozen
    class Config:
        api_key: str = "sk-0123456789abcdef0123"
        limits: dict[str, int] = attrs.field(factory=lambda: {"day": 5})
        longest: float = math.inf
        kinds: list[object] = attrs.field(factory=lambda: ["a", 1, None])
        when: object = attrs.field(factory=object)

    class Costly:
        def __init__(self, config: Config) -> None: ...

        @penstock.hookimpl
        def penstock_request_limiter(self) -> None: ...

    Costly.Config = Config  # type: ignore[attr-defined]
    async with penstock.open_scheduler({"plugins": {"request_limiters": ["Costly"]}}, plugins=[Costly]) as scheduler:
        plan = scheduler.capacity_plan()
    admission = plan.configured.request_admission_config
    assert admission["plugins.Costly.api_key"].value == "(not shown)"
    assert admission["plugins.Costly.limits.day"].value == 5
    assert admission["plugins.Costly.longest"].value == "inf"
    assert admission["plugins.Costly.kinds"].value == ["a", 1, "NoneType"]
    assert admission["plugins.Costly.when"].value == "object"
    assert "sk-0123" not in json.dumps(plan.as_dict())


async def test_the_plan_is_json_and_can_be_read_again(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(CONFIG) as scheduler:
        scheduler.start_soon(work)
        await trio.sleep(0.5)
        plan = scheduler.capacity_plan()
    read: AsyncCapacityPlan = structure(json.loads(json.dumps(plan.as_dict())), AsyncCapacityPlan)
    assert read == plan


def test_a_file_is_explained_before_there_is_a_run(tmp_path: Path) -> None:
    file = tmp_path / "penstock.toml"
    file.write_text(
        "[providers.acme.models]\nsmall = { max_parallel_requests = 4 }\n[input]\npath = 'x'\n", encoding="utf-8"
    )
    shown = CliRunner().invoke(cli, ["explain", "--capacity", str(file)])
    assert shown.exit_code == 0
    assert f"{file}: what would limit a run" in shown.output
    assert f"acme/small: calls at a time  4      {file}: providers.acme.models.small" in shown.output
    assert "the most at once" not in shown.output, "nothing was seen yet"
    records = json.loads(CliRunner().invoke(cli, ["explain", "--capacity", "--json", str(file)]).output)
    assert records.keys() == {"configured"}
    assert records["configured"]["provider_model_static_caps"]["acme/small"]["value"] == 4


def test_what_the_command_line_leaves_out_limits_no_such_run(tmp_path: Path) -> None:
    file, rule = tmp_path / "penstock.toml", tmp_path / "broken.py"
    file.write_text("[providers.acme.models]\nsmall = { max_parallel_requests = 4 }\n", encoding="utf-8")
    rule.write_text(
        "from penstock import hookimpl\n@hookimpl\ndef penstock_task_policy(): raise RuntimeError('no')\n",
        encoding="utf-8",
    )
    asked = ["--plugin", str(rule), "explain", "--capacity", str(file)]
    assert "broken" in CliRunner().invoke(cli, asked).output
    assert CliRunner().invoke(cli, ["--no-plugin", "broken", *asked]).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (["--capacity", "--group", "a"], "leave --group out"),
        (["penstock.toml"], "--capacity before a run"),
        (["--capacity", "--run", "1", "penstock.toml"], "--capacity before a run"),
        (["--capacity", "no.toml"], "no.toml: cannot be read"),
    ],
)
def test_what_explain_cannot_be_asked_is_told(arguments: list[str], wrong: str) -> None:
    shown = CliRunner().invoke(cli, ["explain", *arguments])
    assert shown.exit_code == 2
    assert wrong in shown.output
