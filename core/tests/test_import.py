"""What `import penstock`, and its command, bring into a program: what they need, and nothing of tests."""

from __future__ import annotations

import subprocess
import sys

import pytest

import penstock

LOADED = """
import sys

before = set(sys.modules)
import penstock

assert penstock.CommandLine() == penstock.CommandLine(plugin_files=())
print(*set(sys.modules) - before, sep="\\n")
"""


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """The modules that `import penstock` loads in a fresh interpreter."""
    return set(
        subprocess.run([sys.executable, "-c", LOADED], check=True, capture_output=True, text=True).stdout.split()
    )


def test_importing_the_core_loads_the_core(loaded: set[str]) -> None:
    assert {"penstock", "trio", "pluggy"} <= loaded


@pytest.mark.parametrize("package", ["click", "pytest", "_pytest", "hypothesis", "trio.testing", "penstock.testing"])
def test_importing_the_core_loads_nothing_of_the_command_line_or_of_a_test_framework(
    package: str, loaded: set[str]
) -> None:
    assert not {name for name in loaded if name == package or name.startswith(f"{package}.")}


@pytest.mark.parametrize("package", ["pytest", "_pytest", "hypothesis", "trio.testing", "penstock.testing"])
def test_the_command_loads_nothing_of_a_test_framework(package: str) -> None:
    code = f"import sys; from penstock.cli.main import cli; print({package!r} in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert told.stdout == "False\n"


@pytest.mark.parametrize("command", ["check", "doctor", "explain", "new", "plugins", "reconfigure", "schema", "top"])
def test_the_command_loads_an_own_command_when_it_is_asked_for(command: str) -> None:
    code = f"""
import sys
from penstock.cli.main import cli
print("penstock.cli.{command}" in sys.modules)
cli(["{command}", "--help"], standalone_mode=False)
print("penstock.cli.{command}" in sys.modules)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert told.stdout.startswith("False\n")
    assert told.stdout.endswith("True\n")


def test_nobody_refers_weakly_to_an_object_of_a_compiled_class() -> None:
    kinds = {
        kind
        for name, module in sys.modules.items()
        if name.partition(".")[0].startswith(penstock.__name__)
        for kind in vars(module).values()
        if isinstance(kind, type) and "__mypyc_attrs__" in vars(kind)
    }
    assert [kind for kind in kinds if kind.__weakrefoffset__] == []
