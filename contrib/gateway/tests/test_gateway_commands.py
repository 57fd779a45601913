"""`penstock serve` and `penstock keys`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from penstock import ConfigError
from penstock_gateway import KeyRing
from penstock_gateway.key_file import read_keys
from penstock_gateway.plugin import GatewayPlugin, keys
from penstock_gateway.testing import KEYS

several = pytest.mark.skipif(sys.platform != "linux", reason="several processes are Linux's")
MOCK = Path(__file__).parents[1] / "examples" / "mock.toml"


def test_a_key_is_made_listed_and_revoked(tmp_path: Path) -> None:
    path = str(tmp_path / "keys.json")
    made = CliRunner().invoke(keys, ["new", "team-a", "--file", path])
    assert made.exit_code == 0
    assert KeyRing({}, read_keys(Path(path))).find(made.output.strip()) == "team-a"
    listed = CliRunner().invoke(keys, ["list", "--file", path]).output
    assert listed.endswith("  team-a\n")
    assert CliRunner().invoke(keys, ["revoke", "team-a", "--file", path]).output == "team-a: revoked\n"
    assert CliRunner().invoke(keys, ["list", "--file", path]).output == ""


@pytest.mark.loopback
def test_the_example_serves_says_how_to_call_it_and_ends_by_a_signal(tmp_path: Path) -> None:
    path = tmp_path / "mock.toml"
    text = (
        MOCK.read_text(encoding="utf-8").replace("8080", "0").replace("9464", "0").replace("mean = 0.5", "mean = 0.01")
    )
    path.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "penstock", "serve", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ) as served:
        assert served.stderr is not None
        said: list[str] = []
        while not said or not said[-1].lstrip().startswith("-d "):
            said.append(served.stderr.readline())
            assert said[-1], "".join(said)
        curl = "".join(said[-2:]).replace("curl ", "").replace("\\\n", "")
        url, body = curl.split()[0], curl.partition("-d '")[2].strip().removesuffix("'")
        client = (
            "import sys, urllib.request as u;"
            "r = u.Request(sys.argv[1], sys.argv[2].encode(), {'content-type': 'application/json'});"
            "print(u.urlopen(r).read().decode())"
        )
        answer = subprocess.run([sys.executable, "-c", client, url, body], capture_output=True, text=True, check=True)
        assert json.loads(answer.stdout)["choices"]
        path.write_text(text.replace("queue_wait_timeout = 30.0", "queue_wait_timeout = 31.0"), encoding="utf-8")
        served.send_signal(signal.SIGHUP)
        assert served.stderr.readline() == "penstock: reloaded\n"
        path.write_text("nonsense", encoding="utf-8")
        served.send_signal(signal.SIGHUP)
        assert served.stderr.readline().startswith("penstock: not reloaded: ")
        served.send_signal(signal.SIGTERM)
        out, err = served.communicate(timeout=60)
    assert served.returncode == 0, err
    assert [json.loads(line)["status"] for line in out.splitlines()] == [200]


def test_check_says_what_would_be_served_or_what_is_wrong(tmp_path: Path) -> None:
    plugin = GatewayPlugin()
    tables = tomllib.loads(MOCK.read_text(encoding="utf-8"))
    assert plugin.penstock_check(MOCK, {"providers": {}}, (), ()) is None
    checked = plugin.penstock_check(MOCK, tables, (), ())
    assert checked is not None
    assert "no key is needed; calls wait at most 30 s for their turn" in checked.lines
    wrong = tmp_path / "gateway.toml"
    wrong.write_text(
        MOCK.read_text(encoding="utf-8").replace("queue_wait_timeout", "queue_wait_timout"), encoding="utf-8"
    )
    with pytest.raises(ConfigError, match="queue_wait_timout"):
        plugin.penstock_check(wrong, tables, (), ())


@pytest.mark.parametrize(
    ("provider", "told"),
    [
        ('kind = "mock"\noptions = { sede = 3 }', "providers.p.options.sede: unknown key; did you mean 'seed'?"),
        (
            'base_url = "http://x/v1"\napi_key_env = "NOT_SET"',
            "providers.p.api_key_env: names NOT_SET",
        ),
        ('base_url = "http://x /v1"', "providers.p: "),
        ('base_url = "http://x/v1"\nauth_header = "x-key"', "providers.p.auth_header: says where the key goes"),
        (
            'base_url = "http://x/v1"\napi_key_env = "SPACED"',
            "providers.p.api_key_env: the value in SPACED holds a line break, a space at an end",
        ),
        (
            'base_url = "http://x/v1"\napi_key_env = "A_KEY"\nheaders = { Authorization = "A_KEY" }',
            "providers.p.headers.Authorization: is where the key goes",
        ),
        (
            'base_url = "http://x/v1"\nheaders = { X-A = "A_KEY", x-a = "A_KEY" }',
            "providers.p.headers.X-A: stands there twice",
        ),
    ],
)
def test_check_sees_providers_that_could_not_be_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider: str, told: str
) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    monkeypatch.setenv("SPACED", " sk-secret")
    monkeypatch.setenv("A_KEY", KEYS["A_KEY"])
    file = tmp_path / "gateway.toml"
    text = f"[gateway]\n[providers.p]\n{provider}\n[providers.p.models.m]\nmax_parallel_requests = 1\n"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        GatewayPlugin().penstock_check(file, tomllib.loads(text), (), ())
    assert f"{file}: {told}" in str(raised.value)
    assert "sk-secret" not in str(raised.value)


def test_check_refuses_to_leave_out_who_keeps_the_limits_of_keys_as_serve_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", KEYS["A_KEY"])
    file = tmp_path / "gateway.toml"
    text = MOCK.read_text(encoding="utf-8") + '\n[gateway.keys.a]\nenv = "A_KEY"\nrequests_per_minute = 5\n'
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="'token-budget' cannot be left out"):
        GatewayPlugin().penstock_check(file, tomllib.loads(text), (), ("token-budget",))


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("ledger", "/", "gateway.ledger: / is no plain file"),
        ("ledger", "missing/ledger.sqlite", "missing/ledger.sqlite is in a folder that is not there"),
        ("log", "/", "gateway.log: / cannot be written: it is a folder"),
        ("log", "/missing/calls.log", "gateway.log: /missing/calls.log cannot be written: its folder is not there"),
    ],
)
def test_check_sees_files_that_could_not_be_written_and_makes_none(
    tmp_path: Path, key: str, value: str, told: str
) -> None:
    file = tmp_path / "gateway.toml"
    text = MOCK.read_text(encoding="utf-8").replace("[gateway]\n", f'[gateway]\n{key} = "{value}"\n')
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        GatewayPlugin().penstock_check(file, tomllib.loads(text), (), ())
    assert str(refused.value).endswith(told)
    assert [each.name for each in tmp_path.iterdir()] == ["gateway.toml"]


def test_check_makes_no_ledger_where_one_could_be_made(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    text = MOCK.read_text(encoding="utf-8").replace("[gateway]\n", '[gateway]\nledger = "mine.sqlite"\n')
    file.write_text(text, encoding="utf-8")
    assert GatewayPlugin().penstock_check(file, tomllib.loads(text), (), ()) is not None
    assert [each.name for each in tmp_path.iterdir()] == ["gateway.toml"]


@pytest.mark.loopback
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=several)])
def test_a_file_of_the_command_line_takes_part_and_what_it_leaves_out_does_not(tmp_path: Path, workers: int) -> None:
    path, rule, other = tmp_path / "mock.toml", tmp_path / "mine.py", tmp_path / "other.py"
    text = MOCK.read_text(encoding="utf-8").replace("8080", "0").replace("9464", "0")
    path.write_text(text.replace("[gateway]", f"[gateway]\nworkers = {workers}"), encoding="utf-8")
    for file in (rule, other):
        told = "print('runs with', *run.plugins, file=sys.stderr)"
        file.write_text(
            f"import sys\nfrom penstock import hookimpl\n@hookimpl\ndef penstock_run_started(run): {told}\n",
            encoding="utf-8",
        )
    options = ["--plugin", str(rule), "--plugin", str(other), "--no-plugin", "other"]
    command = [sys.executable, "-m", "penstock", *options, "serve", str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as served:
        assert served.stderr is not None
        told = served.stderr.readline()
        served.terminate()
        served.communicate(timeout=60)
    assert told.startswith("runs with ")
    assert "mine" in told.split()
    assert "other" not in told.split()


@pytest.mark.loopback
def test_what_cannot_be_served_ends_with_the_reason_and_2(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text('[gateway]\nhost = "0.0.0.0"\nworkers = 257\n', encoding="utf-8")
    command = [sys.executable, "-m", "penstock", "serve", str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "gateway.workers: must be a whole number" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.loopback
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGHUP")
def test_a_wish_to_reload_before_it_serves_does_not_end_it(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    os.mkfifo(path)
    process = subprocess.Popen(
        [sys.executable, "-m", "penstock", "serve", str(path)], stderr=subprocess.PIPE, text=True
    )
    with path.open("w", encoding="utf-8") as file:  # is open when the other end is being read
        process.send_signal(signal.SIGHUP)
        file.write("[gateway]\nworkers = 257\n")
    _, said = process.communicate()
    assert process.returncode == 2
    assert "gateway.workers: must be a whole number" in said


@pytest.mark.parametrize("key", ["ledger", "log"])
def test_check_names_the_key_of_a_file_whose_name_is_too_long(tmp_path: Path, key: str) -> None:
    file, name = tmp_path / "gateway.toml", "x" * 300
    text = MOCK.read_text(encoding="utf-8").replace("[gateway]\n", f'[gateway]\n{key} = "{name}"\n')
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=f"gateway.{key}: .*{name} cannot be (written|opened): File name too long"):
        GatewayPlugin().penstock_check(file, tomllib.loads(text), (), ())


def test_keys_are_written_to_no_file_whose_name_is_too_long(tmp_path: Path) -> None:
    told = CliRunner().invoke(keys, ["new", "a", "--file", str(tmp_path / ("x" * 300))])
    assert isinstance(told.exception, ConfigError)
    assert "File name too long" in str(told.exception)


def test_check_sees_that_two_doors_have_one_port(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    text = MOCK.read_text(encoding="utf-8").replace("9464", "8080")
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"gateway\.admin\.port: must be another than gateway\.port"):
        GatewayPlugin().penstock_check(file, tomllib.loads(text), (), ())
