"""What a metric may be labelled with, and nothing else.

A label becomes a time series for ever, in a system that many people can read. So ids (of runs, tasks, leases,
attempts), raw model ids and the identities of groups are never labels: there are too many of them, and they may tell
who a call was for. What remains is drawn from closed sets: words that Penstock defines, the providers of the run, and
model labels that somebody listed on purpose. Whatever is in none of them is `other`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from penstock import RequestDomain, RuntimeEvent

__all__ = ["LABEL_KEYS", "MOST_PROVIDERS", "OTHER", "Labels", "OtelConfig"]

EVENT_KIND: Final = "penstock.event.kind"
RESOURCE_KIND: Final = "penstock.resource.kind"
PROVIDER: Final = "penstock.provider"
MODEL: Final = "penstock.model"
DOMAIN: Final = "penstock.domain"
ALGORITHM: Final = "penstock.algorithm"
OUTCOME: Final = "penstock.outcome"

LABEL_KEYS: Final = frozenset([EVENT_KIND, RESOURCE_KIND, PROVIDER, MODEL, DOMAIN, ALGORITHM, OUTCOME])
"""Every key that a metric of this plugin can have."""

OTHER: Final = "other"
"""The value of a label whose true value is on no list."""

MOST_PROVIDERS: Final = 64
"""How many providers have labels of their own; those that come later are `other`."""

_RESOURCE_KINDS: Final = frozenset(["local", "model", "custom_model"])
_OUTCOMES: Final = frozenset(
    [
        *("success", "rate_limited", "provider_failure", "provider_timeout"),
        *("local_cancelled", "local_timeout", "unexpected_exception"),
        *("completed", "failed", "dropped", "cancelled", "shutdown", "retry"),
        *("no_capacity", "cooldown", "queue_timeout", "queued_waiters_ahead", "cancellation"),
        *("hard_policy_denial", "deadline", "never_fits"),
    ]
)


@attrs.frozen(kw_only=True)
class OtelConfig:
    """`[plugins.otel]`.

    `model_labels`  a model id, as the provider knows it, to the label that it may be shown under; a model that is not
                    listed is `other`
    `domains`       the names that the providers' configurations add to the domains that all have
    """

    model_labels: dict[str, str] = attrs.field(factory=dict)
    domains: list[str] = attrs.field(factory=list)


class Labels:
    """Makes the labels of a metric from an event. Mappings that it returns are not to be changed."""

    def __init__(self, config: OtelConfig) -> None:
        self._models = dict(config.model_labels)
        self._domains = frozenset([*map(str, RequestDomain), *config.domains])
        self._providers: set[str] = set()
        self._algorithms: frozenset[str] = frozenset()

    def allow_algorithms(self, names: Iterable[str]) -> None:
        """Algorithms are named after the plugins of the run."""
        self._algorithms = frozenset(names)

    def kind(self, event: RuntimeEvent) -> Mapping[str, str]:
        """The event's kind."""
        return {EVENT_KIND: event.event_kind}

    def task(self, event: RuntimeEvent) -> Mapping[str, str]:
        """What kind of step a task belongs to."""
        kind = event.correlation.scheduling_group_kind if event.correlation is not None else None
        return {RESOURCE_KIND: kind if kind in _RESOURCE_KINDS else OTHER}

    def outcome(self, event: RuntimeEvent) -> Mapping[str, str]:
        """How something ended."""
        return {OUTCOME: event.reason_or_outcome if event.reason_or_outcome in _OUTCOMES else OTHER}

    def resource(self, event: RuntimeEvent) -> Mapping[str, str]:
        """Provider, model and domain, as far as the event names them: `provider[/model[/domain]]`."""
        if event.resource is None:
            return {}
        provider, _, rest = event.resource.partition("/")
        labels = {PROVIDER: self._provider(provider)}
        if not rest:
            return labels
        model, slash, domain = rest.rpartition("/")
        if domain in self._domains and slash:
            return {**labels, MODEL: self._models.get(model, OTHER), DOMAIN: domain}
        return {**labels, MODEL: self._models.get(rest, OTHER)}

    def algorithm(self, event: RuntimeEvent) -> Mapping[str, str]:
        """Which limiter an event is about, if it says so."""
        name = (event.diagnostics or {}).get("algorithm")
        if name is None:
            return {}
        return {ALGORITHM: name if name in self._algorithms else OTHER}

    def _provider(self, name: str) -> str:
        if name not in self._providers:
            if len(self._providers) >= MOST_PROVIDERS:
                return OTHER
            self._providers.add(name)
        return name
