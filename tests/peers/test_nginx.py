"""nginx, with the limits that people put before their model servers, in front of the mock provider."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

import penstock
import penstock_mockprovider as mock

pytestmark = pytest.mark.loopback

SERVED = mock.config_from_mapping({"models": {"small": {"latency": {"mean": 0.03}}}})
SLOW = "limit_req_zone $server_port zone=calls:1m rate=10r/s;"
"""Slower than any machine calls, however busy it is: who comes to fifty a second only at times is not refused."""
CALLS = 100
RATE = "limit_req_zone $server_port zone=calls:1m rate=50r/s;"
CONNECTIONS = "limit_conn_zone $server_port zone=at_once:1m;"


@pytest.mark.parametrize(
    ("zones", "limits", "refused_share"),
    [
        pytest.param(SLOW, "limit_req zone=calls burst=10 nodelay; limit_req_status 429;", 0.2, id="limit_req"),
        pytest.param(CONNECTIONS, "limit_conn at_once 4; limit_conn_status 429;", 0.1, id="limit_conn"),
    ],
)
async def test_a_limit_of_nginx_is_found_and_kept_within(
    nginx: Any, caller: Any, zones: str, limits: str, refused_share: float
) -> None:
    async with mock.serve(SERVED) as provider:
        front = nginx(provider.url, zones=zones, limits=limits)
        async with caller(f"{front.url}/v1") as calls:
            await calls.ask_all(CALLS)

    assert front.statuses[200] == provider.report().granted == CALLS
    assert front.statuses[429] == calls.statuses[429] > 0
    assert calls.refused_share <= refused_share


async def test_the_503_that_nginx_sends_by_default_is_a_rate_limit_with_a_retry_after(nginx: Any, caller: Any) -> None:
    limits = "limit_req zone=calls burst=10 nodelay; add_header Retry-After 1 always;"
    async with mock.serve(SERVED) as provider:
        front = nginx(provider.url, zones=SLOW, limits=limits)
        outcomes = Outcomes()
        async with caller(f"{front.url}/v1", outcomes) as calls:
            await calls.ask_all(CALLS)

    assert front.statuses[200] == provider.report().granted == CALLS
    assert front.statuses[503] == outcomes.of("rate_limited") > 0
    assert outcomes.of("provider_failure") == 0
    assert calls.refused_share <= 0.2


async def test_a_bare_503_is_a_failure_unless_a_plugin_knows_better(nginx: Any, caller: Any) -> None:
    async with mock.serve(SERVED) as provider:
        front = nginx(provider.url, zones=RATE, limits="limit_req zone=calls burst=1 nodelay;")
        bare, known = Outcomes(), Outcomes()
        async with caller(f"{front.url}/v1", bare) as calls:
            await calls.ask_all(20)
        async with caller(f"{front.url}/v1", known, NginxRefuses()) as calls:
            await calls.ask_all(100)

    assert front.statuses[200] == provider.report().granted == 120
    assert bare.of("provider_failure") > 0
    assert bare.of("rate_limited") == 0
    assert known.of("provider_failure") == 0
    assert calls.refused_share <= 0.2


class NginxRefuses:
    """Says of a 503 that it is nginx, which sends it over its limits."""

    @penstock.hookimpl
    def penstock_classify_outcome(
        self, response: penstock.ResponseFacts | None, error: BaseException | None
    ) -> penstock.RequestReleaseOutcome | None:
        if response is None or response.status != 503:
            return None
        return penstock.RequestReleaseOutcome(kind="rate_limited", status=503)


@attrs.define
class Outcomes:
    """A sink that counts how calls ended."""

    seen: list[str | None] = attrs.field(factory=list)

    @penstock.hookimpl
    def penstock_request_event(self, event: penstock.RuntimeEvent) -> None:
        if event.event_kind == "model_request_completed":
            self.seen.append(event.reason_or_outcome)

    def of(self, kind: str) -> int:
        return self.seen.count(kind)
