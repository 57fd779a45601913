"""What CONTRIBUTING.md tells a newcomer to type is there, and what a host runs for us is what a person runs."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1]
COMMANDS = [
    shlex.split(line.removeprefix("$ "))
    for line in HOUSE.joinpath("CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("$ ")
]
FIRST_STEPS = COMMANDS[:5]
SMALL = [command[3:] for command in COMMANDS if command[:3] == ["python", "-m", "pytest"] and "-n" not in command]


def test_it_takes_five_lines_from_a_clone_to_one_green_test() -> None:
    clone, environment, activation, installation, test = FIRST_STEPS

    urls = tomllib.loads(HOUSE.joinpath("pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    assert clone == ["git", "clone", urls["Source"], "&&", "cd", "penstock"]
    assert environment == ["python", "-m", "venv", ".venv"]
    assert activation == ["source", ".venv/bin/activate"]
    assert installation == ["python", "-m", "pip", "install", "-r", "requirements.txt"]
    assert test[:3] == ["python", "-m", "pytest"]


@pytest.mark.parametrize("arguments", SMALL, ids=" ".join)
def test_a_command_that_runs_few_tests_finds_them(arguments: list[str]) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=HOUSE,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )

    assert found.returncode == 0, found.stdout + found.stderr


def test_a_host_runs_the_script_of_ci_by_each_python_that_tox_knows() -> None:
    workflow = HOUSE.joinpath(".github/workflows/ci.yml").read_text(encoding="utf-8")
    (listed,) = re.findall(r"python: \[(.*)\]", workflow)
    (later,) = re.findall(r"\[testenv:tests-py\{(.*)\}\]", HOUSE.joinpath("tox.ini").read_text(encoding="utf-8"))

    assert "- run: .ci/run" in workflow
    assert [version.strip('" ') for version in listed.split(",")] == [
        "3.11",
        *(f"{version[0]}.{version[1:]}" for version in later.split(",")),
    ]
    assert HOUSE.joinpath(".ci/run").read_text(encoding="utf-8").endswith("python -m pip install tox && tox\n")


def test_what_pre_commit_runs_is_among_the_requirements() -> None:
    entries = re.findall(r"entry: (.*)", HOUSE.joinpath(".pre-commit-config.yaml").read_text(encoding="utf-8"))
    requirements = HOUSE.joinpath("requirements.txt").read_text(encoding="utf-8")
    of_the_tool = {"lint-imports": "import-linter"}
    tools = [entry.removeprefix("python -m ").split()[0] for entry in entries]

    assert [tool for tool in tools if f"\n{of_the_tool.get(tool, tool)}>=" not in requirements] == []
    paths = [word for entry in entries for word in entry.split() if word.endswith(".py")]
    assert [path for path in paths if not HOUSE.joinpath(path).exists()] == []
    assert len(entries) == 5
