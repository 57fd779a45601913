"""`penstock schema`: what it describes, and that who cannot be described hides nothing of the others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from penstock.cli.main import cli

if TYPE_CHECKING:
    from core.tests.conftest import MakeDistribution, WriteFile

pytestmark = pytest.mark.usefixtures("bare_environment")

RULE = """
    import attrs

    @attrs.frozen
    class Knobs:
        '''What can be turned.

        `limit`  how far
                 it may go
        '''
        limit: int = attrs.field(default=3, validator=attrs.validators.ge(1))
        needed: str = attrs.field(kw_only=True)
        '''What it cannot do without.'''
        of_old: list[str] = attrs.field(factory=list, metadata={"key": "of", "help": "Since when."})

    class Rule:
        Config = Knobs
        def __init__(self, config): ...
        @hookimpl
        def penstock_task_eligible(self, task): ...
"""


def penstock(*args: object) -> Result:
    return CliRunner().invoke(cli, [*map(str, args)])


def schema(*args: object) -> Any:
    result = penstock("schema", *args)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_plugins_table_has_each_key_with_type_default_range_and_help(distribution: MakeDistribution) -> None:
    distribution("d", {"p_x.py": RULE}, plugins={"mine": "p_x:Rule"})
    assert schema()["properties"]["plugins"]["properties"]["mine"] == {
        "type": "object",
        "description": "What can be turned.",
        "properties": {
            "limit": {"type": "integer", "minimum": 1, "description": "how far it may go", "default": 3},
            "needed": {"type": "string", "description": "What it cannot do without."},
            "of": {"type": "array", "items": {"type": "string"}, "description": "Since when.", "default": []},
            "shadow": {
                "type": "boolean",
                "default": False,
                "description": "Ask it and count what it would have done, without heeding it.",
            },
        },
        "required": ["needed"],
        "additionalProperties": False,
    }


def test_a_list_holds_the_plugins_that_have_its_hooks(distribution: MakeDistribution, write: WriteFile) -> None:
    distribution("d", {"p_x.py": RULE}, plugins={"mine": "p_x:Rule"})
    write("watch.py", "@hookimpl\ndef penstock_scheduler_event(event): ...\n")
    lists = schema("--config", write("run.toml", '[plugins]\nload = ["watch.py"]\n'))["properties"]["plugins"]
    allowed = {key: value.get("enum") or value["items"]["enum"] for key, value in lists["properties"].items()
               if "enum" in json.dumps(value)}  # fmt: skip
    assert allowed == {
        "ready_queue": ["fifo"],
        "request_waiters": ["fifo"],
        "task_runners": ["nursery"],
        "task_policies": ["mine"],
        "request_limiters": [],
        "sinks": ["watch"],
        "required": ["mine", "watch"],
        "allow": ["mine", "watch"],
        "disabled": ["mine", "watch"],
    }
    assert lists["properties"]["watch"] == {"type": "object", "properties": {}, "additionalProperties": False}


def test_who_cannot_be_described_is_told_of_and_its_table_left_open(distribution: MakeDistribution) -> None:
    distribution("a", {"a_x.py": "import gone_x"}, plugins={"gone": "a_x"})
    odd = RULE.replace("limit: int", "limit: object | bytes")
    distribution("b", {"b_x.py": odd}, plugins={"odd": "b_x:Rule"})
    distribution("c", {"c_x.py": RULE}, plugins={"mine": "c_x:Rule"})
    result = penstock("schema")
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        "penstock: plugin 'gone': cannot be imported from a 1.0: ModuleNotFoundError: No module named 'gone_x' "
        "(a_x.py:2)",
        "penstock: plugin 'odd': Config cannot be read from TOML: a configuration cannot hold <class 'bytes'>: "
        "no TOML value would fit",
    ]
    plugins = json.loads(result.stdout)["properties"]["plugins"]["properties"]
    assert (plugins["gone"], plugins["odd"]) == ({"type": "object"}, {"type": "object"})
    assert list(plugins["mine"]["properties"]) == ["limit", "needed", "of", "shadow"]


TABLES = "class T:\n    @hookimpl\n    def penstock_tables(self): return {}\n"


def test_tables_beside_the_cores_are_those_that_plugins_name(distribution: MakeDistribution) -> None:
    for name, says in (
        ("a", "{'rota': dict[str, int]}"),
        ("b", "{'rota': list[str], 'watch': bool}"),
        ("c", "{'scheduler': int}"),
        ("d", "1 / 0"),
        ("e", "['rota']"),
        ("f", "{'odd': bytes}"),
        ("g", "None"),
    ):
        distribution(name, {f"{name}_x.py": TABLES.replace("{}", says)}, plugins={name: f"{name}_x:T"})
    result = penstock("schema")
    assert [line.partition(": ")[2] for line in result.stderr.splitlines()] == [
        "plugin 'c': penstock_tables names 'scheduler', which is a table of the core's",
        "plugin 'd': penstock_tables failed: ZeroDivisionError: division by zero (d_x.py:4)",
        "plugin 'e': penstock_tables must answer a mapping of names to types, or None",
        "plugin 'f': penstock_tables names what cannot be read from TOML: a configuration cannot hold "
        "<class 'bytes'>: no TOML value would fit",
    ]
    tables = json.loads(result.stdout)["properties"]
    assert tables["rota"] == {
        "anyOf": [
            {"type": "object", "additionalProperties": {"type": "integer"}},
            {"type": "array", "items": {"type": "string"}},
        ]
    }
    assert tables["watch"] == {"type": "boolean"}
    assert "integer" not in str(tables["scheduler"])


def test_tables_of_other_programs_pass_where_that_is_said() -> None:
    assert schema()["additionalProperties"] is False
    assert schema("--foreign-tables")["additionalProperties"] is True
