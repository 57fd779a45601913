"""What models cost: read with the pipeline, every problem at its key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from penstock import ConfigError, ModelConfig, Usage
from penstock_batch.pipeline.loading import load_pipeline
from penstock_dialects import cost_of, prices_of

if TYPE_CHECKING:
    from contrib.batch.tests.conftest import Folder

WRITER = "[providers.p.models.writer]\nmax_parallel_requests = 16"
EMBEDDER = "[providers.p.models.embedder]\nmax_parallel_requests = 16"


def problem_paths(folder: Folder, *replaced: tuple[str, str], more: str = "") -> list[tuple[str | int, ...]]:
    folder.write(*replaced, more=more)
    with pytest.raises(ConfigError) as caught:
        load_pipeline(folder.toml)
    return [record.path for record in caught.value.records]


@pytest.mark.parametrize(
    ("price", "path"),
    [
        ("{}", ()),
        ("{ output = 1.0 }", ()),
        ("{ input = 1.0, cached_input = 0.1 }", ("cached_input",)),
        ("{ input = -1.0, output = 2.0 }", ("input",)),
        ("{ input = nan, output = 2.0 }", ("input",)),
    ],
)
def test_a_price_that_cannot_be_one_is_told_at_its_key(folder: Folder, price: str, path: tuple[str, ...]) -> None:
    at = ("providers", "p", "models", "slow", "price")
    slow = "[providers.p.models.slow]\n"
    assert problem_paths(folder, (slow, f"{slow}price = {price}\n")) == [(*at, *path)]


def test_a_chat_has_a_price_of_its_output(folder: Folder) -> None:
    assert problem_paths(folder, (WRITER, f"{WRITER}\nprice = {{ input = 1.0 }}")) == [("steps", "summary", "model")]


def test_an_embedding_needs_no_price_of_output(folder: Folder) -> None:
    folder.write((EMBEDDER, f"{EMBEDDER}\nprice = {{ input = 0.1 }}"))
    prices = {model.name: model.prices for model in load_pipeline(folder.toml).models}
    assert prices["p/writer"] is None
    assert cost_of(prices["p/embedder"], Usage(input_tokens=1_000_000), "embedding") == pytest.approx(0.1)


def test_a_budget_wants_a_price_of_each_model(folder: Folder) -> None:
    priced = (EMBEDDER, f"{EMBEDDER}\nprice = {{ input = 0.1 }}")
    assert problem_paths(folder, priced, more="\n[batch]\nbudget = 5.0\n") == [
        ("providers", "p", "models", "writer", "price")
    ]


@pytest.mark.parametrize("budget", ["-1.0", "inf", "nan"])
def test_a_budget_is_an_amount_of_money(folder: Folder, budget: str) -> None:
    assert problem_paths(folder, more=f"\n[batch]\nbudget = {budget}\n") == [("batch", "budget")]


def test_a_model_that_is_free_has_a_price_too() -> None:
    prices = prices_of(ModelConfig(max_parallel_requests=1, price={"input": 0, "output": 0}))
    assert cost_of(prices, Usage(5, 5), "chat") == 0.0


def test_a_cost_is_not_known_where_the_usage_was_not_told() -> None:
    prices = prices_of(ModelConfig(max_parallel_requests=1, price={"input": 1, "output": 1}))
    assert cost_of(prices, Usage(input_tokens=5), "chat") is None
    assert cost_of(None, Usage(5, 5), "chat") is None
