"""A command whose standard streams were closed when it began, as some supervisors do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = """
import sys

import click

from penstock import hookimpl


class Writes:
    @hookimpl
    def penstock_cli(self, cli: click.Group) -> None:
        @cli.command()
        def writes() -> None:
            sys.stdout.buffer.write(b"to nobody")
            sys.stderr.write("to nobody")
            sys.stderr.flush()
            raise SystemExit(3 if sys.stdin.read() == "" else 4)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="closes descriptors by a POSIX shell")
def test_who_writes_to_a_stream_that_was_closed_before_writes_to_nobody(tmp_path: Path) -> None:
    plugin = tmp_path / "writes_plugin.py"
    plugin.write_text(COMMAND, encoding="utf-8")
    command = [sys.executable, "-m", "penstock", "--plugin", str(plugin), "writes"]
    ended = subprocess.run(["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command], check=False)
    assert ended.returncode == 3
