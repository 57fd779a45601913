"""What works only in the checkout does not work: every wheel is built and installed in a clean environment,
and used there.

Run by `tox -e wheels`; it takes pip, the index and the better part of a minute, so its name keeps it out of
the other tests. It needs hatchling and pytest in the environment that runs it, and nothing of ours.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2]
OUTSIDE = Path(__file__).with_name("outside")
EXAMPLE = HOUSE / "contrib/batch/examples/docstrings"
DISTRIBUTIONS = [
    HOUSE,
    HOUSE / "core",
    *(p.parent for a in ("plugins", "policies", "contrib") for p in HOUSE.glob(f"{a}/*/pyproject.toml")),
]

NAMED = """
[plugins]
request_limiters = ["cooldown"]

[providers.acme.models.small]
max_parallel_requests = 8
"""
SPACED = f"""{NAMED.replace('"cooldown"', '"cooldown", "spaced"')}
[plugins.spaced]
seconds = 2.0
"""
NARROWED = f"""{NAMED.replace('"cooldown"', '"cooldown", "narrow"')}
[plugins.narrow]
width = 2
"""


class CleanEnvironment:
    """A virtual environment that sees neither this one nor the checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        venv.create(folder / "venv", with_pip=False, symlinks=True)
        self.scripts = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")

    def pip(self, *arguments: object) -> None:
        call([sys.executable, "-m", "pip", "--python", self.scripts / "python", "--quiet", *arguments], self.home)

    def run(self, script: str, *arguments: object) -> str:
        done = self.attempt(script, *arguments)
        assert done.returncode == 0, f"{script} {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def attempt(self, script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        return call([self.scripts / script, *arguments], self.home, check=False)


def call(command: list[object], folder: Path, *, check: bool = True) -> subprocess.CompletedProcess[str]:
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    surroundings = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run([*map(str, command)], cwd=folder, env=surroundings, capture_output=True, text=True)
    assert not check or done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("wheels")
    build(folder, *DISTRIBUTIONS)
    return sorted(folder.glob("*.whl"))


def build(folder: Path, *projects: Path) -> None:
    call(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, *projects],
        folder,
    )


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory, wheels: list[Path]) -> CleanEnvironment:
    environment = CleanEnvironment(tmp_path_factory.mktemp("clean"))
    of_ray = [wheel for wheel in wheels if wheel.name.startswith("penstock_ray-")]
    environment.pip("install", *(wheel for wheel in wheels if wheel not in of_ray))
    environment.pip("install", "--no-deps", *of_ray)  # Ray is large, and imported only when a run starts
    return environment


@pytest.fixture
def narrow(clean: CleanEnvironment, tmp_path: Path) -> Iterator[None]:
    """The outside plugin, built from a copy that lies nowhere near this repository, installed beside our wheels."""
    project = shutil.copytree(OUTSIDE, tmp_path / "acme")
    project.joinpath("job.py").unlink()
    build(tmp_path, project)
    clean.pip("install", "--no-deps", *tmp_path.glob("acme_narrow-*.whl"))
    yield
    remove(clean)


def remove(clean: CleanEnvironment) -> None:
    clean.pip("uninstall", "--yes", "acme-narrow")


def plugins(clean: CleanEnvironment, *arguments: object) -> dict[str, dict[str, object]]:
    listed = json.loads(clean.run("penstock", "plugins", "list", "--json", *arguments))
    return {entry["name"]: entry for entry in listed}


def written(folder: Path, text: str) -> Path:
    file = folder / "penstock.toml"
    file.write_text(text, encoding="utf-8")
    return file


def job(clean: CleanEnvironment, config: Path) -> str:
    return clean.run("python", OUTSIDE / "job.py", config).strip()


def test_there_is_a_wheel_of_each_distribution_and_one_of_the_whole(wheels: list[Path]) -> None:
    assert len(wheels) == len(DISTRIBUTIONS)
    assert [wheel for wheel in wheels if wheel.name.startswith("penstock-0")]


def test_nothing_that_is_imported_lies_in_the_checkout(clean: CleanEnvironment) -> None:
    packages = [init.parent.name for d in DISTRIBUTIONS for init in d.glob("src/*/__init__.py")]
    code = "import sys, importlib; print(*(importlib.import_module(name).__file__ for name in sys.argv[1:]), sep='\\n')"

    files = clean.run("python", "-W", "error", "-c", code, *packages).splitlines()

    assert len(files) == len(packages) >= 10
    assert [file for file in files if not Path(file).is_relative_to(clean.folder)] == []


def test_the_plugins_are_listed(clean: CleanEnvironment) -> None:
    policies = {"strict-fair", "bounded-borrow", "aimd", "breaker", "cooldown", "latency", "sequential", "token-budget"}
    wanted = policies | {"fair", "jsonl", "otel", "processes", "ray", "threads", "mockprovider", "batch", "worker"}

    assert wanted <= set(plugins(clean))


def test_the_main_job_runs(clean: CleanEnvironment) -> None:
    example = shutil.copytree(EXAMPLE, clean.home / "docstrings", ignore=shutil.ignore_patterns("out", "__pycache__"))

    clean.run("penstock", "run", example / "pipeline.toml", "--limit", "20")

    rows = [json.loads(line) for line in example.joinpath("out/cards.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 20


def test_a_plugin_from_outside_is_listed_with_its_distribution(clean: CleanEnvironment, narrow: None) -> None:
    entry = plugins(clean)["narrow"]

    assert (entry["distribution"], entry["version"], entry["state"]) == ("acme-narrow", "3.1", "available")
    assert "width" in clean.run("penstock", "plugins", "show", "narrow")


def test_a_plugin_from_outside_changes_a_run_and_removing_it_changes_it_back(
    clean: CleanEnvironment, narrow: None, tmp_path: Path
) -> None:
    assert job(clean, written(tmp_path, NAMED)) == "1 s, 8 at once", "installed, but not asked for"

    assert job(clean, written(tmp_path, NARROWED)) == "4 s, 2 at once"
    assert job(clean, written(tmp_path, NARROWED.replace("width = 2", "width = 4"))) == "2 s, 4 at once"
    wrong = clean.attempt("python", OUTSIDE / "job.py", written(tmp_path, NARROWED.replace("= 2", '= "2"')))
    assert "plugins.narrow.width" in wrong.stderr

    remove(clean)

    missing = clean.attempt("python", OUTSIDE / "job.py", written(tmp_path, NARROWED))
    assert missing.returncode != 0
    assert "narrow" in missing.stderr
    assert job(clean, written(tmp_path, NAMED)) == "1 s, 8 at once"


def test_a_plugin_that_penstock_new_made_is_a_wheel_that_changes_a_run(clean: CleanEnvironment, tmp_path: Path) -> None:
    clean.run("penstock", "new", "limiter", "spaced", "--into", tmp_path)
    build(tmp_path, tmp_path / "penstock-spaced")
    clean.pip("install", "--no-deps", *tmp_path.glob("penstock_spaced-*.whl"))
    try:
        assert plugins(clean)["spaced"]["distribution"] == "penstock-spaced"
        assert job(clean, written(tmp_path, NAMED)) == "1 s, 8 at once", "installed, but not asked for"
        assert job(clean, written(tmp_path, SPACED)) == "15 s, 1 at once"
    finally:
        clean.pip("uninstall", "--yes", "penstock-spaced")
