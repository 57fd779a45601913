"""The doctor: what is broken in an installation and in a file, what it finds, and the command that mends it."""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
import tempfile
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from penstock.cli.main import cli

if TYPE_CHECKING:
    from core.tests.conftest import MakeDistribution, WriteFile

RULE = "@hookimpl\ndef penstock_task_eligible(task): ...\n"
SINK = """
    import attrs

    @attrs.frozen
    class Knobs:
        path: str = "events.txt"

    class Sink:
        Config = Knobs
        def __init__(self, config): ...
        @hookimpl
        def penstock_scheduler_event(self, event): ...
"""
PROVIDER = """
    [providers.p]
    kind = "openai"
    api_key_env = "P_KEY"
    [providers.p.models.m]
    max_parallel_requests = {cap}
"""


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, bare_environment: None, distribution: MakeDistribution) -> Iterator[Path]:
    """A short temporary folder in which no run has answered yet; installed is the core alone."""
    distribution("penstock-core", version="7.0")
    with TemporaryDirectory(prefix="p", dir="/tmp") as short:
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        monkeypatch.setattr(tempfile, "tempdir", short)
        yield Path(short)


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, ["doctor", *map(str, args)], prog_name="penstock")


def found(*args: str | Path) -> list[dict[str, Any]]:
    """The findings; there must be some."""
    result = run("--json", *args)
    assert result.exit_code == 1, result.output
    findings: list[dict[str, Any]] = json.loads(result.stdout)["findings"]
    return findings


def only(*args: str | Path) -> dict[str, Any]:
    (finding,) = found(*args)
    return finding


def at(finding: dict[str, Any]) -> tuple[Any, ...]:
    """What a finding is, where, and how it is mended."""
    return finding["kind"], finding["file"], finding["line"], finding["mend"]


def edit(file: Path, line: int) -> str:
    return f"${{EDITOR:-vi}} +{line} {file}"


def test_where_nothing_is_wrong_the_exit_code_is_zero(distribution: MakeDistribution, write: WriteFile) -> None:
    distribution("d", {"a_x.py": RULE}, plugins={"rules": "a_x"})
    result = run(write("run.toml", '[plugins]\ntask_policies = ["rules"]\n'))
    assert (result.exit_code, result.stderr) == (0, "")
    first, builds, second, *_, last = result.stdout.splitlines()
    assert first == f"Python {'.'.join(map(str, sys.version_info[:3]))}, penstock-core 7.0, 1 plugins installed"
    assert builds == "compiled: nothing, all is pure Python"
    assert second.endswith("run.toml: plugins rules; keys set: none")
    assert last == "nothing to mend"


def test_it_says_which_distributions_are_compiled(distribution: MakeDistribution, tmp_path: Path) -> None:
    distribution("a", {"a_x.py": RULE}, plugins={"rules": "a_x"})
    distribution("b", {"b_x.py": RULE}, plugins={"others": "b_x"})
    distribution("numbers", {"n_x.py": RULE})  # which has nothing of ours
    distribution("penstock-wire", {"w_x.py": RULE})  # which brings no plugin
    for name in ("b", "numbers", "penstock-wire"):
        (info,) = (tmp_path / "site" / name).glob("*.dist-info")
        info.joinpath("RECORD").write_text(f"b_x.py,,\nb_x{EXTENSION_SUFFIXES[0]},,\n", encoding="utf-8")

    assert run().stdout.splitlines()[1] == "compiled: b, penstock-wire"
    seen = json.loads(run("--json").stdout)
    assert seen["builds"] == {"a": "pure", "b": "compiled", "penstock-core": "pure", "penstock-wire": "compiled"}
    assert seen["versions"]["penstock-core"] == "7.0"
    assert seen["versions"].keys() == seen["builds"].keys()


def test_a_file_that_is_not_there_cannot_be_looked_at_and_the_rest_is_told(tmp_path: Path) -> None:
    result = run(tmp_path / "none.toml")
    assert result.exit_code == 2
    assert "penstock-core 7.0" in result.stdout
    assert "none.toml: cannot be read" in result.stderr


# ------------------------------------------------------------------------------------------------------ installation


def test_a_core_that_is_only_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [each for each in sys.path if not each.endswith("penstock-core")])
    assert at(only()) == ("core", "", None, "pip install penstock-core")


def test_two_distributions_that_claim_one_name(distribution: MakeDistribution) -> None:
    distribution("one", {"a_x.py": RULE}, plugins={"rules": "a_x"})
    distribution("two", {"b_x.py": RULE}, plugins={"rules": "b_x"})
    kind, file, line, mend = at(only())
    assert (kind, Path(file).name, line, mend) == ("clash", "two-1.0.dist-info", None, "pip uninstall two")


