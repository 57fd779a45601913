"""One file to typed records: what is read, and what is reported of a file that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from penstock import ConfigError, ModelConfig, PenstockConfig, ProviderConfig, load_config
from penstock.config.reading import PluginLists, RequestsConfig, SchedulerConfig, SinksConfig

WHOLE = """
[scheduler]
submission_capacity = 8
seed = 7
stall_timeout = 60
resources = { gpu = 2 }

[scheduler.admitted_limits]
"model/openai/gpt-x/chat" = 4

[requests]
queue_wait_timeout = 0

[sinks]
failures = 3

[providers.openai]
base_url = "https://example.org/v1"
api_key_env = "KEY"
domains = ["rerank"]

[providers.openai.models]
fast = { max_parallel_requests = 32, model = "gpt-x", domain_caps = { rerank = 2 }, price = { input = 2 } }
slow = { max_parallel_requests = 8, model = "gpt-x" }

[plugins]
ready_queue = "fair"
task_policies = ["strict-fair", "my-rule"]
sinks = ["jsonl"]
load = ["rules.py"]

[plugins.aimd]
initial_limit = 4

[plugins.rules]
"""


def problems(source: Any, **options: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(source, **options)
    return list(caught.value.problems)


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "run.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_a_whole_file_becomes_records(tmp_path: Path) -> None:
    path = written(tmp_path, WHOLE)
    config = load_config(path).config
    assert config.scheduler == SchedulerConfig(
        submission_capacity=8,
        seed=7,
        stall_timeout=60.0,
        resources={"gpu": 2},
        admitted_limits={"model/openai/gpt-x/chat": 4},
    )
    assert config.requests == RequestsConfig(queue_wait_timeout=0.0)
    assert config.sinks == SinksConfig(failures=3)
    assert config.providers["openai"].models["slow"] == ModelConfig(max_parallel_requests=8, model="gpt-x")
    assert config.providers["openai"].models["fast"].price == {"input": 2}
    assert config.plugins == PluginLists(
        ready_queue="fair", task_policies=["strict-fair", "my-rule"], sinks=["jsonl"], load=["rules.py"]
    )
    assert config.sections == {"aimd": {"initial_limit": 4}, "rules": {}}
    assert (config.source, config.folder) == (str(path), tmp_path)


def test_nothing_gives_the_defaults() -> None:
    assert load_config(None).config == PenstockConfig()
    assert load_config({}).config.scheduler == SchedulerConfig()


def test_a_config_that_is_made_already_passes_as_it_is() -> None:
    config = PenstockConfig(scheduler=SchedulerConfig(seed=3))
    assert load_config(config).config is config


def test_a_mapping_reads_like_a_file() -> None:
    config = load_config({"plugins": {"sinks": [], "jsonl": {"path": "x"}}}).config
    assert config.plugins.sinks == []
    assert config.sections == {"jsonl": {"path": "x"}}


def test_problems_of_all_tables_are_reported_together(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        steps = 1
        [scheduler]
        submission_capacty = 1
        max_attempts = "3"
        resources = { gpu = 0 }
        [providers.p.models.m]
        [plugins]
        sinks = "jsonl"
        task_polices = []
        """,
    )
    assert problems(path) == [
        f"{path}: {line}"
        for line in (
            "scheduler.submission_capacty: unknown key; did you mean 'submission_capacity'?",
            'scheduler.max_attempts: must be a whole number, not "3"',
            "scheduler.resources.gpu: must be a whole number from 1 on, not 0",
            "providers.p.models.m.max_parallel_requests: is missing; it must be a whole number",
            "plugins.task_polices: unknown key; did you mean 'task_policies'?",
            'plugins.sinks: must be a list (each: text), not "jsonl"; put it into brackets',
            "steps: unknown table; known are plugins, providers, requests, scheduler, sinks",
        )
    ]


@pytest.mark.parametrize(
    ("table", "key", "value", "reported"),
    [
        ("scheduler", "submission_capacity", 0, "must be a whole number from 1 on, not 0"),
        ("scheduler", "max_attempts", 0, "must be a whole number from 1 on, not 0"),
        ("scheduler", "stall_timeout", 0, "must be a duration above 0 seconds, not 0.0"),
        ("scheduler", "stall_timeout", float("nan"), "must be a duration above 0 seconds, not nan"),
        ("scheduler", "shutdown_grace", -1, "must be a duration of at least 0 seconds, not -1.0"),
        ("scheduler", "retry_backoff", float("inf"), "must be a duration above 0 seconds, not inf"),
        ("scheduler", "retry_backoff_max", 0.5, "must be at least retry_backoff, which is 1.0, not 0.5"),
        ("scheduler", "seed", 1.5, "must be a whole number, not 1.5"),
        ("requests", "queue_wait_timeout", -1, "must be a duration of at least 0 seconds, not -1.0"),
        ("requests", "max_attempts", 0, "must be a whole number from 1 on, not 0"),
        ("sinks", "failures", 0, "must be a whole number from 1 on, not 0"),
        ("plugins", "load", ["a.py", "a.py"], "names 'a.py' twice"),
        ("plugins", "sinks", [""], "holds an empty name"),
    ],
)
def test_a_value_that_makes_no_sense_is_reported(table: str, key: str, value: object, reported: str) -> None:
    assert problems({table: {key: value}}) == [f"<mapping>: {table}.{key}: {reported}"]


