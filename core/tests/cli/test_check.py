"""`penstock check`: whose file it is says what is wrong with it; of nobody else's, a dry run does."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from penstock.cli.main import cli

if TYPE_CHECKING:
    from core.tests.conftest import MakeDistribution, WriteFile

pytestmark = pytest.mark.usefixtures("bare_environment")

OWNER = """
    from penstock import ConfigError, FileCheck

    class Owner:
        @hookimpl
        def penstock_check(self, file, tables, plugin_files, left_out):
            if "mine" not in tables:
                return None
            if tables["mine"].get("wrong"):
                raise ConfigError(f"{file}: mine.wrong: must not be")
            files = [path.name for path in plugin_files]
            files += [f"no {name}" for name in left_out]
            faulty = tables["mine"].get("faulty", False)
            return FileCheck([f"rows by {files}"], notes=["one is \\x1b blue"], faulty=faulty)
"""


def check(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, ["check", *map(str, args)], prog_name="penstock")


def refused(*args: str | Path) -> str:
    """The one line of a refusal, with exit code 2."""
    result = check(*args)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    return line


@pytest.fixture
def owner(distribution: MakeDistribution) -> None:
    distribution("d", {"o_x.py": OWNER}, plugins={"rows": "o_x:Owner"})


def test_the_owner_of_a_file_is_asked_and_its_words_and_exit_code_are_the_commands(
    owner: None, write: WriteFile
) -> None:
    rule = write("rule.py", "@hookimpl\ndef penstock_task_eligible(task): ...\n")
    result = check(write("a.toml", "[mine]\n"), "--plugin", rule)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "rows by ['rule.py']\n", "one is \\x1b blue\n")
    assert check(write("n.toml", "[mine]\n"), "--no-plugin", "rows").stdout == "rows by ['no rows']\n"
    assert check(write("b.toml", "[mine]\nfaulty = true\n")).exit_code == 1
    wrong = write("c.toml", "[mine]\nwrong = true\n")
    assert refused(wrong) == f"penstock: {wrong}: mine.wrong: must not be"


def test_a_programs_file_is_tried_by_a_dry_run_and_whose_the_other_tables_are_is_said(
    distribution: MakeDistribution, write: WriteFile
) -> None:
    queue = "@hookimpl\ndef penstock_ready_queue(settings): ...\n"
    distribution("d", {"q_x.py": queue, "r_x.py": "raise SystemExit\n"}, plugins={"mine": "q_x", "other": "r_x"})
    text = '[providers.p]\nkind = "mock"\n[providers.p.models.m]\nmax_parallel_requests = 2\n[theirs]\n'
    file = write("run.toml", text)
    assert check(file).stdout.splitlines() == [
        f"{file}: providers: p; models: 1",
        "plugins: none",
        "tables of other programs: theirs",
    ]
    assert "r_x" not in sys.modules
    bad = write("bad.toml", "[scheduler]\nmax_attempts = 0\n")
    assert refused(bad).startswith(f"penstock: {bad}: scheduler.max_attempts: ")


def test_a_factory_that_fails_is_found(distribution: MakeDistribution, write: WriteFile) -> None:
    distribution("d", {"q_x.py": "@hookimpl\ndef penstock_ready_queue(): return 3\n"}, plugins={"mine": "q_x"})
    line = refused(write("run.toml", '[plugins]\nready_queue = "mine"\n'))
    assert "plugin 'mine': penstock_ready_queue must make a ReadyQueue" in line


def test_a_file_of_the_command_line_may_own_a_file(write: WriteFile) -> None:
    owner = write("owner.py", OWNER)
    assert check(write("a.toml", "[mine]\n"), "--plugin", owner).stdout == "rows by ['owner.py']\n"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("1 / 0\n@hookimpl\ndef penstock_check(tables): ...\n", "cannot be imported"),
        ("@hookimpl\ndef penstock_check(tables): 1 / 0\n", "penstock_check failed: ZeroDivisionError"),
        ("@hookimpl\ndef penstock_check(tables): raise KeyboardInterrupt\n", "failed: KeyboardInterrupt"),
        ("@hookimpl\ndef penstock_check(tables): return 3\n", "must answer a FileCheck or None, not int"),
        ("@hookimpl\ndef penstock_check(table): ...\n", "table is no argument of this hook"),
    ],
)
def test_a_plugin_that_cannot_say_whose_file_it_is_hurts_only_a_file_that_nobody_knows(
    owner: None, distribution: MakeDistribution, write: WriteFile, source: str, words: str
) -> None:
    distribution("broken", {"b_x.py": source}, plugins={"a-broken": "b_x"})
    mine = check(write("a.toml", "[mine]\n"))
    assert (mine.exit_code, mine.stdout) == (0, "rows by []\n")
    assert words in mine.stderr
    line = refused(write("b.toml", ""))
    assert "plugin 'a-broken'" in line
    assert words in line


def test_a_file_that_two_plugins_say_is_theirs_is_refused(
    owner: None, distribution: MakeDistribution, write: WriteFile
) -> None:
    distribution("e", {"p_x.py": OWNER}, plugins={"also": "p_x:Owner"})
    assert "the plugins 'also' and 'rows' each say that this file is theirs" in refused(write("a.toml", "[mine]\n"))


def test_a_trace_that_could_not_be_written_is_found(owner: None, write: WriteFile, tmp_path: Path) -> None:
    for there, words in (("none/trace.jsonl", "there is no folder"), ("", "it is a folder")):
        table = f'[plugins]\ntrace = {{}}\ntrace_file = "{tmp_path / there}"\n'
        assert words in refused(write("run.toml", table.format("0.01")))
        assert check(write("run.toml", table.format("0.0"))).exit_code == 0, "nothing is traced"
        alone = table.replace("trace = {}\n", "")
        assert "plugins.trace_file: is of a trace that nobody asks for" in refused(write("run.toml", alone))
    assert not (tmp_path / "none").exists()
    owned = f'[mine]\n[plugins]\ntrace = 0.1\ntrace_file = "{tmp_path}/none/trace.jsonl"\n'
    assert "there is no folder" in refused(write("owned.toml", owned)), "whosever file it is"


def test_a_plugin_may_be_left_out(distribution: MakeDistribution, write: WriteFile) -> None:
    distribution("d", {"q_x.py": "@hookimpl\ndef penstock_ready_queue(): 1 / 0\n"}, plugins={"mine": "q_x"})
    file = write("run.toml", '[plugins]\nready_queue = "mine"\n')
    assert "penstock_ready_queue failed" in refused(file)
    assert check(file, "--no-plugin", "mine").exit_code == 0
    assert "no plugin 'mime' is installed" in refused(file, "--no-plugin", "mime")


@pytest.mark.parametrize("lines", ['"one"', "[3]"])
def test_lines_are_text(distribution: MakeDistribution, write: WriteFile, lines: str) -> None:
    source = f"from penstock import FileCheck\n@hookimpl\ndef penstock_check(): return FileCheck({lines})\n"
    distribution("d", {"o_x.py": source}, plugins={"rows": "o_x"})
    result = check(write("a.toml", ""))
    if lines == "[3]":
        assert "the lines of a FileCheck must be text" in result.stderr
    else:
        assert result.stdout == "one\n"


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.toml").startswith(f"penstock: {tmp_path / 'none.toml'}: cannot be read")


def test_a_factory_that_fails_is_found_also_in_a_file_that_has_an_owner(owner: None, write: WriteFile) -> None:
    write("rule.py", "@hookimpl\ndef penstock_ready_queue(settings): raise ValueError('no such order')\n")
    file = write("a.toml", '[mine]\n[plugins]\nload = ["rule.py"]\nready_queue = "rule"\n')
    assert "'rule': penstock_ready_queue failed: ValueError: no such order" in refused(file)


@pytest.mark.skipif(sys.platform == "win32", reason="a name in the file system is no pipe there")
@pytest.mark.parametrize("command", ["check", "doctor"])
def test_what_can_be_read_only_once_is_refused(tmp_path: Path, command: str) -> None:
    pipe = tmp_path / "run.toml"
    os.mkfifo(pipe)
    result = CliRunner().invoke(cli, [command, str(pipe)])
    assert result.exit_code == 2
    assert f"{pipe}: is no plain file, and would be read more than once" in result.stderr


@pytest.mark.parametrize("command", ["check", "doctor", "plugins list --config"])
@pytest.mark.parametrize("kind", ["a link to itself", "too long a name"])
def test_a_file_of_a_plugin_that_cannot_be_looked_at_is_named(
    tmp_path: Path, write: WriteFile, command: str, kind: str
) -> None:
    plugin = tmp_path / ("rule.py" if kind == "a link to itself" else f"{'x' * 300}.py")
    if kind == "a link to itself":
        plugin.symlink_to(plugin)
    file = write("run.toml", f'[plugins]\nload = ["{plugin.name}"]\n')
    result = CliRunner().invoke(cli, [*command.split(), str(file)])
    assert isinstance(result.exception, SystemExit)
    assert f"{plugin.name}: there is no such file to load as a plugin" in result.output


def test_two_files_with_the_name_of_one_plugin_are_told_by_the_list_too(tmp_path: Path, write: WriteFile) -> None:
    rule = "@hookimpl\ndef penstock_task_eligible(task): ...\n"
    one, other = write("a/rule.py", rule), write("b/rule.py", rule)
    told = f"two plugins are called 'rule': {one}, and {other}; rename the file"
    file = write("run.toml", "")
    for command in (["check", str(file)], ["plugins", "list"]):
        result = CliRunner().invoke(cli, ["--plugin", str(one), "--plugin", str(other), *command])
        assert result.exit_code == 2
        assert told in result.stderr
    assert CliRunner().invoke(cli, ["--plugin", str(one), "--plugin", str(one), "plugins", "list"]).exit_code == 0
