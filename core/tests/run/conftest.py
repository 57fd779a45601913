"""What the tests of the explain socket share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the sockets, with a short name, as the paths of sockets must be."""
    tmp_path_factory.getbasetemp()  # which is made in the temporary folder when it is first asked for
    with TemporaryDirectory(prefix="p", dir="/tmp") as short:
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        monkeypatch.setattr(tempfile, "tempdir", short)
        yield Path(short, "penstock")
