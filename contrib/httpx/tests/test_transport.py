"""Every request is admitted, and its outcome is known, however the call ends."""

from __future__ import annotations

import errno
import socket
from typing import Any

import attrs
import httpx2
import pytest
import trio
import trio.testing

import penstock
from penstock_httpx import AdmissionTransport, RequestDescription
from penstock_httpx.testing import ScriptedBody

# -- admission -------------------------------------------------------------------------------------------------------


async def test_a_request_waits_for_its_place(autojump_clock: Any, gate: Any) -> None:
    async with gate(200, 200) as opened, trio.open_nursery() as nursery:
        started = trio.current_time()
        for _ in range(2):
            nursery.start_soon(opened.ask)
        await trio.testing.wait_all_tasks_blocked()
        assert len(opened.inner.requests) == 1

    assert opened.resources == ["acme/small/chat"] * 2
    assert trio.current_time() - started == pytest.approx(2 * 3, abs=2), "one second each for head, chunk and end"
    assert opened.outcomes == ["success"] * 2


async def test_the_caller_knows_better_by_an_extension(autojump_clock: Any, gate: Any) -> None:
    async with gate(200) as opened:
        await opened.ask(extensions={"penstock": {"group": "tenant-a"}})

    assert [event.group for event in opened.events("request_lease_acquired")] == ["tenant-a"]


async def test_how_a_request_is_described_can_be_replaced(autojump_clock: Any, gate: Any) -> None:
    def describe(request: httpx2.Request) -> RequestDescription:
        return RequestDescription(resource="acme/small", domain="image", group=request.headers["x-tenant"])

    async with gate(200, describe=describe) as opened:
        await opened.client.get("/draw", headers={"x-tenant": "b"})

    assert opened.resources == ["acme/small/image"]


async def test_an_executor_that_is_given_is_asked_and_not_that_of_the_context(autojump_clock: Any, gate: Any) -> None:
    async with gate(200) as given, gate():
        transport = AdmissionTransport(given.inner, provider="acme", executor=given.scheduler.requests)
        async with httpx2.AsyncClient(transport=transport, base_url="http://acme.test/v1") as client:
            await client.post("/responses", json={"model": "small"})

    assert given.outcomes == ["success"]


async def test_a_request_that_is_refused_here_is_never_sent(autojump_clock: Any, gate: Any) -> None:
    async with gate(200) as opened, opened.stream():
        with pytest.raises(penstock.RequestAdmissionError) as refused:
            await opened.ask(extensions={"penstock": {"timeout": 0}})

    assert refused.value.reason in ("queue_timeout", "no_capacity")
    assert len(opened.inner.requests) == 1


async def test_closing_the_transport_closes_the_inner_one(autojump_clock: Any, gate: Any) -> None:
    async with gate(200) as opened:
        pass

    assert opened.inner.closed


