"""`penstock mockprovider`, through the plugin that adds it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import click
import httpx2
import pytest
from click.testing import CliRunner, Result

from penstock_mockprovider.plugin import MockProviderPlugin

GROUP = """
import click
from penstock_mockprovider.plugin import MockProviderPlugin
cli = click.Group("penstock")
MockProviderPlugin().penstock_cli(cli)
cli()
"""


def refused(*arguments: str) -> Result:
    cli = click.Group("penstock")
    MockProviderPlugin().penstock_cli(cli)
    result = CliRunner().invoke(cli, ["mockprovider", *arguments])
    assert result.exit_code != 0
    return result


def started(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-X", "dev", "-c", GROUP, "mockprovider", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def base_url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("mock provider at "), line
    return line.removeprefix("mock provider at ").split(",")[0]


@pytest.mark.loopback
@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_interrupted_and_then_says_what_it_saw(with_signal: signal.Signals) -> None:
    with started("--model", "small", "--slots", "3", "--latency", "0", "--key", "sk-x") as process:
        url = base_url(process)
        body = {"model": "small", "messages": [{"role": "user", "content": "Hello there."}]}
        answer = httpx2.post(f"{url}/chat/completions", json=body, headers={"authorization": "Bearer sk-x"})
        assert answer.json()["choices"][0]["message"]["content"] == "Hello there."
        assert httpx2.get(f"{url}/models").status_code == 401
        process.send_signal(with_signal)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.splitlines() == [
        "small: 1 granted, 0 refused, 0 errors, 0 hung, 0 abandoned, at most 1 at a time",
        "rejected with invalid_api_key: 1",
    ]
    assert err == ""


@pytest.mark.loopback
def test_it_serves_what_a_file_says(tmp_path: Path) -> None:
    file = tmp_path / "mock.toml"
    file.write_text("[models.one]\nslots = 1\nlatency = { mean = 0.01 }\n[models.two]\nrpm = 60\n", encoding="utf-8")
    with started("--config", str(file)) as process:
        url = base_url(process)
        assert [model["id"] for model in httpx2.get(f"{url}/models").json()["data"]] == ["one", "two"]
        httpx2.post(f"{url}/embeddings", json={"model": "one", "input": "x"})
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert "one: 1 granted" in out
    assert "completed where the limits allow" in out


@pytest.mark.loopback
def test_a_taken_port_is_one_line() -> None:
    with started() as process:
        port = base_url(process).rsplit(":", 1)[1].removesuffix("/v1")
        result = refused("--port", port)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert result.exit_code == 1
    assert f"Error: cannot serve at 127.0.0.1:{port}: " in result.output


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (["--slots", "0"], "models.mock-chat.slots"),
        (["--queue"], "models.mock-chat.queue"),
        (["--host", "0.0.0.0"], "host"),
        (["--error-rate", "2"], "models.mock-chat.error_rate"),
    ],
)
def test_wrong_options_are_configuration_errors_with_their_paths(arguments: list[str], path: str) -> None:
    result = refused(*arguments)
    assert result.exit_code == 2
    assert f"Error: {path}: " in result.output


@pytest.mark.parametrize(
    ("content", "paths"),
    [("seed = 'x'\n[models.one]\nslot = 1\n", ["models.one.slot: ", "seed: "]), ("[models", [""])],
    ids=["two mistakes", "no TOML"],
)
def test_all_mistakes_of_a_file_are_listed_with_its_name(tmp_path: Path, content: str, paths: list[str]) -> None:
    file = tmp_path / "mock.toml"
    file.write_text(content, encoding="utf-8")
    result = refused("--config", str(file))
    assert result.exit_code == 2
    reported = result.output.partition("Error: ")[2].splitlines()
    assert len(reported) == len(paths)
    for line, path in zip(reported, paths, strict=True):
        assert line.startswith(f"{file}: {path}")


def test_options_beside_a_file_are_refused_not_ignored(tmp_path: Path) -> None:
    file = tmp_path / "mock.toml"
    file.write_text("", encoding="utf-8")
    result = refused("--config", str(file), "--slots", "3", "--queue", "--key", "k")
    assert result.exit_code == 2
    for option in ("--slots", "--queue", "--key"):
        assert f"{option} cannot stand beside --config" in result.output


def test_the_plugin_is_light_to_import() -> None:
    script = (
        "import sys, penstock_mockprovider.plugin, penstock_mockprovider;"
        "print([name for name in ('starlette', 'hypercorn', 'anyio', 'h11', 'h2', 'pytest') if name in sys.modules])"
    )
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert finished.stdout == "[]\n"