def test_one_distribution_that_is_installed_twice(distribution: MakeDistribution) -> None:
    distribution("one", {"a_x.py": RULE}, plugins={"rules": "a_x"})
    distribution("one", {"a_x.py": RULE}, version="2.0", plugins={"rules": "a_x"}, copy="2")
    finding = only()
    assert finding["kind"] == "twice"
    assert finding["mend"].startswith("pip uninstall one ")
    assert "; the first one counts" in finding["cause"]


def test_a_plugin_that_was_added_to_an_editable_project_after_it_was_installed(
    distribution: MakeDistribution, write: WriteFile
) -> None:
    text = '[project]\nname = "d"\n[project.entry-points."penstock.plugins"]\nrules = "a_x"\nmore = "a_x"\n'
    project = write("project/pyproject.toml", text)
    distribution("d", {"a_x.py": RULE}, plugins={"rules": "a_x"}, project=project.parent)
    finding = only()
    assert at(finding) == ("stale", str(project), 5, f"pip install -e {project.parent}")
    assert "more = 'a_x'" in finding["cause"]


def test_a_plugin_that_is_no_longer_in_its_editable_project_and_another_version(
    distribution: MakeDistribution, write: WriteFile
) -> None:
    project = write("project/pyproject.toml", '[project]\nname = "d"\nversion = "2.0"\n')
    distribution("d", {"a_x.py": RULE}, plugins={"rules": "a_x"}, project=project.parent)
    gone, older = found()
    assert at(gone) == ("stale", str(project), None, f"pip install -e {project.parent}")
    assert at(older) == ("stale", str(project), 3, f"pip install -e {project.parent}")


def test_an_editable_install_whose_project_is_gone_or_no_toml(
    distribution: MakeDistribution, tmp_path: Path, write: WriteFile
) -> None:
    distribution("d", {"a_x.py": RULE}, plugins={"rules": "a_x"}, project=tmp_path / "gone")
    distribution("e", {"b_x.py": RULE}, plugins={"more": "b_x"}, project=write("e/pyproject.toml", "[").parent)
    assert {finding["mend"] for finding in found()} == {"pip uninstall d", "pip uninstall e"}


def test_a_plugin_whose_module_is_not_there(distribution: MakeDistribution) -> None:
    distribution("d", plugins={"rules": "gone_x"})
    kind, file, line, mend = at(only())
    assert (kind, Path(file).name, line) == ("plugin", "entry_points.txt", 2)
    assert mend == "pip install --upgrade --force-reinstall d"


def test_a_plugin_that_is_no_python_is_found_without_importing_it(
    distribution: MakeDistribution, tmp_path: Path
) -> None:
    distribution("d", {"a_x.py": "def penstock(:\n"}, plugins={"rules": "a_x"}, project=None)
    kind, file, line, mend = at(only())
    assert (kind, Path(file).name, line, mend) == ("plugin", "a_x.py", 2, "pip install --upgrade --force-reinstall d")


def test_a_plugin_that_raises_is_found_only_on_request_and_mended_in_its_source_by_its_author(
    distribution: MakeDistribution, write: WriteFile
) -> None:
    text = '[project]\nname = "d"\n[project.entry-points."penstock.plugins"]\nrules = "a_x"\n'
    project = write("project/pyproject.toml", text).parent
    distribution("d", {"a_x.py": RULE + "1 / 0\n"}, plugins={"rules": "a_x"}, project=project)
    assert run().exit_code == 0
    assert "a_x" not in sys.modules
    kind, file, line, mend = at(only("--import"))
    assert (kind, line, mend) == ("plugin", 4, edit(Path(file), 4))
    assert file.endswith("a_x.py")


@pytest.mark.parametrize(
    ("source", "where"),
    [
        pytest.param("@hookimpl\ndef penstock_task_eligibel(task): ...\n", "a_x.py", id="misspelt"),
        pytest.param("@hookimpl\ndef penstock_cli(clii): ...\n", "a_x.py", id="wrong-argument"),
        pytest.param("class Config: ...\n" + RULE, "a_x.py", id="no-attrs-class"),
    ],
)
def test_a_plugin_that_breaks_the_contract(distribution: MakeDistribution, source: str, where: str) -> None:
    distribution("d", {"a_x.py": source}, plugins={"rules": "a_x"})
    kind, file, line, mend = at(only("--import"))
    assert (kind, Path(file).name, line) == ("plugin", where, 2)
    assert mend == "pip install --upgrade --force-reinstall d"


