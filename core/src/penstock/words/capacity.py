"""The parts of a capacity plan: what is configured and who says so, what holds at a moment, what was seen at most.

They never mix: a figure that was observed says nothing of what was meant, and one that was configured nothing of what
came of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import attrs

from penstock.words.checks import is_finite, shown
from penstock.words.errors import ConfigError

__all__ = ["CapacitySource", "CapacityValue", "ConfiguredCapacity", "ObservedMaxima", "RuntimeCapacity"]

CapacitySource = Literal[
    "default", "run_config", "dataset_builder", "model_metadata", "engine_internal_config", "adapter_config",
    "environment", "runtime_snapshot", "benchmark_override",
]  # fmt: skip
"""Who says a figure: nobody, the run's configuration, the program that makes the rows, what is known of a model, the
program that opened the run, a transport or client, the environment, the running gate itself, or a benchmark."""


def _plain(_: object, __: object, value: object) -> None:
    each = value if isinstance(value, list | tuple) else [value]
    for figure in each:
        if not (figure is None or isinstance(figure, bool | str) or is_finite(figure)):
            raise ConfigError(
                f"value of a capacity must be a finite number, text or a list of these, not {shown(figure)}"
            )


def _known_source(_: object, __: object, value: object) -> None:
    if value not in get_args(CapacitySource):
        raise ConfigError(
            f"source of a capacity must be one of {', '.join(get_args(CapacitySource))}, not {shown(value)}"
        )


@attrs.frozen
class CapacityValue:
    """A configured figure, and who says it.

    `fallback_from` is what would have been heeded first and says nothing: a key of the configuration, or a plugin's
    table. A `value` that is not known, or that nothing bounds, is `None`, and `missing_reason` says why; it is never 0
    instead. `where` is the place: file and key, in words. Raises `ConfigError` for a source that there is not, for a
    value that JSON has no number or text for, and for one without a reason, or with one too many.
    """

    value: object = attrs.field(validator=_plain)
    source: CapacitySource = attrs.field(validator=_known_source)
    fallback_from: str | None = None
    missing_reason: str | None = None
    where: str = ""

    def __attrs_post_init__(self) -> None:
        if (self.value is None) != bool(self.missing_reason):
            raise ConfigError("a capacity has a value, or a missing_reason that says why it has none: one of the two")


Figures = Mapping[str, CapacityValue]


@attrs.frozen(kw_only=True)
class ConfiguredCapacity:
    """What is known from the start; nothing of it was observed.

    `buffer_size`                    rows that are read and scheduled together
    `row_group_admission`            row groups at a time
    `submission_capacity`            tasks at a time
    `task_resource_limits`           resource of the task gate to how much of it there is
    `group_admitted_limits`          group of tasks to how many of it run before others come first
    `request_resources`              provider/model/domain to the requests in flight that its caps let out
    `provider_model_static_caps`     provider/model to its cap, in requests in flight over all domains
    `request_domain_initial_limits`  provider/model/domain to the limit with which its limiters began
    `request_admission_config`       key of `[requests]`, or of the table of a limiter in use, to its value
    `transport_pool_limits`          pool to the connections that it opens at most
    `plugins`                        the plugins that may refuse too, in no figures
    `program`                        what else bounds the run by the word of the program that opened it
    """

    buffer_size: CapacityValue
    row_group_admission: CapacityValue
    submission_capacity: CapacityValue
    plugins: CapacityValue
    task_resource_limits: Figures = attrs.field(factory=dict)
    group_admitted_limits: Figures = attrs.field(factory=dict)
    request_resources: Figures = attrs.field(factory=dict)
    provider_model_static_caps: Figures = attrs.field(factory=dict)
    request_domain_initial_limits: Figures = attrs.field(factory=dict)
    request_admission_config: Figures = attrs.field(factory=dict)
    transport_pool_limits: Figures = attrs.field(factory=dict)
    program: Figures = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class RuntimeCapacity:
    """What holds at the moment `captured_at` of the run's clock, in seconds.

    `current_limits` and `effective_maxima` are requests in flight by resource: what its limiters let out now, and up to
    what they could grow. `blocked_until` is a moment, of the resources that are cooling down. `task_leases` is what is
    out of each resource of the task gate, `aggregate_in_flight` requests by provider/model.
    """

    captured_at: float
    current_limits: Mapping[str, int] = attrs.field(factory=dict)
    effective_maxima: Mapping[str, int] = attrs.field(factory=dict)
    blocked_until: Mapping[str, float] = attrs.field(factory=dict)
    aggregate_in_flight: Mapping[str, int] = attrs.field(factory=dict)
    task_leases: Mapping[str, int] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class ObservedMaxima:
    """The most that there was at once since the run began.

    `queued_by_group` are tasks, `request_waiters_by_resource` calls, those in flight requests; `highest_current_limits`
    are the highest under which a call went out, or that hold now. What nobody counts is left out, or `None`, and
    `missing` says why, by the name of the field.
    """

    row_groups_in_flight: int | None = None
    queued_by_group: Mapping[str, int] = attrs.field(factory=dict)
    task_leases_by_resource: Mapping[str, int] = attrs.field(factory=dict)
    request_waiters_by_resource: Mapping[str, int] = attrs.field(factory=dict)
    request_in_flight_by_resource: Mapping[str, int] = attrs.field(factory=dict)
    aggregate_in_flight: Mapping[str, int] = attrs.field(factory=dict)
    highest_current_limits: Mapping[str, int] = attrs.field(factory=dict)
    transport_use: Mapping[str, int] = attrs.field(factory=dict)
    missing: Mapping[str, str] = attrs.field(factory=dict)
