"""The command line: what it lists without importing, what it imports when asked, and how it reports what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from penstock.cli.main import cli

if TYPE_CHECKING:
    from core.tests.conftest import MakeDistribution, WriteFile


pytestmark = pytest.mark.usefixtures("bare_environment")

POLICY = """
    import attrs
    from typing import Literal

    @attrs.frozen
    class Knobs:
        mode: Literal["a", "b"] = "a"
        limit: int | None = None
        names: list[str] = attrs.field(factory=lambda: ["x"])
        table: dict[str, int] = attrs.field(factory=dict)
        needed: str = attrs.field(kw_only=True)

    class Policy:
        '''Says yes.

        Always.
        '''
        Config = Knobs
        def __init__(self, config): ...
        @hookimpl
        def penstock_task_eligible(self, task): ...
        @hookimpl
        def penstock_run_started(self): ...
        @hookimpl
        def penstock_scheduler_event(self, event): ...
"""

COMMANDS = """
    import click

    class Plugin:
        @hookimpl
        def penstock_cli(self, cli):
            @cli.command()
            @click.pass_obj
            def run(line):
                '''Run it.'''
                click.echo(f"ran with {[path.name for path in line.plugin_files]}")

            @cli.command()
            def wrong():
                from penstock.words.errors import ConfigError
                raise ExceptionGroup("of a nursery", [ConfigError(["a.toml: x: one", "a.toml: y: two"])])

            @cli.command()
            def refused():
                from penstock.words.errors import StallError
                raise StallError("everything waits")

            @cli.command()
            def bug():
                raise ZeroDivisionError
"""


def penstock(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args], prog_name="penstock")


def rows(*args: str | Path) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in json.loads(penstock("plugins", "list", "--json", *args).stdout)}


def refused(result: Result) -> list[str]:
    """The output of a command that was refused: on standard error alone, with exit code 2 and no traceback."""
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr
    return result.stderr.splitlines()


def test_version_and_help_are_there() -> None:
    assert penstock("--version").stdout.startswith("penstock, version ")
    assert "plugins" in penstock("--help").stdout


def test_it_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "penstock", "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: penstock ")


# ----------------------------------------------------------------------------------------------------- plugins list


def test_listing_imports_nothing(distribution: MakeDistribution, write: WriteFile) -> None:
    broken = "raise SystemExit('imported')\n" + "@hookimpl\ndef penstock_task_eligible(task): ...\n"
    distribution("d", {"a_x.py": broken}, version="3.0", plugins={"strict-fair": "a_x", "other": "a_x"})
    found = rows("--config", write("run.toml", '[plugins]\ntask_policies = ["strict-fair"]\n[pipeline]\n'))
    assert found["strict-fair"] == {
        "name": "strict-fair",
        "distribution": "d",
        "version": "3.0",
        "state": "active",
        "hooks": ["penstock_task_eligible"],
        "order": {"task_policies": 1},
        "contract": None,
        "tier": None,
        "why": "named in task_policies",
    }
    assert (found["other"]["state"], found["other"]["why"]) == ("available", "installed, not named in any list")


def test_the_listing_tells_every_state_apart(distribution: MakeDistribution) -> None:
    plugins = {"fair": "a_x", "aimd": "gone_x:P", "free": "a_x", "com": "c_x:P"}
    distribution("d", {"a_x.py": ""}, plugins=plugins, commands={"run": "c_x:P"})
    distribution("e", plugins={"twice": "a_x"})
    distribution("f", plugins={"twice": "a_x"})
    assert {name: (row["state"], row["why"]) for name, row in rows().items()} == {
        "fair": ("active", "default for ready_queue; default for request_waiters"),
        "aimd": ("disabled", "default for request_limiters; cannot be imported: No module named 'gone_x'"),
        "twice": ("clash", "the plugin name 'twice' is claimed by e 1.0 and f 1.0; uninstall all but one of them"),
        "cooldown": ("missing", "default for request_limiters, not installed"),
        "token-budget": ("missing", "default for request_limiters, not installed"),
        "strict-fair": ("missing", "default for task_policies, not installed"),
        "free": ("available", "installed, not named in any list"),
        "com": ("available", "brings the commands run; cannot be imported: No module named 'c_x'"),
    }


def test_the_listing_for_people_has_columns_and_the_order_of_asking(distribution: MakeDistribution) -> None:
    distribution(
        "d", {"a_x.py": "@hookimpl\ndef penstock_ready_queue(): ..."}, plugins={"fair": "a_x", "odd": "zip_x:P"}
    )
    lines = penstock("plugins", "list").stdout.splitlines()
    assert lines[0].split() == ["NAME", "DISTRIBUTION", "VERSION", "STATE", "HOOKS", "ORDER", "TIER", "WHY"]
    assert lines[1].split()[:8] == ["fair", "d", "1.0", "active", "ready_queue", "ready_queue", "1,", "request_waiters"]
    assert any("? (not known from its source; see plugins show)" in line for line in lines)
    asked = dict(line.split(maxsplit=1) for line in lines[lines.index("Asked in this order:") + 1 :])
    assert (asked["ready_queue"], asked["task_runners"], asked["sinks"]) == (
        "fair",
        "nursery (the core's own)",
        "none",
    )


def test_a_file_is_listed_with_its_hooks_and_not_run(write: WriteFile) -> None:
    path = write("rules.py", "1 / 0\n@hookimpl\ndef penstock_task_eligible(task): ...\n")
    listed = json.loads(penstock("--plugin", path, "plugins", "list", "--json").stdout)
    row = next(row for row in listed if row["name"] == "rules")
    assert (row["state"], row["order"], row["why"]) == ("active", {"task_policies": 1}, f"loaded from {path}")
    config = write("run.toml", '[plugins]\nload = ["rules.py"]\nsinks = []\ntask_policies = ["rules"]\n')
    assert rows("--config", config)["rules"]["why"] == f"loaded from {path}; named in task_policies"


def test_a_listing_with_problems_is_shown_and_reported(write: WriteFile) -> None:
    config = write("run.toml", '[plugins]\nload = ["gone.py"]\nsinks = ["jsonl"]\n[scheduler]\n')
    result = penstock("plugins", "list", "--json", "--config", config)
    assert {row["name"] for row in json.loads(result.stdout) if row["state"] == "missing"} >= {"jsonl", "gone"}
    assert refused(result) == [
        f"penstock: {config.parent / 'gone.py'}: there is no such file to load as a plugin",
        f"penstock: {config}: plugins.sinks: no plugin 'jsonl' is installed or loaded; available are none",
    ]


def test_a_config_that_cannot_be_read_is_reported(write: WriteFile) -> None:
    path = write("run.toml", "[scheduler]\nseed = 'x'\n")
    reported = [f'penstock: {path}: scheduler.seed: must be a whole number, not "x"']
    assert refused(penstock("plugins", "list", "--config", path)) == reported
    assert refused(penstock("plugins", "show", "x", "--config", path)) == reported


# ----------------------------------------------------------------------------------------------------- plugins show


def test_show_tells_hooks_order_schema_and_docstring(distribution: MakeDistribution, write: WriteFile) -> None:
    distribution("d", {"p_x.py": POLICY}, plugins={"mine": "p_x:Policy"})
    config = write("run.toml", '[plugins]\ntask_policies = ["mine"]\n[plugins.mine]\nneeded = "y"\n')
    assert (
        penstock("plugins", "show", "mine", "--config", config).stdout
        == f"""\