def test_a_plugin_without_any_hook(distribution: MakeDistribution) -> None:
    distribution("d", {"a_x.py": ""}, plugins={"rules": "a_x"})
    kind, file, line, mend = at(only())
    assert (kind, Path(file).name, line) == ("plugin", "a_x.py", None)
    assert mend == "pip install --upgrade --force-reinstall d"


# -------------------------------------------------------------------------------------------------------------- file


def test_a_key_that_is_misspelt_is_found_at_its_line(write: WriteFile) -> None:
    file = write("run.toml", "[scheduler]\nseed = 1\nmax_attempt = 3\n")
    assert at(only(file)) == ("configuration", str(file), 3, edit(file, 3))


def test_a_plugin_of_ours_that_is_not_installed_is_named_with_its_distribution(write: WriteFile) -> None:
    file = write("run.toml", '[plugins]\nready_queue = "fair"\n')
    assert at(only(file)) == ("configuration", str(file), 2, "pip install penstock-fairqueue")


def test_of_anybody_elses_plugin_no_distribution_is_guessed(write: WriteFile) -> None:
    file = write("run.toml", '[plugins]\nready_queue = "theirs"\n')
    assert at(only(file)) == ("configuration", str(file), 2, edit(file, 2))


def test_a_table_that_its_plugin_cannot_read(distribution: MakeDistribution, write: WriteFile) -> None:
    distribution("d", {"a_x.py": SINK}, plugins={"lines": "a_x:Sink"})
    file = write("run.toml", '[plugins]\nsinks = ["lines"]\n[plugins.lines]\npath = 3\n')
    assert at(only(file)) == ("configuration", str(file), 4, edit(file, 4))


def test_a_factory_that_raises_is_found_in_a_dry_run(distribution: MakeDistribution, write: WriteFile) -> None:
    source = "@hookimpl\ndef penstock_ready_queue(settings): 1 / 0\n"
    distribution("d", {"a_x.py": source}, plugins={"mine": "a_x"})
    file = write("run.toml", '[plugins]\nready_queue = "mine"\n')
    finding = only(file)
    assert finding["kind"] == "configuration"
    assert "penstock_ready_queue failed: ZeroDivisionError" in finding["cause"]


def test_a_limiter_that_is_none_is_found_in_a_dry_run(distribution: MakeDistribution, write: WriteFile) -> None:
    source = "@hookimpl\ndef penstock_request_limiter(scope): return 3\n"
    distribution("d", {"a_x.py": source}, plugins={"mine": "a_x"})
    text = PROVIDER.format(cap=1).replace('api_key_env = "P_KEY"', "")
    file = write("run.toml", '[plugins]\nrequest_limiters = ["mine"]\n' + dedent(text))
    assert "must make a RequestLimiter" in only(file)["cause"]


def test_a_sink_that_a_run_would_go_without(distribution: MakeDistribution, write: WriteFile) -> None:
    distribution("d", {"a_x.py": SINK + "    1 / 0\n"}, plugins={"lines": "a_x:Sink"})
    kinds = {finding["kind"]: finding["mend"] for finding in found(write("run.toml", '[plugins]\nsinks = ["lines"]\n'))}
    assert kinds == {"disabled": "pip install --upgrade --force-reinstall d"}


def test_a_sink_whose_folder_is_not_there(distribution: MakeDistribution, write: WriteFile, tmp_path: Path) -> None:
    distribution("d", {"a_x.py": SINK}, plugins={"lines": "a_x:Sink"})
    place = tmp_path / "none"
    file = write("run.toml", f'[plugins]\nsinks = ["lines"]\n[plugins.lines]\npath = "{place}/events"\n')
    assert at(only(file)) == ("path", str(file), 4, f"mkdir -p {place}")


