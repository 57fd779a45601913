"""The headers of a provider: from variables by name, in the header that they belong into, and never shown."""

from __future__ import annotations

import pytest

from penstock import ProviderConfig
from penstock_batch.providers.headers import header_problems, headers_of, secrets_of

ENVIRONMENT = {"KEY": "sk-123456", "ORG": "acme inc", "BROKEN": "org-123\r\nhost: evil", "EMPTY": ""}


def provider(**options: object) -> ProviderConfig:
    return ProviderConfig(base_url="https://api.example/v1", **options)  # type: ignore[arg-type]


def test_a_key_goes_out_as_a_bearer_token_or_in_the_header_that_is_named() -> None:
    assert headers_of(provider(api_key_env="KEY"), ENVIRONMENT) == {"authorization": "Bearer sk-123456"}
    azure = provider(api_key_env="KEY", auth_header="api-key", headers={"X-Org": "ORG"})
    assert headers_of(azure, ENVIRONMENT) == {"api-key": "sk-123456", "x-org": "acme inc"}
    assert sorted(secrets_of(azure, ENVIRONMENT)) == ["acme inc", "sk-123456"]


@pytest.mark.parametrize(
    ("options", "path", "says"),
    [
        ({"headers": {"x org": "ORG"}}, "headers", "is no name of a header"),
        ({"headers": {"Content-Length": "ORG"}}, "headers", "made by the runner itself"),
        ({"headers": {"x-org": "NOT_THERE"}}, "headers", "NOT_THERE is not set"),
        ({"headers": {"x-org": "EMPTY"}}, "headers", "EMPTY is not set"),
        ({"headers": {"x-org": "acme inc"}}, "headers", "must name an environment variable"),
        ({"headers": {"x-org": "BROKEN"}}, "headers", "holds a line break"),
        ({"headers": {"x-org": "ORG", "X-Org": "ORG"}}, "headers", "twice"),
        ({"headers": {"Authorization": "ORG"}, "api_key_env": "KEY"}, "headers", "is where the key goes"),
        ({"auth_header": "api-key"}, "auth_header", "no api_key_env"),
        ({"auth_header": "api key", "api_key_env": "KEY"}, "auth_header", "is no name of a header"),
    ],
)
def test_a_mistake_is_told_and_no_value_shown(options: dict[str, object], path: str, says: str) -> None:
    problems = header_problems(provider(**options), ENVIRONMENT, used=True)
    assert any(problem.path[0] == path and says in str(problem) for problem in problems)
    assert not any("evil" in str(problem) or "acme inc" in str(problem) for problem in problems)


def test_variables_of_a_provider_that_nobody_uses_are_not_looked_at() -> None:
    assert header_problems(provider(api_key_env="NOT_THERE", headers={"x": "NOT_THERE"}), {}, used=False) == []


@pytest.mark.parametrize(
    ("kind", "headers"),
    [
        ("anthropic", {"x-api-key": "sk-123456", "anthropic-version": "2023-06-01"}),
        ("gemini", {"x-goog-api-key": "sk-123456"}),
    ],
)
def test_a_key_goes_into_the_header_of_its_kind_unless_another_is_named(kind: str, headers: dict[str, str]) -> None:
    assert headers_of(provider(kind=kind, api_key_env="KEY"), ENVIRONMENT) == headers
    bearer = headers_of(provider(kind=kind, api_key_env="KEY", auth_header="Authorization"), ENVIRONMENT)
    assert bearer["authorization"] == "Bearer sk-123456"


def test_a_version_that_is_said_takes_the_place_of_ours() -> None:
    made = headers_of(provider(kind="anthropic", headers={"Anthropic-Version": "ORG"}), ENVIRONMENT)
    assert made == {"anthropic-version": "acme inc"}
