"""The clients of models, by the URL that a provider has."""

from __future__ import annotations

import pytest

from penstock import ModelConfig, ProviderConfig
from penstock_batch.providers.endpoints import open_endpoints, provider_problems
from penstock_batch.providers.models import StepModel


@pytest.mark.parametrize(
    ("url", "netloc"),
    [
        ("http://h/ä b/v1", "h"),
        ("http://gäste.example/v1", "xn--gste-loa.example"),
        ("http://[::1]:8000/v1", "[::1]:8000"),
        ("http://h:8000", "h:8000"),
    ],
)
async def test_a_url_that_is_a_problem_to_nobody_has_a_client(url: str, netloc: str) -> None:
    providers = {"p": ProviderConfig(base_url=url, models={"m": ModelConfig(max_parallel_requests=1)})}
    assert provider_problems(providers, {"p"}, {}) == []
    async with open_endpoints(providers, [StepModel("p/m", "p", "m", 1)]) as endpoints:
        assert endpoints.clients["p/m"].netloc == netloc


@pytest.mark.parametrize("host", ["api..example", f"{64 * 'a'}.example"])
def test_a_host_that_no_host_can_be_called_is_a_problem(host: str) -> None:
    (problem,) = provider_problems({"p": ProviderConfig(base_url=f"https://{host}/v1")}, (), {})
    assert problem.path == ("providers", "p", "base_url")
    assert "1 to 63 characters" in problem.what
