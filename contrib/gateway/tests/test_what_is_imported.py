"""What a process that serves has in its memory: what it needs to serve, and nothing that only other commands, mistakes
and tests need. `docs/design/gateway.md` says what that costs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from penstock_gateway.testing import KEYS, PROVIDER_KEY

FILE = """
[providers.acme]
base_url = "http://127.0.0.1:9/v1"
api_key_env = "PROVIDER_KEY"
[providers.acme.models.small]
max_parallel_requests = 4
[gateway]
port = 0
workers = {workers}
[gateway.admin]
port = 0
[gateway.keys.team-a]
env = "{env}"
requests_per_minute = 1000
"""

OTHER_COMMANDS = [
    *(
        f"penstock.cli.{name}"
        for name in (
            "check",
            "config_lines",
            "cost",
            "doctor",
            "explain",
            "new",
            "plugins",
            "reconfigure",
            "schema",
            "top",
        )
    ),
    "penstock.config.json_schema",
    "penstock_batch",
    "penstock_mockprovider",
    "rich",
    "sysconfig",
]
TESTS = ["penstock.testing", "trio.testing", "pytest", "_pytest", "hypothesis", "unittest", "doctest", "pdb", "pydoc"]
WHERE_IT_IS_ASKED_FOR = ["sqlite3", "difflib", "multiprocessing", "opentelemetry"]
NEVER = ["asyncio", "http.client", "urllib.request", "xml", "concurrent.futures"]


def imported(path: Path, workers: int) -> set[str]:
    """The modules that `penstock serve` imports, in its first process and those that it forks, until it serves."""
    path.write_text(FILE.format(workers=workers, env=next(iter(KEYS))), encoding="utf-8")
    command = [sys.executable, "-X", "importtime", "-m", "penstock", "serve", str(path)]
    environment = {**os.environ, **KEYS, "PROVIDER_KEY": PROVIDER_KEY}
    found, last = set(), ""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as served:
        assert served.stderr is not None
        for line in served.stderr:
            if line.startswith("import time:"):
                found.add(line.rpartition("|")[2].strip())
            else:
                last = line
            if line.lstrip().startswith("-d "):
                break
        served.send_signal(signal.SIGTERM)
        served.stderr.read()
    assert served.returncode == 0, last
    return found


@pytest.fixture(
    scope="module", params=[1, pytest.param(2, marks=pytest.mark.skipif(sys.platform != "linux", reason="one"))]
)
def modules(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The modules of a gateway of one process, and of one with workers."""
    return imported(tmp_path_factory.mktemp("serving") / "gateway.toml", request.param)


@pytest.mark.loopback
@pytest.mark.skipif(sys.platform == "win32", reason="it is ended by a signal")
@pytest.mark.parametrize("package", [*OTHER_COMMANDS, *TESTS, *WHERE_IT_IS_ASKED_FOR, *NEVER])
def test_a_process_that_serves_has_not_imported(package: str, modules: set[str]) -> None:
    assert "penstock_gateway.front" in modules
    assert not {name for name in modules if name == package or name.startswith(f"{package}.")}
