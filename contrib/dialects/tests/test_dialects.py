"""How a dialect is found, and how one is added; and what a call costs."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import attrs
import pytest

from penstock import ConfigError, Usage, Verdict
from penstock_dialects import (
    ANY,
    Answer,
    Dialect,
    Prices,
    Shape,
    dialect_at,
    dialects,
    find_dialect,
    prices_from_mapping,
)
from penstock_dialects.testing import DialectContract, Example, read_answer


def read_mine(data: dict[str, Any], answer: Answer) -> None:
    answer.say(data.get("said"))
    answer.finish = "stop"


MINE = Dialect(
    name="mine",
    shapes=(Shape("mine", lambda data: "said" in data, read_mine),),
    words={"too_loud": Verdict(kind="rate_limited", limited_by="places")},
    hosts=("api.mine.example",),
)


class TestMine(DialectContract):
    dialect = MINE
    answers = (
        Example(200, b'{"said": "hi"}', ended="stop", text="hi"),
        Example(429, b'{"error": {"code": "too_loud"}}', kind="rate_limited"),
    )


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Entry points that distributions bring, for as long as the test lasts."""

    def add(value: str) -> None:
        point = EntryPoint("mine", value, dialects.GROUP)
        monkeypatch.setattr(dialects, "entry_points", lambda group: [point] if group == dialects.GROUP else [])
        dialects.forget_entry_points()

    yield add
    monkeypatch.undo()
    dialects.forget_entry_points()


def test_a_distribution_adds_a_dialect_by_an_entry_point(added: Any) -> None:
    added(f"{__name__}:MINE")
    assert find_dialect("mine") is MINE
    assert dialect_at("api.mine.example") is MINE
    verdict = read_answer(MINE, 429, {}, b'{"error": {"code": "too_loud"}}').verdict
    assert verdict.limited_by == "places"


@pytest.mark.parametrize("value", [f"{__name__}:read_mine", "penstock_dialects:ANY"])
def test_an_entry_point_that_names_no_new_dialect_is_told(added: Any, value: str) -> None:
    added(value)
    with pytest.raises(ConfigError, match="entry point mine"):
        find_dialect("openai")


def test_a_dialect_that_is_not_there_is_told_with_what_was_meant() -> None:
    with pytest.raises(ConfigError, match="anthropic"):
        find_dialect("antropic")


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("api.openai.com", "openai"),
        ("res.openai.azure.com", "azure"),
        ("europe-west1-aiplatform.googleapis.com", "gemini"),
        ("notapi.openai.com", "any"),
        ("127.0.0.1", "any"),
        ("", "any"),
    ],
)
def test_the_host_tells_the_dialect(host: str, name: str) -> None:
    assert dialect_at(host).name == name


def test_any_reads_what_all_read() -> None:
    assert {shape.name for shape in ANY.shapes} >= {"chat", "messages", "gemini", "responses", "embeddings"}


def test_a_cost_is_known_only_where_the_usage_was_told() -> None:
    prices = prices_from_mapping({"acme/small": {"input": 1.0, "output": 2.0, "cache_write": 1.25}})["acme/small"]
    assert prices.cost(Usage(1_000_000, 1_000_000)) == 3.0
    assert prices.cost(Usage(1_000_000, 0, cache_write_tokens=1_000_000)) == 1.25
    assert prices.cost(Usage(1_000_000)) is None
    assert prices.cost(None) is None


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), "3", True])
def test_a_price_is_a_number_from_nothing_on(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="input"):
        Prices(input=wrong)
    with pytest.raises(ConfigError, match="inputs"):
        prices_from_mapping({"acme/small": {"inputs": 1.0}})


def raises(*given: object) -> None:
    raise ValueError("of mine")


@pytest.mark.parametrize("wrong", [raises, lambda *given: "none"])
@pytest.mark.parametrize("name", ["judge", "error"])
@pytest.mark.parametrize("status", [200, 429])
def test_a_dialect_whose_own_functions_are_wrong_is_read_without_them(name: str, wrong: Any, status: int) -> None:
    mine = attrs.evolve(MINE, **{name: wrong})
    reader = read_answer(mine, status, {}, b'{"error": {"code": "rate_limit_exceeded"}}')
    assert reader.verdict.kind == "rate_limited"
    assert f"{name} of the dialect 'mine'" in reader.fault


def test_words_of_a_dialect_that_mean_no_verdict_are_passed_over() -> None:
    words: Any = {"rate_limit_exceeded": None}
    reader = read_answer(attrs.evolve(MINE, words=words), 429, {}, b'{"error": {"code": "rate_limit_exceeded"}}')
    assert reader.verdict.kind == "rate_limited"
    assert "words of the dialect 'mine'" in reader.fault


def test_an_entry_point_that_cannot_be_loaded_is_told_by_its_name(added: Any) -> None:
    added("penstock_dialects:no_such_thing")
    with pytest.raises(ConfigError, match=r"entry point mine of .* cannot be loaded: AttributeError"):
        dialect_at("api.openai.com")