mine (d 1.0)
  active: named in task_policies

Says yes.

Always.

Hooks
  penstock_task_eligible    rule  task_policies: number 1
  penstock_scheduler_event  sink  sinks: not named there, so not asked
  penstock_run_started      note  has no list: asked of every active plugin

Configuration: [plugins.mine]
  KEY     TYPE                            DEFAULT
  mode    "a" or "b"                      "a"
  limit   a whole number                  (none)
  names   a list (each: text)             ["x"]
  table   a table (each: a whole number)  {{}}
  needed  text                            (required)
  ({config} sets needed)
"""
    )


def test_show_of_a_file_and_of_one_that_is_not_sound(write: WriteFile) -> None:
    path = write("rules.py", "@hookimpl\ndef penstock_task_eligible(task): ...\n")
    shown = penstock("--plugin", path, "plugins", "show", "rules").stdout
    assert shown.startswith(f"rules ({path})\n  active")
    assert shown.endswith("Configuration: [plugins.rules]\n  none\n")
    path.write_text(path.read_text(encoding="utf-8").replace("eligible", "eligble"), encoding="utf-8")
    assert refused(penstock("--plugin", path, "plugins", "show", "rules")) == [
        "penstock: plugin 'rules': penstock_task_eligble is no hook; did you mean 'penstock_task_eligible'?"
    ]


def test_show_of_what_is_not_there_or_broken_is_reported(distribution: MakeDistribution) -> None:
    distribution("d", {"a_x.py": "import gone_x"}, plugins={"mine": "a_x"})
    assert refused(penstock("plugins", "show", "mime")) == ["penstock: there is no plugin 'mime'; did you mean 'mine'?"]
    assert refused(penstock("plugins", "show", "mine")) == [
        "penstock: plugin 'mine': cannot be imported from d 1.0: ModuleNotFoundError: No module named 'gone_x' "
        "(a_x.py:2)"
    ]


# ------------------------------------------------------------------------------------------------ commands of plugins


def test_a_command_is_listed_from_metadata_and_imported_when_it_is_invoked(
    distribution: MakeDistribution, write: WriteFile
) -> None:
    distribution("d", {"c_x.py": COMMANDS}, plugins={"batch": "c_x:Plugin"}, commands={"run": "c_x:Plugin"})
    assert "run          (d 1.0)" in penstock("--help").stdout
    assert "c_x" not in sys.modules
    rules = write("rules.py", "@hookimpl\ndef penstock_run_started(): ...\n")
    assert penstock("--plugin", rules, "run").stdout == "ran with ['rules.py']\n"
    assert "Run it." in penstock("run", "--help").stdout


def test_a_broken_plugin_breaks_its_own_commands_alone(distribution: MakeDistribution) -> None:
    distribution("d", {"c_x.py": COMMANDS}, plugins={"batch": "c_x:Plugin"}, commands={"run": "c_x:Plugin"})
    distribution(
        "e",
        {
            "i_x.py": "1 / 0",
            "h_x.py": "@hookimpl\ndef penstock_cli(cli): 1 / 0\n",
            "m_x.py": "@hookimpl\ndef penstock_cli(clii): ...\n",
            "n_x.py": "@hookimpl\ndef penstock_cli(cli): ...\n",
            "r_x.py": POLICY + "        @hookimpl\n        def penstock_cli(self, cli): ...\n",
        },
        plugins={"imports": "i_x"},
        commands={"imports": "i_x", "hook": "h_x", "unsound": "m_x", "nothing": "n_x", "needy": "r_x:Policy"},
    )
    assert {name: refused(penstock(name)) for name in ("imports", "hook", "unsound", "nothing", "needy")} == {
        "imports": [
            "penstock: plugin 'imports': cannot be imported from e 1.0: ZeroDivisionError: division by zero (i_x.py:2)"
        ],
        "hook": ["penstock: plugin 'hook': penstock_cli failed: ZeroDivisionError: division by zero (h_x.py:3)"],
        "unsound": ["penstock: plugin 'unsound': penstock_cli: clii is no argument of this hook; did you mean 'cli'?"],
        "nothing": [
            "penstock: plugin 'nothing': e 1.0 names the command 'nothing' in its metadata, and does not add it"
        ],
        "needy": [
            "penstock: plugin 'needy': has commands, so every key of its Config needs a default: "
            "<defaults>: plugins.needy.needed: is missing; it must be text"
        ],
    }
    assert penstock("run").stdout == "ran with []\n"


def test_commands_of_a_file_are_there_and_a_failing_hook_breaks_no_others(write: WriteFile) -> None:
    good = write("good.py", COMMANDS)
    bad = write("bad.py", "@hookimpl\ndef penstock_cli(cli): 1 / 0\n")
    result = penstock("--plugin", bad, "--plugin", good, "run")
    assert result.stdout == "ran with ['bad.py', 'good.py']\n"
    assert result.stderr == (
        "penstock: plugin 'bad': penstock_cli failed: ZeroDivisionError: division by zero (bad.py:3)\n"
    )
    assert "Run it." in penstock("--plugin", good, "--help").stdout


def test_a_plugins_command_cannot_take_the_place_of_the_cores(distribution: MakeDistribution) -> None:
    distribution("d", {"c_x.py": "1 / 0"}, commands={"plugins": "c_x"})
    assert penstock("plugins", "list").exit_code == 0


# ------------------------------------------------------------------------------------------------------------ errors


@pytest.fixture
def with_commands(distribution: MakeDistribution) -> None:
    names = ("run", "wrong", "refused", "bug")
    distribution("d", {"c_x.py": COMMANDS}, plugins={"b": "c_x:Plugin"}, commands=dict.fromkeys(names, "c_x:Plugin"))


@pytest.mark.usefixtures("with_commands")
def test_configuration_errors_are_reported_line_by_line_with_exit_code_2() -> None:
    assert refused(penstock("wrong")) == ["penstock: a.toml: x: one", "penstock: a.toml: y: two"]


@pytest.mark.usefixtures("with_commands")
def test_other_errors_raised_on_purpose_have_exit_code_1() -> None:
    result = penstock("refused")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "penstock: everything waits"


@pytest.mark.usefixtures("with_commands")
def test_a_bug_is_not_dressed_up_as_a_users_error() -> None:
    assert isinstance(penstock("bug").exception, ZeroDivisionError)


@pytest.mark.parametrize(
    ("args", "reported"),
    [
        (["nope"], "No such command 'nope'."),
        (["plugins", "list", "--nope"], "--nope"),
        (["--plugin", "gone.py", "nope"], "penstock: gone.py: there is no such file to load as a plugin"),
        (["--plugin", "gone.py", "--help"], "penstock: gone.py: there is no such file to load as a plugin"),
        (["plugins", "show"], "Missing argument 'NAME'."),
    ],
)
def test_wrong_usage_is_reported_with_exit_code_2(args: list[str], reported: str) -> None:
    assert reported in refused(penstock(*args))[-1]


# ------------------------------------------------------------------------------------------------------- foreign text


def test_what_plugins_say_of_themselves_is_shown_and_does_not_command_the_terminal(write: WriteFile) -> None:
    odd = write(
        "odd.py",
        """
        from penstock import ConfigError

        class Odd:
            "Says\\x1b[2J yes.\\u202e"
            @hookimpl
            def penstock_task_eligible(self, task): ...
            @hookimpl
            def penstock_cli(self, cli):
                @cli.command("odd", short_help="short\\x1b]0;t\\x07")
                def odd():
                    raise ConfigError(["one\\x1b[31m \\ud83d", "two\\x9b"])
        """,
    )
    shown = penstock("--plugin", odd, "plugins", "show", "odd")
    assert r"Says\x1b[2J yes.\u202e" in shown.stdout
    assert r"short\x1b]0;t\x07" in penstock("--plugin", odd, "--help").stdout
    assert refused(penstock("--plugin", odd, "odd")) == [r"penstock: one\x1b[31m \ud83d", r"penstock: two\x9b"]


def test_names_of_distributions_do_not_command_the_terminal(distribution: MakeDistribution) -> None:
    distribution(
        "d", {"a_x.py": "class X: pass\n"}, version="1\x1b[2J", plugins={"x": "a_x:X"}, commands={"go": "a_x:X"}
    )
    for told in (penstock("plugins", "list").stdout, penstock("--help").stdout):
        assert r"1\x1b[2J" in told
        assert "\x1b" not in told


def test_a_table_that_is_nearly_one_of_ours_is_told_and_others_are_named(write: WriteFile) -> None:
    file = write("run.toml", "[schedular]\nseed = 1\n[[steps]]\nname = 'a'\n")
    told = penstock("plugins", "list", "--config", file)
    assert told.exit_code == 2
    assert "run.toml: schedular: unknown table; did you mean 'scheduler'?" in told.stderr
    file.write_text("[scheduler]\nseed = 1\n[[steps]]\nname = 'a'\n[batch]\n", encoding="utf-8")
    told = penstock("plugins", "list", "--config", file)
    assert told.exit_code == 0
    assert told.stdout.endswith("\nTables of other programs: steps, batch\n")


def test_the_list_of_plugins_tells_a_table_that_nobody_reads(distribution: MakeDistribution, write: WriteFile) -> None:
    distribution("d", {"a_x.py": "@hookimpl\ndef penstock_request_event(event): ...\n"}, plugins={"jsonl": "a_x"})
    file = write("run.toml", "[plugins.jsonl]\npath = 'x'\n")
    told = penstock("plugins", "list", "--config", file)
    assert told.exit_code == 2
    assert "plugins.jsonl: this plugin is in no list" in told.stderr


def test_a_ctrl_c_while_a_command_is_looked_for_is_told_in_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(type(cli), "get_command", interrupted)
    result = CliRunner().invoke(cli, ["run", "pipeline.toml"])
    assert (result.exit_code, result.output) == (130, "interrupted\n")


# ------------------------------------------------------------------------------------------------ who must not be used


def test_a_plugin_is_left_out_of_what_a_command_looks_at_or_runs(distribution: MakeDistribution) -> None:
    distribution("d", {"r_x.py": "@hookimpl\ndef penstock_task_eligible(task): ...\n"}, plugins={"strict-fair": "r_x"})
    rows = json.loads(penstock("--no-plugin", "strict-fair", "plugins", "list", "--json").stdout)
    (row,) = (row for row in rows if row["name"] == "strict-fair")
    assert (row["state"], row["why"]) == ("disabled", "left out of this run (--no-plugin)")
    shown = penstock("--no-plugin", "strict-fair", "plugins", "show", "strict-fair").stdout.splitlines()
    assert shown[1] == "  disabled: left out of this run (--no-plugin)"
    assert refused(penstock("--no-plugin", "strict-fare", "plugins", "list")) == [
        "penstock: no plugin 'strict-fare' is installed or loaded; did you mean 'strict-fair'?"
    ]


def test_commands_of_plugins_are_told_what_is_left_out(write: WriteFile) -> None:
    path = write(
        "go.py",
        """
        import click

        @hookimpl
        def penstock_cli(cli):
            @cli.command()
            @click.pass_obj
            def go(line):
                click.echo([getattr(each, "name", each) for each in line.plugins])
        """,
    )
    assert penstock("--plugin", path, "--no-plugin", "aimd", "go").stdout == "['go.py', 'aimd']\n"
