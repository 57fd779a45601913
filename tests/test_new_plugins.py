"""What `penstock new` makes, of every kind: it is clean and typed, its tests pass, and a run takes it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib import invalidate_caches
from pathlib import Path

import pytest
import trio.testing
from click.testing import CliRunner

import penstock
from penstock.cli.main import cli
from penstock.cli.new.kinds import KINDS
from penstock.cli.new.names import DIALECT_GROUP, LONGEST, TAKEN
from penstock.plugins.discovery import PLUGIN_GROUP
from penstock_dialects import dialect_names, find_dialect
from penstock_dialects.dialects import forget_entry_points

HOUSE = Path(__file__).parents[1]
HOOKED = [kind for kind in KINDS if KINDS[kind].group == PLUGIN_GROUP]
TOML = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def new(into: Path, *args: str) -> str:
    result = CliRunner().invoke(cli, ["new", *args, "--into", str(into)], prog_name="penstock")
    assert result.exit_code == 0, result.output
    return result.stdout


def long_name(kind: str) -> str:
    return f"{kind}-of-a-name-of-many-letters-and-more"[:LONGEST]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a distribution of every kind."""
    folder = tmp_path_factory.mktemp("made")
    for kind in KINDS:
        new(folder, kind, f"new-{kind}")
    return folder


def run(made: Path, *command: str | Path, **surroundings: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        cwd=made,
        env={**os.environ, **surroundings},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def sources(made: Path) -> str:
    return os.pathsep.join(str(made / f"penstock-new-{kind}" / "src") for kind in KINDS)


def test_it_is_clean_and_stays_so_with_a_long_name(made: Path, tmp_path: Path) -> None:
    for kind in KINDS:
        new(tmp_path, kind, long_name(kind), "--distribution", f"acme-{long_name(kind)}")

    for folder in (made, tmp_path):
        run(folder, "ruff", "check", "--no-cache", ".")
        run(folder, "ruff", "format", "--check", "--no-cache", ".")


def test_it_is_typed(made: Path) -> None:
    settings = made / "penstock-new-rule" / "pyproject.toml"
    folders = [made / f"penstock-new-{kind}" / part for kind in KINDS for part in ("src", "tests")]

    said = run(made, "mypy", "--config-file", settings, "--cache-dir", ".cache", *folders, MYPYPATH=sources(made))

    assert f"no issues found in {2 * len(KINDS)} source files" in said


def test_its_tests_pass(made: Path) -> None:
    settings = made / "penstock-new-rule" / "pyproject.toml"
    tests = [made / f"penstock-new-{kind}" / "tests" / f"test_new_{kind}.py" for kind in KINDS]

    options: list[str | Path] = ["-p", "no:cacheprovider", "-c", settings, "--rootdir", made, "-v"]
    said = run(made, "pytest", *options, *tests, PYTHONPATH=sources(made))

    for kind in KINDS:
        assert f"test_new_{kind}.py::" in said
    assert not re.search(r"\d+ (skipped|xfailed|failed)", said)


@pytest.fixture
def installed(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The distributions, as they would lie in site-packages."""
    for kind in KINDS:
        folder = made / f"penstock-new-{kind}"
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        info = tmp_path / "site" / f"penstock_new_{kind}-{project['version']}.dist-info"
        info.mkdir(parents=True)
        facts = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        (info / "METADATA").write_text(facts, encoding="utf-8")
        points = [
            f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
            for group, entries in project["entry-points"].items()
        ]
        (info / "entry_points.txt").write_text("\n".join(points), encoding="utf-8")
        monkeypatch.syspath_prepend(folder / "src")
    monkeypatch.syspath_prepend(tmp_path / "site")
    invalidate_caches()


class Watch:
    """A plugin that keeps the names of those that take part in a run."""

    names: tuple[str, ...] = ()

    @penstock.hookimpl
    def penstock_run_started(self, run: penstock.RunInfo) -> None:
        self.names = run.plugins


@pytest.mark.parametrize("kind", HOOKED)
async def test_a_run_takes_it_by_what_its_readme_says(
    autojump_clock: trio.testing.MockClock, kind: str, made: Path, installed: None
) -> None:
    (said,) = TOML.findall((made / f"penstock-new-{kind}" / "README.md").read_text(encoding="utf-8"))
    watch = Watch()

    async with penstock.open_scheduler(tomllib.loads(said), plugins=[watch]) as scheduler:
        await scheduler.start_soon(trio.sleep, 1.0)

    assert f"new-{kind}" in watch.names


@pytest.mark.parametrize("kind", HOOKED)
async def test_a_run_takes_one_file_by_what_was_said_when_it_was_made(
    autojump_clock: trio.testing.MockClock, kind: str, tmp_path: Path
) -> None:
    said = new(tmp_path, kind, f"file-{kind}", "--file")
    config = tmp_path / "penstock.toml"
    config.write_text("\n".join(line[2:] for line in said.splitlines() if line.startswith("  ")), encoding="utf-8")
    watch = Watch()

    async with penstock.open_scheduler(config, plugins=[watch]) as scheduler:
        await scheduler.start_soon(trio.sleep, 1.0)

    assert f"file_{kind}" in watch.names


def test_a_dialect_is_found_by_its_name(installed: None) -> None:
    forget_entry_points()
    try:
        assert find_dialect("new-dialect").hosts == ("api.new-dialect.example",)
    finally:
        forget_entry_points()


def test_the_names_that_are_taken_are_those_of_this_house() -> None:
    plugins = {"core", "fifo", "nursery"}
    for area in ("plugins", "policies", "contrib"):
        for file in HOUSE.glob(f"{area}/*/pyproject.toml"):
            project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
            plugins |= {
                project["name"].removeprefix("penstock-"),
                *project.get("entry-points", {}).get(PLUGIN_GROUP, {}),
            }

    assert TAKEN[PLUGIN_GROUP] == plugins
    assert TAKEN[DIALECT_GROUP] == set(dialect_names())


def test_it_depends_on_what_our_own_plugins_depend_on(made: Path) -> None:
    def dependencies(file: Path) -> set[str]:
        return set(tomllib.loads(file.read_text(encoding="utf-8"))["project"]["dependencies"])

    ours = {each for file in HOUSE.glob("p*/*/pyproject.toml") for each in dependencies(file)}
    for other in ("httpx", "dialects"):
        ours |= dependencies(HOUSE / f"contrib/{other}/pyproject.toml")
    for kind in KINDS:
        assert dependencies(made / f"penstock-new-{kind}" / "pyproject.toml") <= ours
