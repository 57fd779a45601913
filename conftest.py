"""What holds for every test, wherever it runs.

Hypothesis judges answers, never how long they took, and keeps examples only where it may: a busy machine, a fresh
checkout in which it first builds its tables, or one that may not be written, is no reason for a test to fail. Nor is a
proxy in the environment, which cannot reach the servers that tests have on loopback; nor is a shell that started them
in the background, with Ctrl+C ignored.

What is collected stays to the end. The garbage collector does not go through ten thousand tests again and again,
neither while they are collected nor while they run.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
from collections.abc import Callable, Generator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.database import DirectoryBasedExampleDatabase

HOUSE = Path(__file__).parent
EXAMPLES = HOUSE / ".hypothesis" / "examples"

for name in [name for name in os.environ if name.lower() in ("http_proxy", "https_proxy", "all_proxy", "no_proxy")]:
    del os.environ[name]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "penstock",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    database=DirectoryBasedExampleDatabase(EXAMPLES) if os.access(HOUSE, os.W_OK) else None,
)
settings.register_profile(
    "mutants",
    settings.get_profile("penstock"),
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
)  # of a defect that was put in it is enough that it is found, and by the same examples each time
settings.load_profile("penstock")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--names", type=int, default=4000, help="how many names of each kind the test of bounded names uses"
    )


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost and provider.example that nobody else has signed, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    whose = ["-subj", "/CN=provider.example", "-addext", "subjectAltName=DNS:provider.example,DNS:localhost"]
    try:
        command = ["openssl", "req", "-x509", *kind, *whose, "-keyout", str(key), "-out", str(certificate)]
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no openssl to make a certificate with")
    return certificate, key


@pytest.fixture(scope="session")
def module_at() -> Callable[[Path], ModuleType]:
    """Runs a Python file that lies in no package, a script of `docs` for one, and gives its module."""

    def load(path: Path) -> ModuleType:
        spec = spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
