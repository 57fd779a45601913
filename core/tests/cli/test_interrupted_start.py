"""A Ctrl+C while the command is still being imported is a line, and no traceback."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def test_an_interruption_while_the_package_is_imported_is_one_line_and_130(tmp_path: Path) -> None:
    package = tmp_path / "penstock"
    package.mkdir()
    (package / "__init__.py").write_text("raise KeyboardInterrupt\n", encoding="utf-8")
    run = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from penstock_command import main; main()"
    ended = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "interrupted\n")
