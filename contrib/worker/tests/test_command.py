"""What `penstock worker` makes of the name that it is given."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

import penstock_worker
from penstock import ConfigError, FileCheck
from penstock_worker.command import find_worker
from penstock_worker.plugin import WorkerPlugin

JOBS = """
from penstock_worker import Worker

class Apps:
    inner = Worker()

app = Apps.inner
def function(payload): return payload
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder with modules that nobody else has, for as long as the test runs."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("worker_jobs", "worker_of_nothing"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    tmp_path.joinpath("worker_jobs.py").write_text(JOBS, encoding="utf-8")
    tmp_path.joinpath("worker_of_nothing.py").write_text("import no_such_module", encoding="utf-8")
    return str(tmp_path)


def test_a_module_alone_means_what_it_marked(folder: str) -> None:
    assert find_worker("worker_jobs", folder) is penstock_worker.default


def test_a_worker_is_found_in_its_module_by_its_name(folder: str) -> None:
    assert find_worker("worker_jobs:app", folder) is find_worker("worker_jobs:Apps.inner", folder)


@pytest.mark.parametrize(
    ("app", "words"),
    [
        ("worker_jobs.py", "written as module or module:app"),
        ("folder/worker_jobs", "written as module or module:app"),
        ("worker_jobs:", "written as module or module:app"),
        (":app", "written as module or module:app"),
        ("", "written as module or module:app"),
        ("worker_nowhere", "there is no module 'worker_nowhere'"),
        ("worker_of_nothing", "importing 'worker_of_nothing' failed"),
        ("worker_jobs:nothing", "has no 'nothing'"),
        ("worker_jobs:function", "must be a penstock_worker.Worker"),
    ],
)
def test_a_name_that_leads_to_no_worker_is_refused(folder: str, app: str, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        find_worker(app, folder)
    assert words in str(raised.value)


def test_check_says_what_a_worker_makes_of_its_file_or_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "worker.toml"

    def checked(text: str) -> FileCheck | None:
        file.write_text(text, encoding="utf-8")
        return WorkerPlugin().penstock_check(file, tomllib.loads(text), (), ())

    assert checked("[scheduler]\n") is None
    found = checked("[scheduler]\nshutdown_grace = 9.0\n[worker]\ntime_limit = 5.0\n")
    assert found is not None
    assert found.lines[0] == f"{file}: a worker; a task has 5 s at most, and 8 s after SIGTERM"
    assert found.notes == ("scheduler.shutdown_grace has no effect on a worker: write grace under [worker]",)
    with pytest.raises(ConfigError, match=r"worker\.time_limt: unknown key; did you mean 'time_limit'"):
        checked("[worker]\ntime_limt = 5.0\n")
