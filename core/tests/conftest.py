"""What tests of several packages share: distributions and plugin files as they would lie in somebody's site-packages,
made for one test, and a request gate on a bench.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib import invalidate_caches
from importlib.metadata import distributions
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent

import pytest
import trio

from penstock.testing import RequestBench
from penstock.testing.request_bench import CHAT

HEAD = "from penstock import hookimpl\n"

MakeDistribution = Callable[..., None]
WriteFile = Callable[[str, str], Path]


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An environment in which nothing is installed; what is imported already stays imported."""
    before = set(sys.modules)
    empty = [entry for entry in sys.path if not any(True for _ in distributions(path=[entry]))]
    monkeypatch.setattr(sys, "path", empty)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def distribution(tmp_path: Path, bare_environment: None) -> MakeDistribution:
    """Installs a distribution: its name, its modules (file to source), its entry points by group, and the folder of its
    project where it is an editable install."""

    def make(
        name: str,
        modules: Mapping[str, str] | None = None,
        *,
        version: str = "1.0",
        plugins: Mapping[str, str] | None = None,
        commands: Mapping[str, str] | None = None,
        contract: str | None = None,
        tiers: Mapping[str, str] | None = None,
        project: Path | None = None,
        copy: str = "",
    ) -> None:
        site = tmp_path / f"site{copy}" / name
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
        lines: list[str] = []
        for group, entries in (("penstock.plugins", plugins or {}), ("penstock.commands", commands or {})):
            lines += [f"[{group}]", *(f"{key} = {value}" for key, value in entries.items())]
        if contract is not None:
            lines += ["[penstock.contract]", f"hooks = {contract}"]
        if tiers is not None:
            lines += ["[penstock.tier]", *(f"{key} = {value}" for key, value in tiers.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        if project is not None:
            origin = {"url": project.as_uri(), "dir_info": {"editable": True}}
            (info / "direct_url.json").write_text(json.dumps(origin), encoding="utf-8")
        for file, source in (modules or {}).items():
            (site / file).parent.mkdir(parents=True, exist_ok=True)
            (site / file).write_text(HEAD + dedent(source), encoding="utf-8")
        sys.path.insert(0, str(site))  # the list is this test's own; syspath_prepend would restore it as the real one
        invalidate_caches()

    return make


@pytest.fixture
def write(tmp_path: Path) -> WriteFile:
    """Writes a file below the test's folder; a Python file can use `hookimpl`."""

    def make(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((HEAD if name.endswith(".py") else "") + dedent(text), encoding="utf-8")
        return path

    return make


@pytest.fixture
def bench() -> RequestBench:
    """Provider `p`, model `m` with a cap of 2, in the domain `chat`; a scripted limiter for every scope."""
    return RequestBench({CHAT: 2})


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the sockets, with a short name, as the paths of sockets must be."""
    tmp_path_factory.getbasetemp()  # which is made in the temporary folder when it is first asked for
    with TemporaryDirectory(prefix="p", dir="/tmp") as short:
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        monkeypatch.setattr(tempfile, "tempdir", short)
        yield Path(short, "penstock")


@pytest.fixture
async def cancellation_that_is_over() -> trio.Cancelled:
    """As foreign code may keep one, and raise it again."""
    kept: list[trio.Cancelled] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as error:
            kept.append(error)
    return kept[0]
