"""Calls over scripted clients: which model answers, and what goes out."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from math import inf
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio.testing
from contrib.batch.tests.calls.conftest import use_of

import penstock
from penstock import ModelConfig, Problem, ProviderConfig
from penstock_batch.calls.asking import Asked, ask, asked_of
from penstock_batch.calls.calling import Calls
from penstock_batch.calls.giving_up import GiveUpRules
from penstock_batch.calls.model_use import CellFailed
from penstock_batch.calls.spending import Spending
from penstock_batch.calls.tallies import Tallies
from penstock_batch.money.budget import Budget
from penstock_batch.money.estimates import Estimates
from penstock_batch.pipeline.answer_schema import AnswerSchema
from penstock_batch.pipeline.config import StepConfig
from penstock_batch.pipeline.criteria import Criteria
from penstock_batch.pipeline.row_files import RowFiles
from penstock_batch.pipeline.steps import Step, compile_step
from penstock_batch.pipeline.templates import PromptTemplate
from penstock_batch.pipeline.turns import Turn
from penstock_batch.providers.models import StepModel
from penstock_batch.store.answer import Answer
from penstock_batch.words.secrets import Secrets
from penstock_dialects import Prices

Reply = tuple[int, dict[str, Any], dict[str, str]]


def text(said: str, ended: str = "stop") -> Reply:
    choice = {"message": {"content": said}, "finish_reason": ended}
    return 200, {"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}, {}


def error(status: int, message: str = "no", code: str | None = None, **headers: str) -> Reply:
    return status, {"error": {"message": message, "code": code}}, headers


CLAUDE: Reply = (
    200,
    {"type": "message", "content": [{"type": "text", "text": "from Claude"}], "stop_reason": "end_turn"},
    {},
)
LIMITED = error(429, "slow down", **{"retry-after": "5"})
TOO_LARGE = error(413, "too large", "request_too_large")
FILTERED = error(400, "filtered", "content_filter")
NO_CREDIT = error(429, "no credit", "insufficient_quota")
BROKEN = error(500)
RULES = GiveUpRules(failures=3)


@attrs.define
class Client:
    """The client of one model: what it answers to one call after another, the last again and again."""

    replies: Sequence[Reply]
    bodies: list[dict[str, Any]] = attrs.field(factory=list)
    host: str = "api.example"
    netloc: str = "api.example"

    @asynccontextmanager
    async def post(self, path: str, body: bytes) -> AsyncIterator[_Answer]:
        reply = self.replies[min(len(self.bodies), len(self.replies) - 1)]
        self.bodies.append(json.loads(body))
        await trio.sleep(0.1)
        yield _Answer(*reply)

    async def drop_connections(self) -> None: ...

    async def aclose(self) -> None: ...


@attrs.frozen
class _Answer:
    status: int
    contents: Mapping[str, Any]
    headers: Mapping[str, str]

    async def pieces(self) -> AsyncIterator[bytes]:
        yield json.dumps(self.contents).encode()


class Asking:
    """The calls of one step whose models answer by script, and what is kept."""

    def __init__(
        self,
        models: Mapping[str, Sequence[Reply]],
        *,
        budget: float | None = None,
        rules: GiveUpRules | None = None,
        dialects: Mapping[str, str] | None = None,
        **step: Any,
    ) -> None:
        # A token that the first model writes costs 1, one of the second 2, and so on.
        priced = [(name, Prices(input=0.0, output=n * 1_000_000.0)) for n, name in enumerate(models, 1)]
        speaks = dialects or {}
        known = [
            StepModel(f"p/{name}", "p", f"{name}-id", 4, speaks.get(name, "openai"), prices) for name, prices in priced
        ]
        self.step = Step(name="s", kind="chat", uses=frozenset(), model=known[0], fallback=known[1:], **step)
        self.clients = {name: Client(replies) for name, replies in models.items()}
        self.tallies = Tallies.for_steps([self.step], 1)
        self.kept: list[Answer] = []
        self.lost: list[tuple[str, float]] = []
        self.asked_for = Asked({"model": "m-id", "messages": []}, b"key")
        uses = {
            model.name: use_of(model, [client], self.tallies.models, rules or RULES)
            for model, client in zip(known, self.clients.values(), strict=True)
        }
        self.spending = None if budget is None else Spending(Budget(budget), Estimates())
        self._calls = Calls(
            uses,
            self.tallies,
            Secrets(),
            on_limited=lambda: None,
            on_lost=lambda step, cost: self.lost.append((step, cost)),
            spending=self.spending,
        )

    async def ask(self) -> Answer:
        return await self._calls.call(self.step, self.asked_for, self._keep)

    async def _keep(self, answer: Answer) -> None:
        self.kept.append(answer)

    def asked(self) -> dict[str, int]:
        return {name: len(client.bodies) for name, client in self.clients.items()}


async def answered(asking: Asking, times: int = 1) -> list[Any]:
    """What comes of asking so often, one after another: the values, and the failures as texts."""
    models = {name: {"max_parallel_requests": 4, "model": f"{name}-id"} for name in asking.clients}
    config = {"providers": {"p": {"models": models}}, "requests": {"retry_backoff": 0.01, "max_attempts": 2}}
    found: list[Any] = []
    async with penstock.open_scheduler(config) as scheduler:
        for _ in range(times):
            try:
                answer: Answer = await scheduler.start_soon(asking.ask)
                found.append(answer.value)
            except CellFailed as failed:
                found.append(str(failed))
    return found


# -- another model in the place of the first --


@pytest.mark.parametrize("refusal", [TOO_LARGE, FILTERED, NO_CREDIT, error(401), text("", "content_filter")])
async def test_what_one_model_refuses_for_good_another_is_asked(
    autojump_clock: trio.testing.MockClock, refusal: Reply
) -> None:
    asking = Asking({"m": [refusal], "other": [text("from the other")]})
    assert await answered(asking) == ["from the other"]
    assert asking.asked() == {"m": 1, "other": 1}
    assert asking.clients["other"].bodies[0]["model"] == "other-id"
    assert asking.kept[-1].by == "p/other"


async def test_a_rate_limit_is_waited_for_and_no_reason_to_ask_another(
    autojump_clock: trio.testing.MockClock,
) -> None:
    asking = Asking({"m": [LIMITED, text("in the end")], "other": [text("from the other")]})
    assert await answered(asking) == ["in the end"]
    assert asking.asked() == {"m": 2, "other": 0}
    assert trio.current_time() > 5


async def test_what_may_pass_is_tried_again_and_fails_its_cell(autojump_clock: trio.testing.MockClock) -> None:
    asking = Asking({"m": [BROKEN], "other": [text("from the other")]})
    assert "HTTP 500" in (await answered(asking))[0]
    assert asking.asked() == {"m": 2, "other": 0}


async def test_a_model_that_is_given_up_is_not_asked_again(autojump_clock: trio.testing.MockClock) -> None:
    asking = Asking({"m": [NO_CREDIT], "other": [text("from the other")]})
    assert await answered(asking, 3) == ["from the other"] * 3
    assert asking.asked() == {"m": 1, "other": 3}


async def test_the_call_whose_failure_gives_a_model_up_is_answered_by_another(
    autojump_clock: trio.testing.MockClock,
) -> None:
    rules = GiveUpRules(failures=2, start=0.0, after=0.0)
    asking = Asking({"m": [text("a"), BROKEN], "other": [text("from the other")]}, rules=rules)
    assert await answered(asking, 2) == ["a", "from the other"]


async def test_several_are_asked_in_their_order(autojump_clock: trio.testing.MockClock) -> None:
    asking = Asking({"m": [TOO_LARGE], "b": [FILTERED], "c": [text("from c")], "d": [text("from d")]})
    assert await answered(asking) == ["from c"]
    assert asking.asked() == {"m": 1, "b": 1, "c": 1, "d": 0}


async def test_what_nobody_answers_fails_with_all_reasons(autojump_clock: trio.testing.MockClock) -> None:
    asking = Asking({"m": [TOO_LARGE], "b": [BROKEN], "c": [text("from c")]})
    assert await answered(asking) == ["p: HTTP 413: too large; p: HTTP 500: no"]
    assert asking.asked()["c"] == 0, "what fails in passing is asked again by the next run"


async def test_a_refusal_that_the_step_accepts_is_its_answer(autojump_clock: trio.testing.MockClock) -> None:
    accepts = Criteria(ended=frozenset(("stop", "content_filter")))
    asking = Asking({"m": [text("cut", "content_filter")], "other": [text("x")]}, criteria=accepts)
    assert await answered(asking) == ["cut"]


async def test_each_answer_costs_what_its_own_model_does(autojump_clock: trio.testing.MockClock) -> None:
    asking = Asking(
        {"m": [text("", "content_filter"), TOO_LARGE], "other": [text("x")]}, budget=10.0, params={"max_tokens": 1}
    )
    assert await answered(asking, 2) == ["x", "x"]
    assert [(answer.by, answer.cost) for answer in asking.kept] == [("p/m", 1.0), ("p/other", 2.0), ("p/other", 2.0)]
    assert asking.spending is not None
    assert asking.spending.budget.spent == 5.0
    assert {name: tally.cost for name, tally in asking.tallies.models.items()} == {"p/m": 1.0, "p/other": 4.0}


# -- a fallback that speaks another dialect --

SCHEMA = AnswerSchema({"type": "object", "properties": {"a": {}}})


async def test_a_fallback_is_asked_in_its_own_dialect(autojump_clock: trio.testing.MockClock) -> None:
    asking = Asking({"m": [TOO_LARGE], "other": [CLAUDE]}, dialects={"other": "anthropic"})
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "?"}]
    asking.asked_for = Asked({"model": "m-id", "messages": messages}, b"key")
    assert await answered(asking) == ["from Claude"]
    assert asking.clients["m"].bodies == [{"model": "m-id", "messages": messages}]
    (body,) = asking.clients["other"].bodies
    assert (body["model"], body["max_tokens"]) == ("other-id", 4096)
    assert "Be brief." in str(body["system"])


async def test_what_a_dialect_has_no_place_for_another_model_is_asked(autojump_clock: trio.testing.MockClock) -> None:
    asking = Asking({"m": [CLAUDE], "other": [text("a bird")]}, dialects={"m": "anthropic"})
    sound = [{"type": "input_audio", "input_audio": {"format": "wav", "data": "AAAA"}}]
    asking.asked_for = Asked({"model": "m-id", "messages": [{"role": "user", "content": sound}]}, b"key")
    assert await answered(asking) == ["a bird"]
    assert asking.asked() == {"m": 0, "other": 1}


@pytest.mark.parametrize(
    ("first", "other", "has_schema"), [("openai", "anthropic", False), ("anthropic", "openai", True)]
)
def test_a_fallback_is_told_of_the_schema_that_its_dialect_takes(first: str, other: str, has_schema: bool) -> None:
    models = [StepModel(f"p/{dialect}", "p", "id", 4, dialect) for dialect in (first, other)]
    criteria = Criteria(schema=SCHEMA, as_json=True)
    turns = [Turn("user", PromptTemplate("?"))]
    step = Step(
        name="s",
        kind="chat",
        uses=frozenset(),
        model=models[0],
        fallback=models[1:],
        turns=turns,
        criteria=criteria,
    )
    asked = ask(step, {}, {})
    told = asked_of(step, models[1], asked)
    assert ("response_format" in asked.body, "response_format" in told.body) == (not has_schema, has_schema)
    assert told.base == asked.base


@pytest.mark.parametrize(("first", "other", "most"), [("openai", "anthropic", 4096), ("anthropic", "openai", None)])
@pytest.mark.parametrize("said", [{}, {"max_tokens": 7}])
def test_a_fallback_is_told_what_its_own_dialect_must_be_told(
    first: str, other: str, most: int | None, said: dict[str, int]
) -> None:
    config = StepConfig(name="s", kind="chat", model="one/m", fallback=["two/m"], prompt="?", params=dict(said))
    models = {"m": ModelConfig(max_parallel_requests=1)}
    providers = {
        name: ProviderConfig(kind=kind, base_url="https://p.example", models=models)
        for name, kind in (("one", first), ("two", other))
    }
    problems: list[Problem] = []
    step = compile_step(config, known=frozenset(), providers=providers, folder=Path(), timeout=1.0, problems=problems)
    assert step is not None, problems
    asked = ask(step, {}, {})
    told = asked_of(step, step.fallback[0], asked)
    assert told.body.get("max_tokens") == said.get("max_tokens", most)
    assert asked.body.get("max_tokens") == said.get("max_tokens", 4096 if first == "anthropic" else None)
    assert told.base == asked.base


async def test_a_fallback_of_another_dialect_sees_the_same_image(
    autojump_clock: trio.testing.MockClock, image: Path
) -> None:
    asking = showing(image, {"m": [TOO_LARGE], "other": [CLAUDE]}, dialects={"other": "anthropic"})
    assert await answered(asking) == ["from Claude"]
    part = asking.clients["other"].bodies[0]["messages"][0]["content"][0]
    data = b64encode(image.read_bytes()).decode()
    assert part == {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}


async def test_a_file_that_a_dialect_does_not_take_is_the_failure_of_its_cell(
    autojump_clock: trio.testing.MockClock, image: Path
) -> None:
    asking = showing(image, {"m": [CLAUDE]}, dialects={"m": "anthropic"})
    url = RowFiles.below(image.parent).image(image.name)
    content = [{"type": "input_audio", "input_audio": {"format": "wav", "data": url}}]
    asking.asked_for = Asked({"model": "m-id", "messages": [{"role": "user", "content": content}]}, b"key", True)
    (failed,) = await answered(asking)
    assert failed.startswith("not called, p cannot be told: messages[0].content[0]")
    assert asking.asked() == {"m": 0}


# -- answers that cannot be used --


def unusable(tokens: int) -> Reply:
    """An answer without a text, which was paid for."""
    return 200, {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": tokens}}, {}


@pytest.mark.parametrize(
    "reply",
    [
        unusable(7),
        (200, {"choices": [{"message": {}, "finish_reason": None}], "usage": {"completion_tokens": 7}}, {}),
        (200, {"error": {"message": "no", "code": 400}, "usage": {"prompt_tokens": 5, "completion_tokens": 7}}, {}),
    ],
)
async def test_what_an_answer_that_cannot_be_used_has_cost_counts(
    autojump_clock: trio.testing.MockClock, reply: Reply
) -> None:
    asking = Asking({"m": [reply]}, budget=100.0, params={"max_tokens": 10})
    (failed,) = await answered(asking)
    assert not asking.kept, failed
    calls = asking.asked()["m"]
    assert asking.lost == [("s", 7.0)] * calls
    assert asking.spending is not None
    assert asking.spending.budget.spent == asking.tallies.cost == 7.0 * calls
    assert asking.tallies.models["p/m"].output_tokens == 7 * calls


async def test_an_answer_after_one_that_cannot_be_used_costs_its_own(autojump_clock: trio.testing.MockClock) -> None:
    down: Reply = (
        200,
        {"error": {"message": "no", "code": 502}, "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
        {},
    )
    asking = Asking({"m": [down, text("a bird")]}, budget=100.0, params={"max_tokens": 10})
    assert await answered(asking) == ["a bird"]
    assert asking.kept[0].cost == 1.0
    assert asking.spending is not None
    assert asking.spending.budget.spent == asking.tallies.cost == 3.0


# -- files --


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "cat.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n and more")
    return path


def showing(image: Path, models: Mapping[str, Sequence[Reply]] | None = None, **more: Any) -> Asking:
    """A call with an image, that is too large for its first model. It may take as long as it will: virtual time knows
    nothing of the thread that reads the file.
    """
    asking = Asking(models or {"m": [TOO_LARGE], "other": [text("a cat")]}, timeout=inf, **more)
    url = RowFiles.below(image.parent).image(image.name)
    content = [{"type": "image_url", "image_url": {"url": url}}]
    asking.asked_for = Asked({"model": "m-id", "messages": [{"role": "user", "content": content}]}, b"key", True)
    return asking


async def test_what_a_file_holds_goes_out_with_each_call(autojump_clock: trio.testing.MockClock, image: Path) -> None:
    asking = showing(image)
    assert await answered(asking) == ["a cat"]
    sent = [client.bodies[0]["messages"][0]["content"][0]["image_url"]["url"] for client in asking.clients.values()]
    assert sent == [f"data:image/png;base64,{b64encode(image.read_bytes()).decode()}"] * 2


async def test_a_file_that_is_another_by_then_is_not_sent(autojump_clock: trio.testing.MockClock, image: Path) -> None:
    asking = showing(image)
    image.write_bytes(b"\x89PNG\r\n\x1a\n another")
    assert await answered(asking) == ["'cat.png' has changed since its row was begun"]
    assert asking.asked() == {"m": 0, "other": 0}
