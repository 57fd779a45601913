"""What a request is admitted as."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest

import penstock
from penstock_httpx import NO_MODEL, RequestDescription, describe_openai
from penstock_httpx.description import apply_extension


def post(path: str, **body: object) -> httpx2.Request:
    return httpx2.Request("POST", f"https://api.acme.test/v1{path}", json=body)


@pytest.mark.parametrize(
    ("path", "domain"),
    [
        ("/chat/completions", "chat"),
        ("/responses", "chat"),
        ("/messages", "chat"),
        ("/embeddings", "embedding"),
        ("/images/generations", "image"),
        ("/images/edits", "image"),
    ],
)
def test_the_model_comes_from_the_body_and_the_domain_from_the_path(path: str, domain: str) -> None:
    description = describe_openai(post(path, model="small"), "acme")

    assert (description.resource, description.domain) == ("acme/small", domain)


def test_the_provider_is_the_host_if_nobody_names_it() -> None:
    assert describe_openai(post("/responses", model="small")).resource == "api.acme.test/small"


def test_a_model_with_slashes_stays_whole() -> None:
    assert describe_openai(post("/responses", model="org/small-7b"), "acme").resource == "acme/org/small-7b"


@pytest.mark.parametrize(
    ("path", "model", "domain"),
    [
        ("beta/models/gemini-x:generateContent", "gemini-x", "chat"),
        ("beta/models/gemini-x:streamGenerateContent?alt=sse", "gemini-x", "chat"),
        ("beta/models/embed-x:batchEmbedContents", "embed-x", "embedding"),
        ("/projects/p/locations/l/publishers/google/models/gemini-x:predict", "gemini-x", "chat"),
        ("/openai/deployments/mine/chat/completions?api-version=1", "mine", "chat"),
        ("/openai/deployments/mine/embeddings?api-version=1", "mine", "embedding"),
        ("/model/acme.large-1%3A0/converse-stream", "acme.large-1:0", "chat"),
        ("/model/acme.large-1/invoke", "acme.large-1", "chat"),
    ],
)
def test_a_model_that_only_the_path_names_comes_from_there(path: str, model: str, domain: str) -> None:
    description = describe_openai(post(path, contents=[]), "acme")

    assert (description.resource, description.domain) == (f"acme/{model}", domain)
    assert describe_openai(post(path, model="small"), "acme").resource == "acme/small"


def test_a_body_that_is_streamed_up_to_a_model_in_the_path_has_no_estimate() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield pytest.fail("it was read")

    request = httpx2.Request("POST", "https://api.acme.test/model/large/invoke", content=chunks())

    assert describe_openai(request, "acme").cost == penstock.RequestCost()


@pytest.mark.parametrize(("place", "name"), [("generationConfig", "maxOutputTokens"), ("inferenceConfig", "maxTokens")])
def test_an_output_limit_is_found_where_gemini_and_bedrock_put_theirs(place: str, name: str) -> None:
    request = post("beta/models/gemini-x:generateContent", **{place: {name: 300}})

    assert describe_openai(request, "acme").cost.output_tokens == 300


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens", "max_output_tokens"])
def test_the_cost_is_estimated_from_the_length_of_the_body_and_its_output_limit(limit: str) -> None:
    request = post("/responses", model="small", input="x" * 4000, **{limit: 300})

    cost = describe_openai(request, "acme").cost

    assert 1000 <= cost.input_tokens <= 1050
    assert cost.output_tokens == 300


def test_an_output_limit_that_is_no_count_is_no_estimate() -> None:
    assert describe_openai(post("/responses", model="small", max_tokens=None), "acme").cost.output_tokens == 0
    assert describe_openai(post("/responses", model="small", max_tokens=True), "acme").cost.output_tokens == 0


@pytest.mark.parametrize(
    "request_",
    [
        httpx2.Request("GET", "https://api.acme.test/v1/models"),
        httpx2.Request("GET", "https://api.acme.test/v1beta/models/gemini-x:generateContent"),
        httpx2.Request("POST", "https://api.acme.test/v1beta/models/gemini-x", json={}),
        httpx2.Request("POST", "https://api.acme.test/v1/files", files={"file": b"rows"}),
        httpx2.Request("POST", "https://api.acme.test/v1/chat/completions", json=["no", "object"]),
        httpx2.Request("POST", "https://api.acme.test/v1/chat/completions", json={"model": 7}),
        httpx2.Request(
            "POST", "https://api.acme.test/", content=b"{oops", headers={"content-type": "application/json"}
        ),
    ],
    ids=[
        "a list of models",
        "a look",
        "a path without a method",
        "an upload",
        "a list as body",
        "a model that is no name",
        "a body that is no JSON",
    ],
)
def test_a_request_that_names_no_model_still_counts_for_its_provider(request_: httpx2.Request) -> None:
    description = describe_openai(request_, "acme")

    assert (description.resource, description.domain) == (f"acme/{NO_MODEL}", "healthcheck")


def test_a_body_that_is_streamed_up_is_not_read() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield pytest.fail("it was read")

    headers = {"content-type": "application/json"}
    request = httpx2.Request("POST", "https://api.acme.test/v1/responses", content=chunks(), headers=headers)

    assert describe_openai(request, "acme").resource == f"acme/{NO_MODEL}"


def test_the_caller_may_say_group_cost_and_deadline() -> None:
    cost = penstock.RequestCost(input_tokens=7)
    request = post("/responses", model="small")
    request.extensions["penstock"] = {"group": "tenant-a", "cost": cost, "deadline": 9.0}

    description = apply_extension(describe_openai(request, "acme"), request)

    assert description == RequestDescription(resource="acme/small", group="tenant-a", cost=cost, deadline=9.0)


@pytest.mark.parametrize("said", [{"tenant": "a"}, "tenant-a"])
def test_what_no_description_has_is_refused(said: object) -> None:
    request = post("/responses", model="small")
    request.extensions["penstock"] = said

    with pytest.raises(penstock.ConfigError, match=r'extensions\["penstock"\].*group'):
        apply_extension(describe_openai(request, "acme"), request)
