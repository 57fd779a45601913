"""`mocklimit` and `llmock`: two servers from PyPI that limit as providers do, with headers of their own making."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio

pytestmark = pytest.mark.loopback


def spec_of(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


TEXT, NUMBER = {"type": "string"}, {"type": "integer"}
ANSWER = spec_of(
    {
        "id": TEXT,
        "object": {"type": "string", "enum": ["chat.completion"]},
        "created": NUMBER,
        "model": TEXT,
        "choices": {
            "type": "array",
            "items": spec_of(
                {
                    "index": NUMBER,
                    "finish_reason": {"type": "string", "enum": ["stop"]},
                    "message": spec_of({"role": {"type": "string", "enum": ["assistant"]}, "content": TEXT}),
                }
            ),
        },
        "usage": spec_of({"prompt_tokens": NUMBER, "completion_tokens": NUMBER, "total_tokens": NUMBER}),
    }
)
SPEC = {
    "openapi": "3.0.3",
    "info": {"title": "chat", "version": "1"},
    "paths": {
        "/chat/completions": {
            "post": {
                "responses": {
                    "200": {"description": "an answer", "content": {"application/json": {"schema": ANSWER}}},
                }
            }
        }
    },
}
STRATEGIES = {
    "fixed_window": {"limit": 20, "window_seconds": 1},
    "sliding_window": {"limit": 20, "window_seconds": 1},
    "token_bucket": {"capacity": 20, "refill_rate": 20},
}


HEADERS = {
    "limit": "x-ratelimit-limit-requests",
    "remaining": "x-ratelimit-remaining-requests",
    "reset": "x-ratelimit-reset-requests",
}


def mocklimit(serve: Any, folder: Path, strategy: str, told: dict[str, Any]) -> str:
    """Starts mocklimit with twenty calls a second, in the form of one strategy; gives its URL."""
    one = {"requests": {"input": {"strategy": "fixed", "value": 1}, "output": {"strategy": "fixed", "value": 0}}}
    limits = {
        "policies": {
            "chat": {
                "strategy": strategy,
                "limits": [{"dimension": "requests", **STRATEGIES[strategy], **told}],
                "scope": "api_key",
                "format": {"reset": "go_duration", "retry_after": {"header": "retry-after-ms", "unit": "milliseconds"}},
                "error_template": {"provider": "openai"},
            }
        },
        "endpoints": {
            "/chat/completions": {
                "methods": ["POST"],
                "policy": "chat",
                "resources": one,
                "timing": {"base_ms": [10, 30]},
            }
        },
    }
    for name, table in (("spec", SPEC), ("limits", limits)):
        (folder / f"{name}.yaml").write_text(json.dumps(table), encoding="utf-8")  # JSON is YAML
    url: str = serve(
        "mocklimit",
        "serve",
        "--port",
        "0",
        "--spec",
        f"{folder}/spec.yaml",
        "--rate-config",
        f"{folder}/limits.yaml",
    )

    return url


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_mocklimit_is_kept_within(strategy: str, serve: Any, caller: Any, tmp_path: Path) -> None:
    url = mocklimit(serve, tmp_path, strategy, {})

    async with caller(url) as calls:
        await calls.ask_all(100)

    assert calls.statuses[200] == 100
    assert calls.refused_share <= 0.3  # nothing tells its limit, and it is small beside what is under way


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_headers_of_mocklimit_that_tell_no_window_are_not_taken_for_a_minutes(
    strategy: str, serve: Any, caller: Any, tmp_path: Path
) -> None:
    url = mocklimit(serve, tmp_path, strategy, {"headers": HEADERS})

    async with caller(url) as calls:
        await calls.ask_all(100)  # a minute's would take five

    assert calls.statuses[200] == 100
    assert calls.refused_share <= 0.1


async def test_llmock_is_kept_within_by_what_it_tells(serve: Any, caller: Any) -> None:
    url = serve("llmock", "serve", "--port", "0", "--rpm", "1200", "--latency-ms", "10")

    async with caller(f"{url}/v1") as calls:
        await calls.ask_all(100)

    assert calls.statuses == {200: 100}


async def test_llmock_finds_nothing_wrong_with_us_when_its_limit_is_used_up(serve: Any, caller: Any) -> None:
    url = serve("llmock", "serve", "--port", "0", "--rpm", "1200")

    async with caller(f"{url}/v1") as calls:
        await use_up(f"{url}/v1/chat/completions", calls.sdk.api_key)
        await calls.ask_all(100)

    verdict = await asked(f"{url}/_llmock/verdict")
    assert calls.statuses[200] == 100
    assert calls.refused_share <= 0.1  # the first answer tells that nothing is left
    assert verdict["attempts"] > 1200 + calls.statuses.total()
    assert verdict["errors"] == 0


async def test_llmocks_errors_at_random_are_outlived(serve: Any, caller: Any) -> None:
    faults = ("--error-rate", "429=0.05", "--error-rate", "503=0.05", "--error-rate", "500=0.05")
    url = serve("llmock", "serve", "--port", "0", *faults)

    async with caller(f"{url}/v1") as calls:
        await calls.ask_all(60)

    assert calls.statuses[200] == 60
    assert calls.statuses.total() > 60
    verdict = await asked(f"{url}/_llmock/verdict")
    assert verdict["errors"] == 0  # each refusal's Retry-After was obeyed, and nobody asked without end


async def asked(url: str) -> Any:
    """What a server answers to a plain question."""
    async with httpx2.AsyncClient() as plain:
        return (await plain.get(url)).json()


async def use_up(url: str, key: str) -> None:
    """Somebody else with the same key, who calls until he is refused."""
    headers = {"authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(headers=headers) as plain, trio.open_nursery() as nursery:

        async def some(who: int) -> None:
            for number in count():
                said = f"Me first: {who}, {number}"
                body = {"model": "small", "messages": [{"role": "user", "content": said}]}
                if (await plain.post(url, json=body)).status_code == 429:
                    return

        for who in range(10):
            nursery.start_soon(some, who)
