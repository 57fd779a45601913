"""`[gateway]` of the configuration file: what can be set, and what would be nonsense."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any, Final

import attrs

from penstock import ConfigError, Problem, in_schema, number_above, number_from, whole_number_from
from penstock_gateway.keys import KEY_NAME

__all__ = ["AdminConfig", "AliasConfig", "GatewayConfig", "KeyConfig", "is_loopback"]

MOST_WORKERS: Final = 256
MOST_CALLS: Final = 1_000_000
"""That the gate counts of one group."""


@in_schema(minimum=0, maximum=65_535)
def _port(_: object, field: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 65_535:
        raise ValueError(f"{field.name} must be a port from 0 (any free one) to 65535, not {value!r:.40}")


@in_schema(minimum=0, maximum=MOST_WORKERS)
def _count_of_workers(_: object, field: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_WORKERS:
        what = f"a whole number from 0 (one per core) to {MOST_WORKERS}"
        raise ValueError(f"{field.name} must be {what}, not {value!r:.40}")


@in_schema(minimum=1, maximum=MOST_CALLS)
def _count_of_calls(_: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_CALLS:
        raise ValueError(f"{field.name} must be a whole number from 1 to {MOST_CALLS:,}, not {value!r:.40}")


def _can_be_printed(_: object, field: attrs.Attribute[Any], value: str | None) -> None:
    if value is not None and not value.isprintable():
        raise ValueError(f"{field.name} must not hold line breaks or other signs that cannot be printed")


_optional_count = attrs.validators.optional(whole_number_from(1))
_optional_money = attrs.validators.optional(number_above(0.0, 1_000_000_000.0))


def is_loopback(host: str) -> bool:
    """Whether nothing but this machine reaches an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@attrs.frozen(kw_only=True)
class KeyConfig:
    """`[gateway.keys.NAME]`. Its calls are the request group `NAME`.

    - `env`: the environment variable with the key; without it the key is the one of that name in `keys_file`.
    - `weight`: its share beside that of other keys, where calls wait.
    - `requests_per_minute`, `requests_per_day`: calls, over all models.
    - `tokens_per_minute`, `tokens_per_day`: of prompts and answers together.
    - `spend_per_day`, `spend_per_month`: in the money of the models' prices, as days and months of UTC go.
    """

    env: str | None = None
    weight: float = attrs.field(default=1.0, validator=number_above(0.0, 1_000_000.0))
    calls: int | None = attrs.field(default=None, validator=_count_of_calls)
    """In flight at once, over all models."""
    requests_per_minute: int | None = attrs.field(default=None, validator=_optional_count)
    tokens_per_minute: int | None = attrs.field(default=None, validator=_optional_count)
    requests_per_day: int | None = attrs.field(default=None, validator=_optional_count)
    tokens_per_day: int | None = attrs.field(default=None, validator=_optional_count)
    spend_per_day: float | None = attrs.field(default=None, validator=_optional_money)
    spend_per_month: float | None = attrs.field(default=None, validator=_optional_money)
    models: list[str] | None = None
    """Those that it may call, by the names that clients call them; all without it."""
    queue_wait_timeout: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(number_from(0.0, 86_400.0))
    )
    """Seconds, in the place of the gateway's."""


@in_schema(minItems=1, uniqueItems=True)
def _places(_: object, field: attrs.Attribute[Any], value: list[str]) -> None:
    if not value or len(set(value)) < len(value):
        raise ValueError(f'{field.name} must name models, each once, as in ["acme/small", "other/small"]')


@attrs.frozen(kw_only=True)
class AliasConfig:
    """`[gateway.models.NAME]`: a name for models that serve a call alike, of whichever providers of one dialect.

    - `to`: the models, as provider/model.
    """

    to: list[str] = attrs.field(validator=_places)


@attrs.frozen(kw_only=True)
class AdminConfig:
    """`[gateway.admin]`: where `/metrics` and the health checks are, beside the clients' port.

    - `host`: a loopback address.
    - `port`: 0 takes any free one.
    """

    host: str = "127.0.0.1"
    port: int = attrs.field(default=9464, validator=_port)


@attrs.frozen(kw_only=True)
class GatewayConfig:
    """`[gateway]`. Durations in seconds, sizes in bytes.

    - `host`: the address that clients call.
    - `port`: 0 takes any free one.
    - `keys_file`: the file of salted hashes that `penstock keys` writes.
    - `keys`: the clients.
    - `models`: names for models of several providers.
    - `admin`: another port, for metrics and health.
    - `queue_wait_timeout`: how long a call waits for its turn.
    - `connect_timeout`: for a connection to a provider.
    - `first_byte_timeout`: for the first byte of an answer.
    - `total_timeout`: for a whole answer.
    - `keep_alive`: how long a client's connection may be idle.
    - `largest_body`: of a request.
    - `most_connections`: of clients at a time.
    - `drain_seconds`: how long what is under way may go on after SIGTERM.
    """

    host: str = attrs.field(default="127.0.0.1", validator=_can_be_printed)
    port: int = attrs.field(default=8080, validator=_port)
    workers: int = attrs.field(default=1, validator=_count_of_workers)
    """Processes that serve; 0: one per core. More than one: Linux only."""
    orphan_seconds: float = attrs.field(default=5.0, validator=number_from(0.0, 86_400.0))
    """For a worker's calls to end, when the coordinator of several workers has died."""
    keys_file: str | None = attrs.field(default=None, validator=_can_be_printed)
    ledger: str | None = attrs.field(default=None, validator=_can_be_printed)
    """The file in which it is counted what keys use; beside `keys_file` where it is needed and not named."""
    keys: dict[str, KeyConfig] = attrs.field(factory=dict)
    models: dict[str, AliasConfig] = attrs.field(factory=dict)
    admin: AdminConfig | None = None
    log: str | None = attrs.field(default="-", validator=_can_be_printed)
    """A file, to which lines are added; `-` is the standard output, and an empty text no log."""
    queue_wait_timeout: float = attrs.field(default=60.0, validator=number_from(0.0, 86_400.0))
    connect_timeout: float = attrs.field(default=10.0, validator=number_above(0.0, 3_600.0))
    first_byte_timeout: float = attrs.field(default=600.0, validator=number_above(0.0, 86_400.0))
    idle_timeout: float = attrs.field(default=300.0, validator=number_above(0.0, 86_400.0))
    """Between two pieces of an answer, and for a client that takes nothing."""
    total_timeout: float = attrs.field(default=3_600.0, validator=number_above(0.0, 86_400.0))
    request_timeout: float = attrs.field(default=60.0, validator=number_above(0.0, 3_600.0))
    """For a client's request to be whole, from its first byte on."""
    keep_alive: float = attrs.field(default=75.0, validator=number_above(0.0, 3_600.0))
    largest_body: int = attrs.field(default=32 * 1024 * 1024, validator=whole_number_from(1))
    most_connections: int = attrs.field(default=4096, validator=whole_number_from(1))
    drain_seconds: float = attrs.field(default=300.0, validator=number_from(0.0, 86_400.0))

    def __attrs_post_init__(self) -> None:
        problems = []
        for name in self.keys:
            if not KEY_NAME.fullmatch(name):
                what = "must be made of letters, digits, '-' and '.', at most 64, and begin with a letter or a digit"
                problems.append(Problem(("keys", name), f"the name of a key {what}"))
        if problems:
            raise ConfigError(problems)