# -- outcomes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, "success"),
        (204, "success"),
        (302, "success"),
        (401, "provider_failure"),
        (408, "provider_timeout"),
        (429, "rate_limited"),
        (500, "provider_failure"),
        (503, "provider_failure"),
        (504, "provider_timeout"),
    ],
)
async def test_an_answer_is_classified_by_its_status(autojump_clock: Any, gate: Any, status: int, outcome: str) -> None:
    async with gate(status) as opened:
        response = await opened.ask()

    assert response.status_code == status
    assert opened.outcomes == [outcome]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (httpx2.ConnectTimeout("slow"), "provider_timeout"),
        (httpx2.ReadTimeout("slow"), "provider_timeout"),
        (httpx2.WriteTimeout("slow"), "provider_timeout"),
        (httpx2.ConnectError("refused"), "provider_failure"),
        (httpx2.ReadError("reset"), "provider_failure"),
        (httpx2.RemoteProtocolError("garbled"), "provider_failure"),
        (httpx2.ProxyError("gone"), "provider_failure"),
        (httpx2.LocalProtocolError("ours"), "unexpected_exception"),
        (ZeroDivisionError("ours"), "unexpected_exception"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
@pytest.mark.parametrize("where", ["instead of an answer", "inside its body"])
async def test_an_error_is_classified_and_passes_through(
    autojump_clock: Any, gate: Any, error: Exception, outcome: str, where: str
) -> None:
    async with gate(error if where == "instead of an answer" else ScriptedBody(b"a", error=error)) as opened:
        with pytest.raises(type(error)) as passed:
            await opened.ask()

    assert passed.value is error
    assert opened.outcomes == [outcome]


async def test_what_the_head_said_stands_however_the_body_ends(autojump_clock: Any, gate: Any) -> None:
    broken = httpx2.Response(429, stream=ScriptedBody(b"{", error=httpx2.ReadError("reset")))
    async with gate(broken, 500) as opened:
        with pytest.raises(httpx2.ReadError):
            await opened.ask()
        async with opened.stream():
            pass

    assert opened.outcomes == ["rate_limited", "provider_failure"]


@attrs.define
class NoOpinion:
    """A classifier that keeps what it is asked, and leaves every answer to the others."""

    facts: list[penstock.ResponseFacts | None] = attrs.field(factory=list)
    errors: list[BaseException | None] = attrs.field(factory=list)

    @penstock.hookimpl
    def penstock_classify_outcome(
        self, response: penstock.ResponseFacts | None, error: BaseException | None
    ) -> penstock.RequestReleaseOutcome | None:
        self.facts.append(response)
        self.errors.append(error)
        return None


async def test_a_plugin_that_classifies_is_given_neutral_facts(autojump_clock: Any, gate: Any) -> None:
    asked = NoOpinion()
    body = ScriptedBody(b'{"error": {"type": "insufficient_quota"}}')
    refusal = httpx2.Response(400, headers={"X-Request-Id": "7"}, stream=body)
    async with gate(refusal, httpx2.ReadTimeout("slow"), plugins=[asked]) as opened:
        await opened.ask()
        with pytest.raises(httpx2.ReadTimeout):
            await opened.ask()

    facts, nothing = asked.facts
    assert facts is not None
    assert (facts.status, facts.error_type, facts.headers["x-request-id"]) == (400, "insufficient_quota", "7")
    assert (facts.first_token_at, facts.elapsed) == (2.0, 3.0)
    assert nothing is None
    assert [type(error) for error in asked.errors] == [type(None), TimeoutError]


async def test_the_scheduler_sees_what_is_worth_another_try(autojump_clock: Any, gate: Any) -> None:
    lasting, passing = httpx2.LocalProtocolError("ours"), httpx2.ReadTimeout("slow")
    async with gate(lasting, passing) as opened:
        for error in (lasting, passing):
            with pytest.raises(type(error)):
                await opened.ask()

    marks = [penstock.failure_mark(error) for error in (lasting, passing)]
    assert [mark is not None and mark.retryable for mark in marks] == [False, True]


async def test_a_request_that_names_no_model_is_admitted_at_a_place_for_such(autojump_clock: Any, gate: Any) -> None:
    async with gate(200, 200) as opened:
        await opened.client.get("/models")
        await opened.client.get("/models")

    assert opened.resources == ["acme/-/healthcheck"] * 2
    registered = [event.resource for event in opened.events("request_resource_registered")]
    assert registered.count("acme/-/healthcheck") == 1


@pytest.mark.loopback
async def test_a_connection_that_nobody_takes_uses_up_no_attempt() -> None:
    config = {
        "requests": {"max_attempts": 2, "retry_backoff": 0.001, "retry_backoff_max": 0.001},
        "providers": {"acme": {"models": {"small": {"max_parallel_requests": 1}}}},
    }
    attempts: list[str] = []
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/"

        async def call(attempt: penstock.Attempt) -> str:
            attempts.append(attempt.attempt_id)
            if len(attempts) < 6:
                async with httpx2.AsyncClient(trust_env=False) as client:
                    await client.get(url)
            return "answer"

        async with penstock.open_scheduler(config):
            assert await penstock.execute(call, "acme/small") == "answer"
    assert len(attempts) == 6


async def test_a_shortage_of_our_own_is_told_as_ours_and_not_as_the_providers(autojump_clock: Any, gate: Any) -> None:
    failed = httpx2.ConnectError("all attempts to connect failed")
    failed.__cause__ = OSError(errno.EMFILE, "Too many open files")
    async with gate(failed, 200) as opened:
        await opened.ask()

    assert opened.outcomes == ["local_timeout", "success"]
