"""One model at several endpoints: called where it is free, known as one, and given up one by one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from penstock import ConfigError
from penstock_batch.command import check_command, run_command
from penstock_batch.pipeline.loading import load_pipeline
from penstock_batch.running.task_groups import task_group_of

if TYPE_CHECKING:
    from contrib.batch.tests.conftest import Folder

KEYS = {"EAST_KEY": "sk-east-123456", "WEST_KEY": "sk-west-123456"}

PIPELINE = """
[input]
path = "rows.jsonl"
[output]
path = "out/answers.jsonl"
[batch]
give_up_failures = 4
give_up_start = 0.05
[[steps]]
name = "said"
kind = "chat"
model = "p/m"
prompt = "{{ text }}"
[requests]
retry_backoff = 0.01
[plugins]
request_limiters = ["cooldown"]
[providers.p]
kind = "mock"
[providers.p.models.m]
max_parallel_requests = 2
price = { input = 1.0, output = 2.0 }
"""
EAST = """
[endpoints.p.east]
api_key_env = "EAST_KEY"
[endpoints.p.east.options]
keys = ["sk-east-123456"]
models.m = { slots = 2, latency = { mean = 0.01, sigma = 0.0 }, retry_after = 0.01 }
"""
WEST = """
[endpoints.p.west]
api_key_env = "WEST_KEY"
models.m = { max_parallel_requests = 6, model = "deployment-7" }
[endpoints.p.west.options]
keys = ["sk-west-123456"]
models.deployment-7 = { slots = 6, latency = { mean = 0.01, sigma = 0.0 } }
"""


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)


def run(folder: Folder) -> int:
    return run_command(folder.toml, limit=None, overwrite=False, plugins=(), progress="none")


def calls_at(told: str) -> dict[str, int]:
    """What the summary says of the calls at each place."""
    return {name: int(count.replace(",", "")) for name, count in re.findall(r"^  (p\S*/m): ([\d,]+) calls", told, re.M)}


@pytest.mark.loopback
def test_calls_go_where_they_are_free_each_with_its_key_and_its_id_of_the_model(
    folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.rows(80)
    folder.write(toml=PIPELINE, more=EAST + WEST)
    assert run(folder) == 0
    told = capsys.readouterr().out
    calls = calls_at(told)
    assert calls.keys() == {"p@east/m", "p@west/m"}
    assert sum(calls.values()) == 80
    assert calls["p@west/m"] > calls["p@east/m"] > 5
    assert "0 answered 429" in told
    assert re.search(r"^cost: 0\.00\d+$", told, re.M)


@pytest.mark.loopback
def test_a_cell_is_that_of_the_one_model_whichever_endpoint_answered(folder: Folder) -> None:
    folder.rows(20)
    folder.write(toml=PIPELINE, more=EAST + WEST)
    run(folder)
    (folder.output).unlink()
    for endpoints in (WEST, EAST.replace("p.east", "p.north"), ""):
        folder.write(toml=PIPELINE, more=endpoints)
        assert run(folder) == 0
    assert len(folder.answers()) == 20
    assert len(folder.cells()) == 20


@pytest.mark.loopback
def test_an_endpoint_with_a_bad_key_leaves_the_others_to_do_all(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EAST_KEY", "sk-gone-123456")
    folder.rows(80)
    folder.write(toml=PIPELINE, more=EAST + WEST)
    assert run(folder) == 0
    told = capsys.readouterr().out
    calls = calls_at(told)
    assert len(folder.answers()) == 80
    assert calls["p@west/m"] == 80
    assert 1 <= calls["p@east/m"] <= 4
    assert "sk-gone" not in told


@pytest.mark.loopback
def test_a_model_is_given_up_when_all_its_endpoints_are(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in KEYS:
        monkeypatch.setenv(name, "sk-gone-123456")
    folder.rows(60)
    folder.write(toml=PIPELINE, more=EAST + WEST)
    assert run(folder) == 1
    assert sum(calls_at(capsys.readouterr().out).values()) <= 16
    reasons = {row["error"] for row in folder.failed()}
    assert any("p/m was given up at all its endpoints, at p@west after p@west: HTTP 401" in why for why in reasons)


OTHER = """
[providers.q]
kind = "mock"
api_key_env = "WEST_KEY"
[providers.q.models.m]
max_parallel_requests = 4
price = { input = 1.0, output = 2.0 }
[providers.q.options]
keys = ["A KEY"]
models.m = { latency = { mean = 0.01, sigma = 0.0 } }
"""


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("first", "fallback", "key", "answers"),
    [("p/m", "q/m", "sk-west-123456", "q/m"), ("q/m", "p/m", "sk-another-1234", "p@west/m")],
    ids=["of the first model", "of the fallback"],
)
def test_what_endpoints_do_not_serve_a_fallback_does(
    folder: Folder, capsys: pytest.CaptureFixture[str], first: str, fallback: str, key: str, answers: str
) -> None:
    models = ('model = "p/m"', f'model = "{first}"\nfallback = ["{fallback}"]')
    west = WEST if first == "q/m" else WEST.replace("sk-west-123456", "sk-another-1234")
    endpoints = EAST.replace('keys = ["sk-east-123456"]', 'keys = ["sk-another-1234"]') + west
    folder.rows(20)
    folder.write(models, toml=PIPELINE, more=endpoints + OTHER.replace("A KEY", key))
    assert run(folder) == 0
    told = capsys.readouterr().out
    calls = {name: int(count) for name, count in re.findall(r"^  (\S+/m): (\d+) calls", told, re.M)}
    assert calls[answers] == 20
    assert sum(calls.values()) - 20 <= 8, "no more than may be out when the first refusal comes"


@pytest.mark.loopback
def test_an_endpoint_that_refuses_all_holds_no_call_back(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.rows(40)
    refuses = EAST.replace("retry_after = 0.01", "retry_after = 60, outage = [0, 600]")
    folder.write(toml=PIPELINE, more=refuses + WEST)
    assert run(folder) == 0
    calls = calls_at(capsys.readouterr().out)
    assert calls["p@west/m"] == 40
    assert calls["p@east/m"] <= 4


@pytest.mark.loopback
def test_a_budget_counts_what_all_of_them_cost(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.rows(80)
    bounded = ("prompt =", "params = { max_tokens = 10 }\nprompt =")
    folder.write(bounded, ("[batch]", "[batch]\nbudget = 0.001"), toml=PIPELINE, more=EAST + WEST)
    assert run(folder) == 1
    assert 0 < len(folder.answers()) < 80
    told = capsys.readouterr().out
    spent = re.search(r"of which ([\d.]+) is spent", told)
    assert spent is not None
    assert 0.0005 < float(spent[1]) <= 0.001


def problems(folder: Folder, more: str, *replaced: tuple[str, str]) -> list[str]:
    folder.write(*replaced, toml=PIPELINE, more=more)
    with pytest.raises(ConfigError) as caught:
        load_pipeline(folder.toml)
    return [f"{problem}".partition("pipeline.toml: ")[2] for problem in caught.value.records]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (
            EAST.replace("EAST_KEY", "NO_KEY"),
            "endpoints.p.east.api_key_env: the environment variable NO_KEY is not set",
        ),
        (EAST.replace("endpoints.p.", "endpoints.q."), "endpoints.q: there is no [providers.q]"),
        (EAST.replace("api_key_env", "api_key_evn"), "endpoints.p.east.api_key_evn: unknown key"),
        (f'{EAST}[endpoints.p.east.headers]\nx-org = "NO_ORG"\n', "endpoints.p.east.headers.x-org: the environment"),
        (EAST.replace("slots = 2", "slots = 0"), "endpoints.p.east.options.models.m.slots: must be a whole number"),
        ('[endpoints.p.east]\nserves = ["n"]\n', "endpoints.p.east.serves: 'n' is no model"),
        ('[endpoints.p.east]\nbase_url = "http://h/v1"\n', "endpoints.p.east.base_url: means nothing for a mock"),
    ],
)
def test_what_is_wrong_with_an_endpoint_is_told_where_it_stands(folder: Folder, more: str, says: str) -> None:
    found = problems(folder, more)
    assert any(problem.startswith(says) for problem in found), found


def test_what_is_wrong_with_their_provider_is_told_once(folder: Folder) -> None:
    kind = ('kind = "mock"', 'kind = "openai"\nauth_header = "a b"')
    east, west = ('[endpoints.p.east]\napi_key_env = "EAST_KEY"\n', '[endpoints.p.west]\napi_key_env = "WEST_KEY"\n')
    (url, header) = problems(folder, east + west, kind)
    assert url.startswith("providers.p.base_url: is missing")
    assert header.startswith("providers.p.auth_header: is no name of a header")


def test_its_tasks_say_that_they_call_one_of_them(folder: Folder) -> None:
    folder.write(toml=PIPELINE, more=EAST + WEST)
    pipeline = load_pipeline(folder.toml)
    group = task_group_of(pipeline.steps[0], pipeline.config)
    assert [str(key) for key in group.calls] == ["p@east/m/chat", "p@west/deployment-7/chat"]
    assert group.alike
    assert group.weight == 8.0


def test_a_provider_may_leave_to_its_endpoints_where_they_are_and_with_which_key(
    folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    more = "".join(
        f'[endpoints.p.{name}]\nbase_url = "https://{name}.example/v1"\napi_key_env = "{name.upper()}_KEY"\n'
        for name in ("east", "west")
    )
    folder.write(('kind = "mock"', 'api_key_env = "NO_KEY"'), toml=PIPELINE, more=more)
    assert check_command(folder.toml, plugins=()) == 0
    assert "said: chat at p/m (at most 4 at a time, at p@east and p@west)" in capsys.readouterr().out
    pipeline = load_pipeline(folder.toml)
    assert list(pipeline.places) == ["p@east/m", "p@west/m"]
    assert pipeline.secrets.text(" ".join(KEYS.values())) == "*** ***"
