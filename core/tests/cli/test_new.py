"""`penstock new`: where it puts things, what it calls them, and what it refuses. Whether what it makes works is tested
over all kinds by `tests/test_new_plugins.py`.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from penstock.cli.main import cli
from penstock.cli.new.kinds import KINDS
from penstock.cli.new.rendering import class_prefix

if TYPE_CHECKING:
    from core.tests.conftest import MakeDistribution

pytestmark = pytest.mark.usefixtures("bare_environment")


def new(into: Path, *args: str) -> Result:
    return CliRunner().invoke(cli, ["new", *args, "--into", str(into)], prog_name="penstock")


def made_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def refusal(folder: Path, *args: str) -> str:
    """The words of a refusal, which leaves everything as it was."""
    before = made_in(folder)
    result = new(folder, *args)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("penstock: ")
    assert made_in(folder) == before
    return result.stderr


def test_it_makes_a_distribution_that_is_named_after_the_plugin(tmp_path: Path) -> None:
    result = new(tmp_path, "rule", "one-each")

    assert result.exit_code == 0, result.output
    assert [path for path in made_in(tmp_path) if tmp_path.joinpath(path).is_file()] == [
        "penstock-one-each/.github/workflows/ci.yml",
        "penstock-one-each/.gitignore",
        "penstock-one-each/CHANGELOG.md",
        "penstock-one-each/README.md",
        "penstock-one-each/pyproject.toml",
        "penstock-one-each/src/penstock_one_each/__init__.py",
        "penstock-one-each/src/penstock_one_each/py.typed",
        "penstock-one-each/tests/test_one_each.py",
    ]
    assert "Made" in result.stdout
    assert "python -m pytest" in result.stdout


def test_the_prefix_may_be_written(tmp_path: Path) -> None:
    assert new(tmp_path, "rule", "penstock-one-each").exit_code == 0
    assert '\none-each = "penstock_one_each:OneEachPlugin"\n' in (
        tmp_path / "penstock-one-each/pyproject.toml"
    ).read_text(encoding="utf-8")


def test_a_distribution_may_have_a_name_of_its_own(tmp_path: Path) -> None:
    assert new(tmp_path, "rule", "one-each", "--distribution", "acme-rules").exit_code == 0
    text = (tmp_path / "acme-rules/pyproject.toml").read_text(encoding="utf-8")
    assert 'name = "acme-rules"' in text
    assert '\none-each = "acme_rules:OneEachPlugin"\n' in text


def test_one_file_gives_the_plugin_its_name(tmp_path: Path) -> None:
    result = new(tmp_path, "rule", "one-each", "--file")

    assert result.exit_code == 0, result.output
    assert made_in(tmp_path) == ["one_each.py"]
    assert 'load = ["one_each.py"]' in result.stdout
    assert "[plugins.one_each]" in result.stdout


@pytest.mark.parametrize("name", ["one_each", "one_each.py", "penstock-one-each"])
def test_the_name_of_a_file_may_be_written_as_it_will_be(tmp_path: Path, name: str) -> None:
    assert new(tmp_path, "rule", name, "--file").exit_code == 0
    assert made_in(tmp_path) == ["one_each.py"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("polcy", "x"), "\"polcy\" is no kind of plugin: did you mean 'policy'?"),
        (("", "x"), "is no kind of plugin"),
        (("rule", "One_Each"), "as 'one-each'"),
        (("rule", "one--each"), "as 'one-each'"),
        (("rule", "1st"), "from a letter on"),
        (("rule", "über"), "is no name of a plugin"),
        (("rule", "a/b"), "as 'a-b'"),
        (("rule", "../b"), "as 'b'"),
        (("rule", ""), "is no name of a plugin"),
        (("rule", "one-each\n"), "is no name of a plugin"),
        (("rule", "x" * 31), "at most 30"),
        (("rule", "x" * 31, "--file"), "at most 30"),
        (("rule", "x", "--distribution", "Acme Rules"), "\"Acme Rules\" is no name of a distribution"),
        (("rule", "x", "--distribution", "a/../../b"), "is no name of a distribution"),
        (("rule", "x", "--distribution", "json"), "'json' is a word of Python's own"),
        (("rule", "x", "--distribution", "class"), "'class' is a word of Python's own"),
        (("rule", "x", "--distribution", "penstock"), "there is a module 'penstock' already"),
        (("rule", "json", "--file"), "'json' is a word of Python's own"),
        (("rule", "penstock", "--file"), "there is a module 'penstock' already"),
        (("queue", "fifo"), "there is a plugin 'fifo' already, Penstock's own"),
        (("queue", "fifo", "--file"), "there is a plugin 'fifo' already, Penstock's own"),
        (("limiter", "token-budget"), "there is a plugin 'token-budget' already"),
        (("limiter", "token_budget", "--file"), "there is a plugin 'token-budget' already"),
        (("dialect", "openai"), "there is a dialect 'openai' already"),
        (("dialect", "mine", "--file"), "needs a distribution; leave out --file"),
        (("rule", "x", "--file", "--distribution", "y"), "leave out --file or --distribution"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_refused_with_what_would_be_right(
    tmp_path: Path, args: tuple[str, ...], words: str
) -> None:
    assert words in refusal(tmp_path, *args)


def test_a_plugin_that_is_installed_is_not_hidden(tmp_path: Path, distribution: MakeDistribution) -> None:
    distribution("acme-things", {"acme_things.py": ""}, plugins={"slow": "acme_things"})
    into = tmp_path / "into"
    into.mkdir()

    assert "there is a plugin 'slow' already, of acme-things 1.0" in refusal(into, "rule", "slow")
    assert "'acme-things' is installed already (1.0)" in refusal(into, "rule", "x", "--distribution", "acme-things")


def test_a_module_that_can_be_imported_is_not_hidden(tmp_path: Path, distribution: MakeDistribution) -> None:
    distribution("other", {"acme_things.py": ""})
    into = tmp_path / "into"
    into.mkdir()

    assert "there is a module 'acme_things' already" in refusal(into, "rule", "x", "--distribution", "acme-things")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "penstock-one-each").mkdir()
    (tmp_path / "penstock-other").write_text("mine", encoding="utf-8")
    (tmp_path / "one_each.py").write_text("mine", encoding="utf-8")

    for args in (("one-each",), ("other",), ("one-each", "--file")):
        assert "is there already, and nothing is overwritten" in refusal(tmp_path, "rule", *args)
    assert (tmp_path / "one_each.py").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("more", [(), ("--file",)])
def test_a_folder_that_is_not_there_is_named(tmp_path: Path, more: tuple[str, ...]) -> None:
    assert "is no folder to put" in refusal_into(tmp_path / "nowhere", *more)


@pytest.mark.parametrize("more", [(), ("--file",)])
def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path, more: tuple[str, ...]) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")

    assert "cannot be written: Not a directory" in refusal_into(tmp_path / "file", *more)


def refusal_into(into: Path, *more: str) -> str:
    result = new(into, "rule", "one-each", *more)
    assert result.exit_code == 2, result.output
    return result.stderr


@pytest.mark.parametrize("more", [(), ("--file",)])
def test_a_disk_that_fills_up_under_way_leaves_nothing_behind(
    tmp_path: Path, more: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Path.open

    def open_full(self: Path, *args: Any, **options: Any) -> Any:
        file = opened(self, *args, **options)
        if self.suffix == ".py":

            def write(text: str) -> int:
                raise OSError(errno.ENOSPC, "No space left on device")

            file.write = write
        return file

    monkeypatch.setattr(Path, "open", open_full)

    assert "cannot be written: No space left on device" in refusal(tmp_path, "rule", "one-each", *more)


def test_the_help_says_what_it_is_called_and_every_kind() -> None:
    shown = CliRunner().invoke(cli, ["new", "--help"], prog_name="penstock").output

    assert "penstock-NAME" in shown
    assert all(kind in shown for kind in KINDS)


@pytest.mark.parametrize(
    ("kind", "plugin", "prefix"),
    [
        ("rule", "quiet-hours", "QuietHours"),
        ("rule", "quiet_hours", "QuietHours"),
        ("limiter", "slow-limiter", "Slow"),
        ("limiter", "limiter", "Limiter"),
        ("limiter", "request", "MyRequest"),
        ("queue", "ready", "MyReady"),
        ("runner", "task", "MyTask"),
    ],
)
def test_a_class_is_named_after_the_plugin_and_unlike_those_that_it_uses(kind: str, plugin: str, prefix: str) -> None:
    assert class_prefix(kind, plugin) == prefix
