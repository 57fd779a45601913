"""A Ctrl+C while the command is still being imported is a line, and no traceback."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import penstock


def test_an_interruption_while_the_package_is_imported_is_one_line_and_130(tmp_path: Path) -> None:
    package = tmp_path / "penstock"
    package.mkdir()
    (package / "__init__.py").write_text("raise KeyboardInterrupt\n", encoding="utf-8")
    run = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from penstock_command import main; main()"
    ended = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "interrupted\n")


@pytest.mark.parametrize("where", ["cli/main.py", "words/printable.py"], ids=["the command", "the package"])
def test_so_it_is_where_the_package_is_run_as_a_module(tmp_path: Path, where: str) -> None:
    package = tmp_path / "penstock"
    shutil.copytree(Path(penstock.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    with (package / where).open("a", encoding="utf-8") as file:
        file.write("raise KeyboardInterrupt\n")
    run = [sys.executable, "-m", "penstock", "--version"]
    ended = subprocess.run(
        run, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert (ended.returncode in (130, -signal.SIGINT), ended.stdout, ended.stderr) == (True, "", "interrupted\n")
