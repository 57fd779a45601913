"""What a client passes on, from a header say, stops nobody but that request."""

from __future__ import annotations

from math import nan
from typing import Any

import httpx2
import pytest
from trio.testing import MockClock

import penstock
from penstock import ConfigError
from penstock_httpx import AdmissionTransport

CONFIG = {
    "providers": {"acme": {"models": {"small": {"max_parallel_requests": 2}}}},
    "plugins": {"sinks": []},
}


async def answer(request: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(200, json={})


def ask(client: httpx2.AsyncClient, body: dict[str, Any], **said: Any) -> Any:
    return client.post("http://acme.test/v1/chat/completions", json=body, extensions={"penstock": said})


@pytest.mark.parametrize(
    "said",
    [
        {"timeout": "3"}, {"timeout": nan}, {"timeout": -1}, {"deadline": "x"}, {"deadline": nan}, {"cost": 5},
        {"cost": "many"}, {"group": ["a"]}, {"group": 3}, {"resource": 3}, {"resource": ["acme/small"]},
        {"domain": ["chat"]}, {"domain": "nonsense"}, {"labels": ["a"]}, {"labels": {"a": 3}},
    ],
)  # fmt: skip
async def test_a_wrong_extension_is_an_error_to_its_request_alone(
    autojump_clock: MockClock, said: dict[str, Any]
) -> None:
    async with penstock.open_scheduler(CONFIG) as scheduler:
        transport = AdmissionTransport(httpx2.MockTransport(answer), provider="acme")
        async with httpx2.AsyncClient(transport=transport) as client:
            (name,) = said
            with pytest.raises(ConfigError, match=name):
                await ask(client, {"model": "small"}, **said)
            assert (await ask(client, {"model": "small"}, labels={"tenant": "a"})).status_code == 200
        scheduler.check_invariants()


async def test_a_body_that_asks_for_more_tokens_than_there_are_is_admitted_without_an_estimate(
    autojump_clock: MockClock,
) -> None:
    async with penstock.open_scheduler(CONFIG):
        transport = AdmissionTransport(httpx2.MockTransport(answer), provider="acme")
        async with httpx2.AsyncClient(transport=transport) as client:
            assert (await ask(client, {"model": "small", "max_tokens": 10**400})).status_code == 200


@pytest.mark.parametrize("dialect", [3, b"openai", ["openai"], {}, object()])
def test_a_dialect_that_is_no_name_is_refused_by_name(dialect: Any) -> None:
    with pytest.raises(ConfigError, match="there is no dialect"):
        AdmissionTransport(dialect=dialect)