def test_a_sinks_file_that_may_not_be_written_is_mended_by_fix(
    distribution: MakeDistribution, write: WriteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    distribution("d", {"a_x.py": SINK}, plugins={"lines": "a_x:Sink"})
    events = write("events.txt", "")
    events.chmod(0o400)
    # The superuser may write everywhere: what may be written is told from the mode, as for anybody else.
    monkeypatch.setattr(os, "access", lambda path, mode: bool(Path(path).stat().st_mode & 0o200))
    file = write("run.toml", f'[plugins]\nsinks = ["lines"]\n[plugins.lines]\npath = "{events}"\n')
    assert at(only(file)) == ("path", str(file), 4, f"chmod u+w {events}")
    assert run("--fix", file).exit_code == 0
    assert events.stat().st_mode & 0o777 == 0o600
    assert run(file).exit_code == 0


def test_a_key_that_is_not_set_and_one_that_is_which_is_never_shown(
    write: WriteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write("run.toml", PROVIDER.format(cap=1))
    monkeypatch.delenv("P_KEY", raising=False)
    assert at(only(file)) == ("key", str(file), 4, "export P_KEY=...")
    monkeypatch.setenv("P_KEY", "sk-very-secret")
    result = run(file)
    assert result.exit_code == 0
    assert "keys set: P_KEY" in result.stdout
    assert "secret" not in result.output + run("--json", file).output


def test_a_key_that_stands_where_its_variables_name_belongs_is_not_shown(write: WriteFile) -> None:
    file = write("run.toml", PROVIDER.format(cap=1).replace("P_KEY", "sk-very-secret"))
    assert at(only(file)) == ("key", str(file), 4, edit(file, 4))
    assert "secret" not in run("--json", file).output


def test_more_calls_than_files_may_be_open(write: WriteFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("P_KEY", "k")
    monkeypatch.setattr(resource, "getrlimit", lambda of: (100, 100))
    file = write("run.toml", PROVIDER.format(cap=37))
    assert at(only(file)) == ("open-files", str(file), 6, "ulimit -n 101")
    assert run(write("fits.toml", PROVIDER.format(cap=36))).exit_code == 0


def test_what_the_owner_of_a_file_says_is_found_too(distribution: MakeDistribution, write: WriteFile) -> None:
    source = """
        from penstock import ConfigError, FileCheck, Problem

        @hookimpl
        def penstock_check(tables):
            if "broken" in tables:
                raise ConfigError(Problem(("broken", "n"), "must be even"))
            return FileCheck(notes=["the third row is blue"]) if "mine" in tables else None
    """
    distribution("d", {"a_x.py": source}, plugins={"rows": "a_x"})
    mine, broken = write("m.toml", "[mine]\n"), write("b.toml", "[broken]\nn = 1\n")
    assert at(only(mine)) == ("file", str(mine), None, f"penstock check {mine}")
    assert at(only(broken)) == ("configuration", str(broken), 2, edit(broken, 2))


# ----------------------------------------------------------------------------------------------------------- sockets


@pytest.mark.loopback
def test_sockets_of_dead_runs_are_left_where_they_are_until_fix_removes_them(place: Path) -> None:
    folder = place / f"penstock-{os.geteuid()}"
    folder.mkdir(mode=0o700)
    dead = folder / "0123456789abcdef.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(dead))
    assert at(only()) == ("socket", str(folder), None, "penstock doctor --fix")
    assert dead.exists()
    result = run("--fix")
    assert (result.exit_code, dead.exists()) == (0, False)
    assert "mended by" in result.stdout


def test_a_folder_of_sockets_that_others_can_enter_is_closed_by_fix(place: Path) -> None:
    folder = place / f"penstock-{os.geteuid()}"
    folder.mkdir()
    folder.chmod(0o755)
    assert at(only()) == ("socket-folder", str(folder), None, f"chmod 700 {folder}")
    assert run("--fix").exit_code == 0
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_is_a_link_is_left_alone(place: Path) -> None:
    folder = place / f"penstock-{os.geteuid()}"
    folder.symlink_to(place)
    finding = only("--fix")
    assert (finding["kind"], finding["fix"]) == ("socket-folder", False)
    assert finding["mend"].startswith("export XDG_RUNTIME_DIR=")


def test_a_plugin_whose_code_is_newer_than_its_tier(distribution: MakeDistribution, write: WriteFile) -> None:
    text = '[project]\nname = "d"\n[project.entry-points."penstock.plugins"]\nrules = "a_x"\n'
    earned = 'rules = "lawful:6.0.sha0123456789ab"'
    project = write("project/pyproject.toml", f'{text}[project.entry-points."penstock.tier"]\n{earned}\n')
    tiers = {"rules": "lawful:6.0.sha0123456789ab"}
    distribution("d", {"a_x.py": RULE}, plugins={"rules": "a_x"}, project=project.parent, tiers=tiers)
    finding = only()
    again = f"cd {project.parent} && python -m pytest -p penstock.testing.tier --penstock-tier {project}"
    assert at(finding) == ("tier", str(project), 6, again)
    assert finding["cause"] == (
        "plugin 'rules' of d has earned lawful (core 6.0), and since then the core has become 7.0 and its own code has "
        "changed"
    )


def test_of_a_plugin_that_somebody_else_works_on_the_tier_is_no_finding(distribution: MakeDistribution) -> None:
    distribution("d", {"a_x.py": RULE}, plugins={"rules": "a_x"}, tiers={"rules": "lawful:6.0.sha0123456789ab"})
    assert run().exit_code == 0
