"""What callers hand the executor: checked, and made into the one thing that all behind it speak of."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.requests.items import RequestAdmissionLease, RequestGroupSpec, plain_group
from penstock.requests.outcomes import RequestReleaseOutcome
from penstock.words.checks import a_mapping, a_name, an_instance, shown, whole_number
from penstock.words.errors import ConfigError
from penstock.words.identity import RequestResourceKey

__all__ = ["check_caps", "check_end", "group_of"]


def group_of(group: RequestGroupSpec | str | None, key: RequestResourceKey) -> RequestGroupSpec:
    """The group that a caller means; without one the resource. Raises `ConfigError`."""
    if isinstance(group, RequestGroupSpec):
        return group
    if group is None:
        return plain_group(key)
    if isinstance(group, str):
        return plain_group(a_name(group, "group"))
    raise ConfigError(f"group must be a name, a RequestGroupSpec or None, not {shown(group)}")


def check_end(lease: RequestAdmissionLease, outcome: RequestReleaseOutcome) -> None:
    """Raises `ConfigError` unless these are a lease and how its call ended."""
    if type(lease) is not RequestAdmissionLease:
        an_instance(lease, RequestAdmissionLease, "lease")
    if type(outcome) is not RequestReleaseOutcome:
        an_instance(outcome, RequestReleaseOutcome, "outcome")


def check_caps(cap: int | Mapping[str, int], domain_caps: Mapping[str, int] | None) -> Mapping[str, int]:
    """The caps of domains. Raises `ConfigError` unless all caps are whole numbers from 1 to 1,000,000."""
    if isinstance(cap, Mapping):
        for alias, figure in cap.items():
            whole_number(figure, f"cap of {shown(alias)}")
    else:
        whole_number(cap, "cap")
    caps: Mapping[str, int] = {} if domain_caps is None else a_mapping(domain_caps, "domain_caps", "{'chat': 8}")
    for domain, figure in caps.items():
        whole_number(figure, f"domain_caps of {a_name(domain, 'each domain in domain_caps')!r}")
    return caps
