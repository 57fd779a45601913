"""What a file says of days, months and money, and what it cannot say."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock import ConfigError, ProviderModelKey
from penstock_dialects import Prices
from penstock_gateway import Serving, load_gateway
from penstock_gateway.spending.book import BILLION
from penstock_gateway.spending.quotas import Quota

KEY = "0123456789abcdefghijklmnopqrstuv"
MODELS = """
[providers.acme]
kind = "mock"
[providers.acme.models.small]
model = "acme-small-2"
max_parallel_requests = 2
price = { input = 1.0, output = 2.0 }
[providers.acme.models.large]
max_parallel_requests = 2
"""
A = '[gateway.keys.a]\nenv = "A"\n'


def load(tmp_path: Path, text: str, models: str = MODELS) -> Serving:
    path = tmp_path / "gateway.toml"
    path.write_text(text + models, encoding="utf-8")
    return load_gateway(path, {"A": KEY})


def test_the_quotas_of_a_key_and_the_prices_of_models_are_those_of_the_file(tmp_path: Path) -> None:
    limits = "requests_per_day = 5\ntokens_per_day = 6\nspend_per_day = 0.5\nspend_per_month = 7\nmodels = ['small']\n"
    spending = load(tmp_path, A + limits).spending
    assert spending.ledger == tmp_path / "ledger.sqlite"
    assert spending.quotas["a"] == (
        Quota("requests", "day", 5),
        Quota("tokens", "day", 6),
        Quota("cost", "day", BILLION // 2),
        Quota("cost", "month", 7 * BILLION),
    )
    assert spending.prices == {ProviderModelKey("acme", "acme-small-2"): Prices(input=1.0, output=2.0)}


def test_without_a_quota_there_is_no_ledger_unless_one_is_named(tmp_path: Path) -> None:
    assert load(tmp_path, A).spending.ledger is None
    named = load(tmp_path, f'[gateway]\nledger = "used/here.db"\n{A}').spending
    assert named.ledger == tmp_path / "used/here.db"
    assert named.quotas == {"a": ()}


def test_the_ledger_lies_beside_the_file_of_keys(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/keys.json").write_text('{"keys": []}', encoding="utf-8")
    text = f'[gateway]\nkeys_file = "secret/keys.json"\n{A}requests_per_day = 1\n'
    assert load(tmp_path, text).spending.ledger == tmp_path / "secret/ledger.sqlite"


def test_endpoints_cost_what_their_provider_does(tmp_path: Path) -> None:
    text = f"{A}spend_per_day = 1.0\nmodels = ['small']\n"
    spending = load(tmp_path, text, MODELS + "[endpoints.acme]\nfirst = {}\nsecond = {}\n").spending
    assert {str(key) for key in spending.prices} == {"acme@first/acme-small-2", "acme@second/acme-small-2"}


@pytest.mark.parametrize(
    ("text", "models", "message"),
    [
        (
            f"{A}spend_per_day = 1.0\n",
            MODELS,
            "providers.acme.models.large.price: is missing, and key a has spend_per_day",
        ),
        (
            f"{A}spend_per_day = 1.0\n",
            MODELS + "[endpoints.acme]\nfirst = {}\nsecond = {}\n",
            "providers.acme.models.large.price: is missing",
        ),
        (f"{A}spend_per_month = 0.0\n", MODELS, "gateway.keys.a.spend_per_month: must be a number above 0"),
        (f"{A}tokens_per_day = -1\n", MODELS, "gateway.keys.a.tokens_per_day: must be a whole number from 1 on"),
        (A, MODELS.replace("input", "inputs"), "providers.acme.models.small.price.inputs: is no price"),
        (
            A,
            MODELS + 'model = "acme-small-2"\nprice = { input = 9.0, output = 2.0 }\n',
            "providers.acme.models.large.price: is another than that of a further name for 'acme-small-2'",
        ),
    ],
)
def test_what_makes_no_sense_is_told_at_its_key_once(tmp_path: Path, text: str, models: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, models)
    assert str(caught.value).count(message) == 1
