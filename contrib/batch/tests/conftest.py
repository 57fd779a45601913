"""The fixtures: a pipeline in a folder of its own, and a provider that runs in a process of its own."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import httpx2
import pytest

LIMITS = """
[models.writer]
slots = 4
latency = { mean = 0.002, sigma = 0.3 }
refusal_latency = 0.001
retry_after = 0.01

[models.embedder]
latency = { mean = 0.002, sigma = 0.3 }

[models.slow]
slots = 2
latency = { mean = 0.1, sigma = 0.0 }
retry_after = 0.05

[models.broken]
error_rate = 1.0
refusal_latency = 0.001

[models.silent]
hang_share = 1.0
"""

BASE = """
[input]
path = "rows.jsonl"

[output]
path = "out/answers.jsonl"

[[steps]]
name = "summary"
kind = "chat"
model = "p/writer"
prompt = "Summarise in one sentence: {{ text }}"

[[steps]]
name = "vector"
kind = "embedding"
model = "p/embedder"
input = "{{ summary }}"

[[steps]]
name = "length"
kind = "python"
function = "PYTHON_STEPS:length"
needs = ["summary", "vector"]

[providers.p]
base_url = "BASE_URL"

[providers.p.models.writer]
max_parallel_requests = 16

[providers.p.models.embedder]
max_parallel_requests = 16

[providers.p.models.slow]
max_parallel_requests = 8

[providers.p.models.broken]
max_parallel_requests = 8

[providers.p.models.silent]
max_parallel_requests = 8

[requests]
retry_backoff = 0.01
retry_backoff_max = 0.02

[plugins.aimd]
initial_limit = 4
"""


@attrs.frozen
class Provider:
    """The provider's process as its clients see it."""

    base_url: str

    def report(self) -> dict[str, Any]:
        """The report of what the provider saw until now."""
        report: dict[str, Any] = httpx2.get(f"{self.base_url.removesuffix('/v1')}/mock/report").json()
        return report

    def arrived(self, model: str) -> int:
        """The number of calls that came for `model`, refused ones included."""
        return int(self.report()["models"][model]["total"]["arrived"])

    def completed(self, model: str) -> int:
        """The number of calls for `model` that were answered."""
        return int(self.report()["models"][model]["total"]["completed"])


@attrs.frozen
class Folder:
    """The folder of one pipeline."""

    path: Path
    provider_url: str = "http://127.0.0.1:9/v1"

    @property
    def toml(self) -> Path:
        return self.path / "pipeline.toml"

    @property
    def output(self) -> Path:
        return self.path / "out" / "answers.jsonl"

    @property
    def store(self) -> Path:
        return self.path / "out" / "answers.jsonl.store"

    def write(self, *replaced: tuple[str, str], toml: str = BASE, more: str = "") -> Path:
        """Write the pipeline with some of its text replaced, which must be there, and `more` at its end."""
        # A process imports a module of one name once: each folder has a name of its own.
        steps = f"steps_of_{self.path.name.replace('-', '_')}"
        for old, new in replaced:
            assert old in toml, f"{old!r} is not in the pipeline"
            toml = toml.replace(old, new)
        toml = (toml + more).replace("PYTHON_STEPS", steps).replace("BASE_URL", self.provider_url)
        self.toml.write_text(toml, encoding="utf-8")
        (self.path / f"{steps}.py").write_text(STEPS, encoding="utf-8")
        return self.toml

    def rows(self, count: int) -> None:
        """Write this many rows as the input."""
        rows = ({"id": i, "text": f"Row {i} is about gate number {i}. It has more to say."} for i in range(count))
        self.lines(*(json.dumps(row) for row in rows))

    def lines(self, *lines: str) -> None:
        """Write these lines as the input."""
        (self.path / "rows.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def answers(self) -> list[dict[str, Any]]:
        return read_lines(self.output)

    def failed(self) -> list[dict[str, Any]]:
        """The failed rows: why they failed, and their columns as `row`."""
        lines = self.failed_lines()
        return [{**line.pop("_failed"), "row": line or None} for line in lines]

    def failed_lines(self) -> list[dict[str, Any]]:
        """The failed rows as they stand in their file."""
        return read_lines(self.output.with_name("answers.jsonl.failed.jsonl"))

    def cells(self) -> list[str]:
        """The steps of all answers in the store, in the order in which they came."""
        with closing(sqlite3.connect(self.store)) as store:
            return [step for (step,) in store.execute("SELECT step FROM answers ORDER BY id")]


STEPS = """
import trio

def length(summary, vector):
    return len(summary)

async def length_async(summary, vector):
    await trio.sleep(0)
    return len(summary)

def picky(summary, vector):
    if " 3 " in summary:
        raise ValueError("not this one")
    return len(summary)

def a_set(summary, vector):
    return {1}

def leaves(summary, vector):
    raise SystemExit(3)

constant = 3
"""


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A pipeline whose provider is never reached."""
    made = Folder(tmp_path)
    made.rows(5)
    return made


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    config = tmp_path_factory.mktemp("provider") / "limits.toml"
    config.write_text(LIMITS, encoding="utf-8")
    command = [sys.executable, "-m", "penstock", "mockprovider", "--port", "0", "--config", str(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        yield Provider(said.split()[3].rstrip(","))
        process.terminate()


@pytest.fixture
def served(tmp_path: Path, provider: Provider) -> Folder:
    """A pipeline whose provider answers."""
    made = Folder(tmp_path, provider.base_url)
    made.rows(30)
    return made
