"""`penstock schema` knows a file as its readers do: what they take it lets pass, and what is plainly wrong it finds."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import jsonschema
import pytest

from penstock import ConfigError, load_config, structure
from penstock.config.structuring import key_of
from penstock.plugins.discovery import installed
from penstock.plugins.loading import config_class, import_plugin
from penstock.plugins.whole_schema import whole_schema
from penstock_batch.pipeline.loading import TABLES as OF_PIPELINES
from penstock_gateway.loading import TABLES as OF_GATEWAYS
from penstock_worker.settings import TABLES as OF_WORKERS

HOUSE = Path(__file__).parents[1]
EXAMPLES = sorted(HOUSE.glob("contrib/*/examples/**/*.toml"))
PAGES = sorted([*HOUSE.glob("docs/**/*.md"), *HOUSE.glob("*/*/README.md"), HOUSE / "README.md"])
EXTRAS = {**OF_PIPELINES, **OF_GATEWAYS, **OF_WORKERS}

MODEL = "[providers.acme.models.m]\nmax_parallel_requests = 8\n"


@cache
def checker() -> Any:
    found = whole_schema(installed())
    assert found.unable == ()
    jsonschema.Draft202012Validator.check_schema(found.schema)
    return jsonschema.Draft202012Validator(found.schema)


def faults(tables: Mapping[str, Any]) -> list[str]:
    """Where the schema finds something, as dotted paths."""
    return sorted(error.json_path.removeprefix("$").lstrip(".") for error in checker().iter_errors(tables))


def blocks() -> Iterator[tuple[str, dict[str, Any]]]:
    """The examples in our pages that are configurations."""
    for page in PAGES:
        for at, text in enumerate(re.findall(r"^```toml\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)):
            tables = tomllib.loads(text)
            if tables and not {"project", "tool", "build-system"} & set(tables):
                yield f"{page.relative_to(HOUSE)}:{at}", tables


def read(tables: Mapping[str, Any]) -> bool:
    """Whether the readers take it: the core's, and those of the tables that are there."""
    try:
        load_config(tables, extra_tables={name: kind for name, kind in EXTRAS.items() if name in tables})
        for name, section in tables.get("plugins", {}).items():
            if name in installed().plugins and isinstance(section, dict):
                cls = config_class(import_plugin(installed().plugins[name]))
                given = {key: value for key, value in section.items() if key != "shadow"}
                assert cls is not None
                structure(given, cls)
    except ConfigError:
        return False
    return True


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: str(file.relative_to(HOUSE)))
def test_our_examples_pass(file: Path) -> None:
    assert faults(tomllib.loads(file.read_text(encoding="utf-8"))) == []


def test_what_our_pages_show_passes_but_for_plugins_that_are_not_installed() -> None:
    looked_at = 0
    for where, tables in blocks():
        if not read(tables):
            continue
        looked_at += 1
        strange = [
            error
            for error in checker().iter_errors(tables)
            if error.validator not in ("enum", "additionalProperties") or list(error.path)[:1] != ["plugins"]
        ]
        assert strange == [], where
    assert looked_at > 40


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("[shceduler]\n", [""]),
        ("[scheduler]\nmax_attempt = 3\n", ["scheduler"]),
        ("[scheduler]\nsubmission_capacity = 0\n", ["scheduler.submission_capacity"]),
        ('[scheduler]\nsubmission_capacity = "8"\n', ["scheduler.submission_capacity"]),
        ("[scheduler.resources]\ngpu = 1.5\n", ["scheduler.resources.gpu"]),
        ("[scheduler.admitted_limits]\nx = 2_000_000\n", ["scheduler.admitted_limits.x"]),
        ("[scheduler]\nstall_timeout = 0\n", ["scheduler.stall_timeout"]),
        ('[scheduler]\nrequest_pressure = "advice"\n', ["scheduler.request_pressure"]),
        ("[requests]\nretry_budget = 1.5\n", ["requests.retry_budget"]),
        ('[requests]\nretry_on = "rate_limited"\n', ["requests.retry_on"]),
        ("[providers.acme.models.m]\nmodel = 'x'\n", ["providers.acme.models.m"]),
        ('[plugins]\nready_queue = "fare"\n', ["plugins.ready_queue"]),
        ('[plugins]\nrequest_limiters = ["aimd", "jsonl"]\n', ["plugins.request_limiters[1]"]),
        ('[plugins]\nsinks = ["jsonl", "jsonl"]\n', ["plugins.sinks"]),
        ("[plugins.aimd]\nmultiplicative_decrease_factor = 1.0\n", ["plugins.aimd.multiplicative_decrease_factor"]),
        ('[plugins.aimd]\nscope = "models"\n', ["plugins.aimd.scope"]),
        ("[plugins.fair]\nshadow = true\n", ["plugins.fair"]),
        ("[plugins.processes]\nnice = 20\n", ["plugins.processes.nice"]),
        ("[[plugins.token-budget.budgets]]\nprovider = 'acme'\nrequests = { minutes = 6 }\n",
         ["plugins['token-budget'].budgets[0].requests"]),
        ("[[steps]]\nname = 's'\nkind = 'chats'\n", ["steps[0].kind"]),
        ("[[steps]]\nkind = 'chat'\nsamples = 101\n", ["steps[0]", "steps[0].samples"]),
        ("[batch]\nbudget = -1\n", ["batch.budget"]),
        ("[gateway]\nport = 70_000\n", ["gateway.port"]),
        ("[gateway.keys.a]\nweight = 0\n", ["gateway.keys.a.weight"]),
        ("[worker.weights]\nq = 0\n", ["worker.weights.q"]),
        ("[endpoints.acme.a]\nserve = ['m']\n", ["endpoints.acme.a"]),
    ],
)  # fmt: skip
def test_what_is_plainly_wrong_is_found_where_it_stands(text: str, at: list[str]) -> None:
    assert faults(tomllib.loads(text)) == at


def test_nothing_is_a_configuration_too() -> None:
    assert faults({}) == []
    assert faults(tomllib.loads(MODEL)) == []


SOME_VALUES = [True, -1, 0, 1, 16, 2_000_000, 0.5, 1.5, "", "x", "resource", [], ["x"], [1], {}, {"a": 1}, {"a": "b"}]
CONFIGS = {
    name: cls for name, owner in installed().plugins.items() if (cls := config_class(import_plugin(owner))) is not None
}


@pytest.mark.parametrize("name", CONFIGS)
def test_no_value_of_a_plugins_key_is_found_wrong_that_the_plugin_takes(name: str) -> None:
    cls = CONFIGS[name]
    needed = {key_of(field): ["x"] for field in attrs.fields(cls) if field.default is attrs.NOTHING}
    for key in map(key_of, attrs.fields(cls)):
        for value in SOME_VALUES:
            try:
                structure({**needed, key: value}, cls)
            except ConfigError:
                continue
            assert faults({"plugins": {name: {**needed, key: value}}}) == [], (key, value)


def keys_without_help(schema: Mapping[str, Any], path: str) -> Iterator[str]:
    for key, value in schema.get("properties", {}).items():
        if not value.get("description") and "properties" not in value:
            yield f"{path}.{key}"
        yield from keys_without_help(value, f"{path}.{key}")


def test_each_key_of_ours_has_help() -> None:
    """It is the text below the field, or the entry of the key in the docstring of the class: `config/key_help.py`."""
    schema = checker().schema
    records = {**schema["$defs"], "plugins": schema["properties"]["plugins"]}

    assert [key for name, record in records.items() for key in keys_without_help(record, name)] == []