@pytest.mark.parametrize("cap", [0, -3])
def test_every_model_has_at_least_one_place(cap: int) -> None:
    reported = problems({"providers": {"p": {"models": {"m": {"max_parallel_requests": cap}}}}})
    where = "providers.p.models.m.max_parallel_requests"
    assert reported == [f"<mapping>: {where}: must be a whole number from 1 on, not {cap}"]


def test_submission_is_no_resource_beside_itself() -> None:
    (reported,) = problems({"scheduler": {"resources": {"submission": 3}}})
    assert reported.endswith(
        "scheduler.resources.submission: is limited by scheduler.submission_capacity; put the number there"
    )


def test_a_cap_of_a_domain_that_the_provider_lacks_is_reported() -> None:
    model = {"max_parallel_requests": 3, "domain_caps": {"chta": 1}}
    (reported,) = problems({"providers": {"p": {"models": {"m": model}}}})
    assert reported == (
        "<mapping>: providers.p.models.m.domain_caps.chta: is no domain of this provider; did you mean 'chat'?"
    )


def test_records_that_are_made_by_hand_obey_the_same_rules() -> None:
    with pytest.raises(ConfigError) as caught:
        SchedulerConfig(submission_capacity=True)
    assert [record.path for record in caught.value.records] == [("submission_capacity",)]
    with pytest.raises(ConfigError) as caught:
        ProviderConfig(models={"m": ModelConfig(max_parallel_requests=1, domain_caps={"x": 1})})
    assert [record.path for record in caught.value.records] == [("models", "m", "domain_caps", "x")]


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ("[scheduler]\nseed = = 1\n", "is no TOML: Invalid value (at line 2, column 8)"),
        ("[scheduler\r\n", "is no TOML: Expected ']' at the end of a table declaration (at line 1, column 11)"),
        ("a = ", "is no TOML: Invalid value (at end of document)"),
        ("a = 1\na = 2\n", "is no TOML: a key stands there that has a value already (at line 2, column 6)"),
        (f"a = {'[' * 5000}", "is nested too deeply to be read"),
        (b'# \xc3\xa9\nname = "\xff"\n', "is not UTF-8, which TOML must be (at line 2, column 9)"),
    ],
)
def test_what_is_no_toml_is_reported_with_its_place(tmp_path: Path, text: str | bytes, reported: str) -> None:
    path = written(tmp_path, text)
    assert problems(path) == [f"{path}: {reported}"]


def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    assert problems(tmp_path / "none.toml") == [f"{tmp_path / 'none.toml'}: cannot be read: No such file or directory"]
    assert problems(str(tmp_path)) == [f"{tmp_path}: cannot be read: Is a directory"]


@attrs.frozen
class Job:
    input: str = "rows.jsonl"


@attrs.frozen
class Step:
    name: str


def test_tables_of_a_program_are_structured_with_the_rest() -> None:
    loaded = load_config(
        {"scheduler": {"seed": 1}, "job": {"input": "x"}, "steps": [{"name": "a"}, {"name": "b"}]},
        extra_tables={"job": Job, "steps": list[Step], "note": str | None, "other": Job},
    )
    assert loaded.config.scheduler.seed == 1
    assert dict(loaded.extras) == {"job": Job("x"), "steps": [Step("a"), Step("b")], "note": None, "other": Job()}


def test_problems_in_a_programs_tables_are_reported_with_the_rest() -> None:
    reported = problems(
        {"scheduler": {"sed": 1}, "steps": [{"name": "a"}, {}], "stpes": []},
        extra_tables={"steps": list[Step], "first": Step},
    )
    assert reported == [
        "<mapping>: scheduler.sed: unknown key; did you mean 'seed'?",
        "<mapping>: steps[1].name: is missing; it must be text",
        "<mapping>: first.name: is missing; it must be text",
        "<mapping>: stpes: unknown table; did you mean 'steps'?",
    ]


def test_tables_of_other_programs_pass_where_that_is_wanted() -> None:
    assert load_config({"pipeline": {}, "scheduler": {"seed": 2}}, foreign_tables=True).config.scheduler.seed == 2


def test_a_table_that_is_none_is_reported() -> None:
    assert problems({"plugins": 1, "providers": {"p": 2}}) == [
        "<mapping>: providers.p: must be a table, not 2",
        "<mapping>: plugins: must be a table, not 1",
    ]


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ({"providers": {"a/b": {}}}, 'providers."a/b"'),
        ({"providers": {"": {}}}, "providers."),
        ({"providers": {"a": {"models": {"": {"max_parallel_requests": 1}}}}}, "providers.a.models"),
        ({"providers": {"a": {"domains": ["rerank", ""]}}}, "providers.a.domains"),
        ({"scheduler": {"resources": {"": 1}}}, "scheduler.resources"),
    ],
)
def test_a_name_that_nobody_could_say_is_refused(source: Any, path: str) -> None:
    (problem,) = problems(source)
    assert path in problem
    assert "empty" in problem
