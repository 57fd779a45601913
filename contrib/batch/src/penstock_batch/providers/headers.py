"""The headers of a provider's calls: the key in the header that it belongs into, and others by the environment.

    [providers.acme]
    api_key_env = "ACME_KEY"
    auth_header = "api-key"                       # without it: the header of its kind; Authorization is a bearer token
    headers = { "x-organization" = "ACME_ORG" }   # from the variable ACME_ORG, never the value itself

Whatever goes out so is a secret: it is blotted out of all that leaves the run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from penstock import Problem, ProviderConfig
from penstock_batch.providers.native.protocols import protocol_of
from penstock_batch.words.secrets import key_problem

__all__ = ["header_problems", "headers_of", "secrets_of"]

_VARIABLE: Final = re.compile(r"[A-Z_][A-Z0-9_]{0,60}")
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_OURS: Final = frozenset(
    {
        *("accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type"),
        *("expect", "host", "te", "trailer", "transfer-encoding", "upgrade"),
    }
)


def headers_of(provider: ProviderConfig, environment: Mapping[str, str]) -> dict[str, str]:
    """The headers that each call to a provider has, whose `header_problems` are none."""
    made = dict(protocol_of(provider.kind).headers)
    made |= {name.lower(): environment[variable] for name, variable in provider.headers.items()}
    if provider.api_key_env is not None:
        key, header = environment[provider.api_key_env], _key_header(provider)
        made[header] = f"Bearer {key}" if header == "authorization" else key
    return made


def _key_header(provider: ProviderConfig) -> str:
    return (provider.auth_header or protocol_of(provider.kind).key_header).lower()


def secrets_of(provider: ProviderConfig, environment: Mapping[str, str]) -> list[str]:
    """All that must not leave the run of a provider whose `header_problems` are none."""
    variables = [*provider.headers.values(), *([] if provider.api_key_env is None else [provider.api_key_env])]
    return [environment[variable] for variable in variables]


def header_problems(provider: ProviderConfig, environment: Mapping[str, str], *, used: bool) -> list[Problem]:
    """The problems of a provider's key and headers; variables are looked at only where it is `used`."""
    found = []
    if provider.auth_header is not None:
        found += _name_problems(("auth_header",), provider.auth_header)
        if provider.api_key_env is None:
            found.append(Problem(("auth_header",), "says where the key goes, and no api_key_env names one"))
    lower = [name.lower() for name in provider.headers]
    for name, variable in provider.headers.items():
        path = ("headers", name)
        found += _name_problems(path, name)
        if lower.count(name.lower()) > 1:
            found.append(Problem(path, "stands there twice, since headers know no upper and lower case"))
        if name.lower() == _key_header(provider) and provider.api_key_env is not None:
            found.append(Problem(path, "is where the key goes; leave it out, or say auth_header"))
        if not used:
            continue
        value = environment.get(variable)
        if not value:
            found.append(Problem(path, _not_set(variable)))
        elif not _VALUE.fullmatch(value):
            what = f"the value in {variable} holds a line break, a space at an end, or what is no ASCII: set it anew"
            found.append(Problem(path, what))
    if used and provider.api_key_env is not None:
        key = environment.get(provider.api_key_env)
        if not key:
            found.append(Problem(("api_key_env",), _not_set(provider.api_key_env)))
        elif (wrong := key_problem(key)) is not None:
            what = f"the key in {provider.api_key_env} {wrong}: set the variable anew"
            found.append(Problem(("api_key_env",), what))
    return found


def _name_problems(path: tuple[str, ...], name: str) -> list[Problem]:
    if not _NAME.fullmatch(name):
        return [Problem(path, "is no name of a header")]
    return [Problem(path, "is made by the runner itself")] if name.lower() in _OURS else []


def _not_set(variable: str) -> str:
    if _VARIABLE.fullmatch(variable):
        return f"the environment variable {variable} is not set"
    return 'must name an environment variable, as in "OPENAI_API_KEY"; the key itself belongs into that variable'
