"""What a file says of a gateway, and what it cannot say."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock import ConfigError, Without
from penstock_gateway import load_gateway
from penstock_gateway.key_file import add_key
from penstock_gateway.listening import listen
from penstock_gateway.loading import ANYBODY
from penstock_gateway.server import open_gateway

KEY, OTHER = "0123456789abcdefghijklmnopqrstuv", "vutsrqponmlkjihgfedcba9876543210"
MOCK = """
[providers.acme]
kind = "mock"
[providers.acme.models.small]
model = "acme-small-2"
max_parallel_requests = 2
"""


def load(tmp_path: Path, text: str, provider: str = MOCK, **environment: str):  # type: ignore[no-untyped-def]
    path = tmp_path / "gateway.toml"
    path.write_text(text + provider, encoding="utf-8")
    return load_gateway(path, environment)


def test_on_loopback_nothing_is_needed(tmp_path: Path) -> None:
    serving = load(tmp_path, "")
    assert [*serving.keys] == [ANYBODY]
    assert sorted(serving.models) == ["acme/small", "small"]
    assert serving.models["small"].places == ("acme/small",)
    assert serving.config.scheduler.explain_socket


def test_a_name_that_two_providers_have_is_not_short(tmp_path: Path) -> None:
    serving = load(tmp_path, "", MOCK + MOCK.replace("acme", "other"))
    assert sorted(serving.models) == ["acme/small", "other/small"]


def test_endpoints_stand_in_the_place_of_their_provider(tmp_path: Path) -> None:
    serving = load(tmp_path, "", MOCK + "[endpoints.acme]\nfirst = {}\nsecond = {}\n")
    assert sorted(serving.models) == ["acme/small", "small"]
    assert serving.models["small"].places == ("acme@first/small", "acme@second/small")
    assert sorted(serving.config.providers) == ["acme@first", "acme@second"]


def test_keys_come_from_variables_and_from_the_file_of_hashes(tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys.json", "filed", "2026-11-29")
    text = '[gateway]\nhost = "0.0.0.0"\nkeys_file = "keys.json"\n[gateway.keys.a]\nenv = "A"\nweight = 2.0\n'
    serving = load(tmp_path, text, A=KEY)
    assert serving.ring.find(KEY) == "a"
    assert serving.ring.find(key) == "filed"
    assert serving.keys["a"].weight == 2.0
    assert serving.keys["filed"].weight == 1.0


def test_limits_per_minute_are_budgets_of_the_keys_group(tmp_path: Path) -> None:
    text = '[gateway.keys.a]\nenv = "A"\nrequests_per_minute = 10\ntokens_per_minute = 1000\n'
    serving = load(tmp_path, text, A=KEY)
    assert serving.config.sections["token-budget"]["budgets"] == [
        {"group": "a", "requests": {"minute": 10}, "tokens": {"minute": 1000}}
    ]


def test_what_keeps_the_limits_of_keys_cannot_be_left_out_of_one_run(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(f'[gateway.keys.a]\nenv = "A"\nrequests_per_minute = 1\n{MOCK}', encoding="utf-8")
    assert load_gateway(path, {"A": KEY}, [Without("aimd")]).plugins == (Without("aimd"),)
    with pytest.raises(ConfigError, match="'token-budget' cannot be left out"):
        load_gateway(path, {"A": KEY}, [Without("token-budget")])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[gateway]\nworkers = -1\n", "gateway.workers: must be a whole number from 0 (one per core) to 256"),
        ("[gateway]\nworkers = 257\n", "gateway.workers: must be a whole number from 0 (one per core) to 256"),
        ('[gateway]\nhost = "0.0.0.0"\n', "gateway.host: '0.0.0.0' is reached from elsewhere, and there is no key"),
        ("[gateway]\nport = 70000\n", "gateway.port: must be a port from 0"),
        ("[gateway]\nprot = 1\n", "gateway.prot: unknown key; did you mean 'port'?"),
        ("[gateway]\nqueue_wait_timeout = -1.0\n", "gateway.queue_wait_timeout: must be a number from 0"),
        ('[gateway.admin]\nhost = "0.0.0.0"\n', "gateway.admin.host: must be a loopback address"),
        ("[gateway.keys.a]\n", "gateway.keys.a: has no key"),
        ('[gateway.keys.a]\nenv = "B"\n', "gateway.keys.a.env: names B, which is not set"),
        ('[gateway.keys.a]\nenv = "SHORT"\n', "the key in SHORT has 5 characters"),
        ('[gateway.keys.a_b]\nenv = "A"\n', "the name of a key must be made of"),
        ('[gateway.keys.a]\nenv = "A"\n[gateway.keys.b]\nenv = "A2"\n', "is that of another name too"),
        (
            '[gateway.keys.a]\nenv = "A"\nmodels = ["smal"]\n',
            "names no model that is served: 'smal'; did you mean 'small'?",
        ),
        (
            '[gateway.keys.a]\nenv = "A"\ncalls = 0\n',
            "gateway.keys.a.calls: must be a whole number from 1 to 1,000,000",
        ),
        ('[gateway.keys.a]\nenv = "A"\ncalls = 1000001\n', "gateway.keys.a.calls: must be a whole number from 1 to"),
        (f'[gateway.keys.a]\nenv = "{KEY}"\n', "gateway.keys.a.env: must name an environment variable, such as"),
        ('[gateway]\nledger = "a\\u0000b"\n', "gateway.ledger: must not hold line breaks"),
        ('[gateway]\nlog = "a\\nb"\n', "gateway.log: must not hold line breaks"),
        ('[gateway]\nkeys_file = "a\\u0000b"\n', "gateway.keys_file: must not hold line breaks"),
        ('[gateway]\nhost = "a\\u001b[31m"\n', "gateway.host: must not hold line breaks"),
        ('[gateway]\nkeys_file = "none.json"\n', "gateway.toml: gateway.keys_file: "),
        ('[gateway]\nkeys_file = "none.json"\n', "none.json cannot be read: No such file"),
        (
            '[plugins]\nrequest_limiters = ["cooldown"]\n[gateway.keys.a]\nenv = "A"\nrequests_per_minute = 1\n',
            "plugins.request_limiters: leaves out 'token-budget'",
        ),
        (
            '[plugins]\ndisabled = ["token-budget"]\n[gateway.keys.a]\nenv = "A"\nrequests_per_minute = 1\n',
            "plugins.disabled: 'token-budget' cannot be left out",
        ),
        (
            '[plugins]\nallow = ["cooldown"]\n[gateway.keys.a]\nenv = "A"\ntokens_per_minute = 1\n',
            "plugins.allow: must name 'token-budget'",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, A=KEY, A2=KEY, OTHER=OTHER, SHORT="short")
    assert message in str(caught.value)
    assert KEY not in str(caught.value)
    assert 'short"' not in str(caught.value)


@pytest.mark.parametrize(
    ("provider", "message"),
    [
        (MOCK + "[endpoints.acem]\nfirst = {}\n", "endpoints.acem: there is no [providers.acem]; did you mean 'acme'?"),
        ("", "providers: must name a provider with a model"),
        (
            '[providers.a]\nkind = "openia"\n[providers.a.models.m]\nmax_parallel_requests = 1\n',
            "did you mean 'openai'?",
        ),
        ("[providers.a.models.m]\nmax_parallel_requests = 1\n", "providers.a.base_url: is missing"),
        (MOCK.replace('"mock"', '"mock"\nbase_url = "http://x"'), "providers.acme.base_url: means nothing for a mock"),
        (
            '[providers.a]\nbase_url = "http://x"\noptions = { a = 1 }\n'
            "[providers.a.models.m]\nmax_parallel_requests = 1\n",
            "providers.a.options: means nothing here, but has 'a'",
        ),
    ],
)
def test_providers_that_cannot_be_are_refused(tmp_path: Path, provider: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "", provider)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "provider", "named"),
    [
        ("", MOCK.replace("acme]", r'"ac\r\nme"]').replace("acme.models", r'"ac\r\nme".models'), "ac\r\nme"),
        ("", MOCK.replace("models.small", r'models."sm\nall"'), "sm\nall"),
        (r'[gateway.models."a\u0085b"]' + '\nto = ["acme/small"]\n', MOCK, "a\x85b"),
    ],
)
def test_a_name_that_would_be_a_header_of_its_own_is_refused(
    tmp_path: Path, text: str, provider: str, named: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, provider)
    (problem,) = (each for each in caught.value.records if "characters that can be printed" in each.what)
    assert problem.path[-1] == named
    assert named not in str(caught.value)


@pytest.mark.loopback
@pytest.mark.parametrize("host", ["../../x", "a" * 64, "no.such.host.invalid"])
async def test_a_host_that_cannot_be_one_is_refused_by_its_table(tmp_path: Path, host: str) -> None:
    serving = load(tmp_path, f'[gateway]\nhost = "{host}"\n[gateway.keys.a]\nenv = "A"\n', A=KEY)
    with pytest.raises(ConfigError, match=r"^gateway: cannot listen at "):
        async with open_gateway(serving, {}):
            pass
    with pytest.raises(ConfigError, match=r"^gateway: cannot listen at "):
        listen(host, 0, "gateway", shared=False)


async def test_a_key_in_the_place_of_its_variable_is_not_shown(tmp_path: Path) -> None:
    provider = f'[providers.acme]\nkind = "openai"\nbase_url = "http://127.0.0.1:1/v1"\napi_key_env = "{KEY}"\n'
    serving = load(tmp_path, "", f"{provider}[providers.acme.models.small]\nmax_parallel_requests = 2\n")
    with pytest.raises(ConfigError) as caught:
        async with open_gateway(serving, {}):
            pass
    assert "providers.acme.api_key_env: must name an environment variable" in str(caught.value)
    assert KEY not in str(caught.value)
