"""Calls of one embedding step in virtual time, at a provider that is a function."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
import pytest
import trio
from contrib.batch.tests.embedder import Embedder

import penstock
from penstock_batch.calls.asking import ask
from penstock_batch.calls.calling import Calls
from penstock_batch.calls.giving_up import GiveUpRules, ModelHealth
from penstock_batch.calls.joint_calls import JointCalls
from penstock_batch.calls.model_use import CellFailed, CellStopped, ModelUse
from penstock_batch.calls.place_use import PlaceUse
from penstock_batch.calls.spending import Spending
from penstock_batch.calls.tallies import ModelTally, Tallies
from penstock_batch.pipeline.steps import Step
from penstock_batch.pipeline.templates import PromptTemplate
from penstock_batch.providers.clients import ModelClient
from penstock_batch.providers.models import StepModel
from penstock_batch.providers.native.bodies import Speaking
from penstock_batch.store.answer import Answer
from penstock_batch.words.secrets import Secrets
from penstock_dialects import Prices


def use_of(
    model: StepModel, clients: Sequence[ModelClient], tallies: Mapping[str, ModelTally], rules: GiveUpRules
) -> ModelUse:
    """A model as a run uses it, with a client for each of its places, which are asked in their order."""
    places = [
        PlaceUse(place, client, None, ModelHealth(rules), tallies[place.name], Speaking(place.dialect, place.provider))
        for place, client in zip(model.served, clients, strict=True)
    ]

    def in_order(kind: str) -> list[penstock.RequestResourceKey]:
        return [penstock.RequestResourceKey(each.provider, each.model_id, kind) for each in model.served]

    return ModelUse(model, places, lambda kind: lambda: in_order(kind))


class TextsTogether:
    """An embedding step, whose texts are asked for by `all`. `kept` are the answers that were put, by text; `failed`
    the reasons of the texts that have none, and `stopped` those that were not asked since the run stops.
    """

    def __init__(
        self,
        *embedders: Embedder,
        cap: int = 4,
        give_up: int = 20,
        spending: Spending | None = None,
        **step: Any,
    ) -> None:
        model = StepModel("p/e", "p", "e", cap, prices=Prices(input=1.0))
        if len(embedders) > 1:
            places = [attrs.evolve(model, name=f"p@{n}/e", provider=f"p@{n}") for n, _ in enumerate(embedders, 1)]
            model = attrs.evolve(model, places=tuple(places))
        template = {"input": PromptTemplate("{{ text }}")}
        self.step = Step(
            name="s",
            kind="embedding",
            model=model,
            templates=template,
            uses=frozenset({"text"}),
            **{"batch_size": 100, **step},
        )
        self.tallies = Tallies.for_steps([self.step], 0)
        self.model: ModelTally = self.tallies.models[model.served[0].name]
        rules = GiveUpRules(failures=give_up, start=0.0, after=0.0)
        self.use = use_of(model, embedders, self.tallies.models, rules)
        calls = Calls({"p/e": self.use}, self.tallies, Secrets(), on_limited=lambda: None, spending=spending)
        self.joint = JointCalls(calls, self._committed, self.tallies.steps)
        self.commits = 0
        self.kept: dict[str, list[Answer]] = {}
        self.failed: dict[str, str] = {}
        self.stopped: set[str] = set()
        self.requests: Mapping[str, Any] = {"retry_backoff": 0.1, "retry_backoff_max": 0.2}
        self._cap = cap

    async def _committed(self) -> None:
        self.commits += 1
        await trio.sleep(0.01)

    async def all(self, texts: Iterable[str], apart: float | None = 0.0) -> None:
        """Ask for these texts, each so many seconds after the one before, or all in one turn of the loop, until all
        have ended.
        """
        models = {"e": {"max_parallel_requests": self._cap}}
        at = {place.provider: {"base_url": "http://e/v1", "models": models} for place in self.use.model.served}
        tables = {"providers": at, "requests": self.requests}
        async with penstock.open_scheduler(penstock.load_config(tables).config), trio.open_nursery() as nursery:
            for text in texts:
                nursery.start_soon(self.one, text)
                if apart is not None:
                    await trio.sleep(apart)

    async def one(self, text: str) -> None:
        """Ask for one text, within a run."""
        columns = {"text": text}
        try:
            answer = await self.joint.call(
                self.step, ask(self.step, columns, columns), self.kept.setdefault(text, []).append
            )
        except CellFailed as error:
            self.failed[text] = str(error)
        except CellStopped:
            self.stopped.add(text)
        else:
            assert answer in self.kept[text]

    @property
    def vectors(self) -> dict[str, Any]:
        """The vector of each text that has one."""
        return {text: answers[-1].value for text, answers in self.kept.items() if answers}


@pytest.fixture
def embedder() -> Embedder:
    """A provider that answers every text after a second."""
    return Embedder()
