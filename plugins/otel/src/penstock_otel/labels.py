"""What a metric may be labelled with, and nothing else.

A label becomes a time series for ever, in a system that many people can read. So ids (of runs, tasks, leases,
attempts), raw model ids and the names of groups that nobody listed are never labels: there are too many of them, and
they may tell who a call was for. What remains is drawn from closed sets: words that Penstock defines, what the
configuration of the run names, and what `[plugins.otel]` lists. Whatever is in none of them is `other`.

The sets multiply where labels of one's own meet groups, so the pairs of these that are told apart have a bound too.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from penstock import METRICS, REQUEST_REASONS, TASK_REASONS, RequestDomain, RunInfo, RuntimeEvent
from penstock_otel.config import OtelConfig

__all__ = ["LABEL_KEYS", "MOST_PROVIDERS", "MOST_WHOSE", "OTHER", "OWN", "Labels", "Pairs"]

Pairs = tuple[tuple[str, str], ...]
"""Labels as they are counted by; the same are written alike."""

OTHER: Final = "other"
"""The value of a label whose true value is on no list."""

OWN: Final = "penstock.label."
"""What the names of labels of one's own begin with, so that they are nobody else's."""

MOST_PROVIDERS: Final = 64
"""How many providers that the configuration does not name have labels; those that come later are `other`."""

MOST_WHOSE: Final = 1_000
"""How many combinations of a group and labels of one's own are told apart; of those that come later all are `other`."""

REMEMBERED: Final = 4_096
"""How many labels that were made are kept at hand."""

KEPT_ENDS: Final = 256
"""How many ends of tasks that differ are kept at hand."""

LABEL_KEYS: Final = frozenset(word for name, word in vars(METRICS.label).items() if name.isupper())
"""Every key that a metric of this plugin can have, beside those that begin with `OWN`."""

_OPERATIONS: Final[Mapping[str, str]] = {"embedding": "embeddings"}
"""Domains that OpenTelemetry's conventions call otherwise."""
_TASK_KINDS: Final = frozenset(["local", "model", "custom_model"])
_REASONS: Final = REQUEST_REASONS | TASK_REASONS | {"turn"}
_OUTCOMES: Final = frozenset(
    [
        *("success", "rate_limited", "provider_failure", "provider_timeout"),
        *("local_cancelled", "local_timeout", "unexpected_exception"),
        *("completed", "failed", "dropped", "cancelled", "shutdown", "retry", "abandoned"),
        *_REASONS,
    ]
)


class Labels:
    """Makes the labels of a metric, from an event or from a name."""

    def __init__(self, config: OtelConfig) -> None:
        self._config = config
        self._groups = frozenset(config.groups)
        self._own = {name: frozenset(values) for name, values in config.labels.items()}
        self._models: dict[str, str] = {}
        self._configured_providers: frozenset[str] = frozenset()
        self._domains: dict[str, frozenset[str]] = {}
        self._of_all = frozenset([*map(str, RequestDomain), *config.domains])
        self._others: set[str] = set()
        self._plugins: frozenset[str] = frozenset(["core"])
        self._whose: set[Pairs] = set()
        self._made: dict[str, Pairs] = {}

    def see(self, run: RunInfo) -> None:
        """The names in the configuration of a run may be labels from now on."""
        self._plugins |= {*run.plugins}
        for name, model in run.models.items():
            provider, _, label = name.partition("/")
            self._models.setdefault(f"{provider}/{model}", label)
        self._configured_providers |= {*run.domains, *(name.partition("/")[0] for name in run.models)}
        self._domains |= {provider: self._of_all | {*domains} for provider, domains in run.domains.items()}
        self._made.clear()

    def model(self, resource: str | None) -> Pairs:
        """Provider, model and operation, as far as a resource names them: `provider[/model[/domain]]`."""
        if resource is None:
            return ()
        made = self._made.get(resource)
        if made is None:
            if len(self._made) >= REMEMBERED:
                self._made.clear()
            made = self._made[resource] = self._model(resource)
        return made

    def whose(self, event: RuntimeEvent) -> Pairs:
        """The group that an event is about, and its labels, as far as they are listed."""
        found: Pairs = ((METRICS.label.GROUP, self.group(event.group)),) if self._groups else ()
        if self._own and event.labels:
            for name, values in self._own.items():
                value = event.labels.get(name)
                if value is not None:
                    found += ((OWN + name, value if value in values else OTHER),)
        if not found or found in self._whose:
            return found
        if len(self._whose) >= MOST_WHOSE:
            return tuple((name, OTHER) for name, _ in found)
        self._whose.add(found)
        return found

    def group(self, name: str | None) -> str:
        """A group by its whole name or the last part of it, where one of them is listed."""
        if name is None:
            return OTHER
        short = name.rpartition("/")[2]
        return name if name in self._groups else short if short in self._groups else OTHER

    def of_group(self, name: str) -> Pairs:
        """The label of a group by its name; none where no groups are listed."""
        return ((METRICS.label.GROUP, self.group(name)),) if self._groups else ()

    @staticmethod
    def task(kind: str | None) -> Pairs:
        """What kind of step a task belongs to."""
        return ((METRICS.label.TASK, kind if kind in _TASK_KINDS else OTHER),)

    @staticmethod
    def outcome(word: str | None) -> Pairs:
        """How something ended."""
        return ((METRICS.label.OUTCOME, word if word in _OUTCOMES else OTHER),)

    @staticmethod
    @lru_cache(KEPT_ENDS)
    def of_end(kind: str | None, event_kind: str, word: str | None) -> tuple[Pairs, Pairs, Pairs]:
        """Of the end of a task: what kind of step it belongs to, which event tells of the end and how it ended, and the
        last alone. Kept, since nearly all ends are alike."""
        outcome = Labels.outcome(word)
        return Labels.task(kind), ((METRICS.label.EVENT, event_kind), *outcome), outcome

    def error(self, word: str | None) -> Pairs:
        """How a call failed; nothing where it went well."""
        return () if word == "success" else ((METRICS.label.ERROR, word if word in _OUTCOMES else OTHER),)

    def reason(self, word: str | None) -> Pairs:
        """Why something is refused."""
        return ((METRICS.label.REASON, word if word in _REASONS else OTHER),)

    def by(self, name: str) -> Pairs:
        """Who refuses it."""
        return ((METRICS.label.BY, name if name in self._plugins else OTHER),)

    def decision(self, plugin: str, hook: str) -> Pairs:
        """Who was asked, and by what; hooks are words of the core."""
        return ((METRICS.label.PLUGIN, plugin if plugin in self._plugins else OTHER), (METRICS.label.HOOK, hook))

    def _model(self, resource: str) -> Pairs:
        provider, _, rest = resource.partition("/")
        found: Pairs = ((METRICS.label.PROVIDER, self._provider(provider)),)
        if not rest:
            return found
        model, slash, domain = rest.rpartition("/")
        if slash and domain in self._domains.get(provider, self._of_all):
            operation = (METRICS.label.OPERATION, _OPERATIONS.get(domain, domain))
            return (*found, (METRICS.label.MODEL, self._model_label(provider, model)), operation)
        return (*found, (METRICS.label.MODEL, self._model_label(provider, rest)))

    def _model_label(self, provider: str, model: str) -> str:
        return self._config.model_labels.get(model) or self._models.get(f"{provider}/{model}", OTHER)

    def _provider(self, name: str) -> str:
        if name in self._configured_providers or name in self._others:
            return name
        if len(self._others) >= MOST_PROVIDERS:
            return OTHER
        self._others.add(name)
        return name
