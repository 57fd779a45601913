"""What is to be done: the static facts about a task that decide when it may start.

`SchedulingMetadata` is what the author of a step declares. `TaskSchedulingResolver` turns it, once per run and step,
into the group that the task is counted under and the resources it takes. A `SchedulableTask` carries both and a payload
that the scheduler never looks into. Nothing here knows queue depth, limits, pressure or cooldowns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, Self, final

import attrs

from penstock.words.checks import a_mapping, a_name, a_weight, an_instance, is_text, names, shown, whole_number
from penstock.words.errors import ConfigError
from penstock.words.identity import GROUP_KINDS, RequestResourceKey
from penstock.words.interning import interned
from penstock.words.read_only import draft_of, new, read_only, writer

__all__ = [
    "SUBMISSION", "ResolvedTaskScheduling", "SchedulableTask", "SchedulerResourceKey", "SchedulerResourceRequest",
    "SchedulingMetadata", "SchedulingMetadataError", "TaskGroupKey", "TaskGroupSpec", "TaskSchedulingResolver",
]  # fmt: skip

SchedulerResourceKey = str
"""Names a scheduler-owned resource: `submission`, `local`, `gpu`, …"""

SUBMISSION: Final = "submission"
"""The resource that every running task takes: how many may run at once."""

REMEMBERED: Final = 256
"""How many answers a resolver keeps at hand, and how many of its notes."""


class SchedulingMetadataError(ConfigError):
    """A declaration that cannot be scheduled as it stands.

    `code` is for programs, `message` for people. With a `fallback` the resolver goes on with that and says
    so; without, the run stops before anything is scheduled.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        fallback: SchedulingMetadata | None = None,
        diagnostics: Mapping[str, Any] | None = None,
    ) -> None:
        self.code = code
        self.message = message
        self.fallback = fallback
        self.diagnostics: Mapping[str, Any] = diagnostics or {}
        super().__init__(f"{code}: {message}")


def _weight(value: float) -> float:
    try:
        return a_weight(value, "weight")
    except ConfigError as error:
        raise SchedulingMetadataError("bad_weight", str(error)) from None


def _stable_identity(_: object, __: object, value: object) -> None:
    if not (isinstance(value, tuple) and value):
        raise SchedulingMetadataError(
            "unstable_identity", f"identity must be a tuple of non-empty strings, broad to specific, not {shown(value)}"
        )
    for part in value:
        try:
            a_name(part, f"each part of the identity {shown(value)}")
        except ConfigError as error:
            raise SchedulingMetadataError("unstable_identity", str(error)) from None


def _known_kind(_: object, __: attrs.Attribute[str], value: str) -> None:
    if not is_text(value) or value not in GROUP_KINDS:
        raise SchedulingMetadataError("unknown_kind", f"kind {shown(value)} is none of {', '.join(GROUP_KINDS)}")


def _resources(calls: Iterable[RequestResourceKey]) -> tuple[RequestResourceKey, ...]:
    given: object = calls
    found = tuple(calls) if isinstance(given, Iterable) and not isinstance(given, str) else (given,)
    for call in found:
        if not isinstance(call, RequestResourceKey):
            raise SchedulingMetadataError(
                "bad_call", f"calls takes RequestResourceKey(provider, model, domain) values, not {shown(call)}"
            )
    return tuple(dict.fromkeys(found))  # type: ignore[arg-type]


@attrs.frozen(cache_hash=True)
class SchedulingMetadata:
    """What the author of a step declares about it, statically.

    `identity` is read from broad to specific; `weight` (0.000001 to 1,000,000, 0.25 means a quarter of 1.0) is the
    share the group is to get. `calls` are the request resources that each of its tasks will call, for steps whose
    identity does not say it; a step of the kind `model` needs none. If they are `alike`, a task calls one of them,
    whichever takes it first.
    """

    kind: str = attrs.field(validator=_known_kind)
    identity: tuple[str, ...] = attrs.field(validator=_stable_identity)
    weight: float = attrs.field(default=1.0, converter=_weight)
    calls: tuple[RequestResourceKey, ...] = attrs.field(default=(), converter=_resources)
    alike: bool = False

    @classmethod
    def local(cls, name: str = "default", weight: float = 1.0) -> SchedulingMetadata:
        """Work that calls no model."""
        return cls("local", ("local", name), weight)

    @classmethod
    def model(
        cls, provider_name: str, model_id: str, generation_kind: str = "chat", weight: float = 1.0
    ) -> SchedulingMetadata:
        """Work that calls one model; the weight is normally the model's `max_parallel_requests`."""
        return cls("model", ("model", provider_name, model_id, generation_kind), weight)

    @classmethod
    def custom_model(
        cls,
        namespace: str,
        name: str,
        version: str = "1",
        weight: float = 1.0,
        calls: Iterable[RequestResourceKey] = (),
        *,
        alike: bool = False,
    ) -> SchedulingMetadata:
        """Work that calls models in a way of its own; `calls` says which, where that is known, and `alike` that it is
        one of them for each task.
        """
        return cls("custom_model", ("custom_model", namespace, name, version), weight, calls, alike)

    @classmethod
    def for_endpoints(
        cls, endpoints: Mapping[str, tuple[str, str]], generation_kind: str = "chat", weight: float = 1.0
    ) -> SchedulingMetadata:
        """The metadata of a step that names several model aliases: alias to (provider, canonical model id).

        The order of the aliases makes no difference, and two aliases of one endpoint count once. Several
        endpoints raise a `SchedulingMetadataError` with a deterministic `custom_model` as fallback.
        """
        distinct = sorted(set(endpoints.values()))
        if len(distinct) == 1:
            return cls.model(*distinct[0], generation_kind, weight)
        if not distinct:
            raise SchedulingMetadataError("no_endpoint", "a model step needs at least one model alias")
        name = "+".join(f"{provider}/{model}" for provider, model in distinct)
        raise SchedulingMetadataError(
            "several_endpoints",
            f"the aliases {', '.join(sorted(endpoints))} lead to several endpoints: {name}",
            fallback=cls.custom_model(
                "endpoints", name, "1", weight, [RequestResourceKey(p, m, generation_kind) for p, m in distinct]
            ),
            diagnostics={"aliases": sorted(endpoints), "endpoints": [f"{p}/{m}" for p, m in distinct]},
        )


@attrs.frozen(eq=False, init=False)
class TaskGroupKey:
    """What tasks are grouped and counted by. Equal keys are one object."""

    kind: str
    identity: tuple[str, ...]

    def __new__(cls, kind: str, identity: tuple[str, ...]) -> Self:
        a_name(kind, "kind of a group key")
        _stable_identity(None, None, identity)
        return interned(cls, kind=kind, identity=identity)

    def __getnewargs__(self) -> tuple[str, tuple[str, ...]]:
        return self.kind, self.identity

    def __str__(self) -> str:
        return "/".join(self.identity)


@attrs.frozen(cache_hash=True)
class TaskGroupSpec:
    """A group with its share: `weight` (0.000001 to 1,000,000), and `admitted_limit`, how many may run before peers
    come first.

    `calls` are the request resources that each of its tasks will call, where the key does not say it; one of them,
    whichever takes it first, if they are `alike`.
    """

    key: TaskGroupKey = attrs.field()
    weight: float = attrs.field(default=1.0, converter=_weight)
    admitted_limit: int | None = attrs.field(default=None)
    calls: tuple[RequestResourceKey, ...] = attrs.field(default=(), converter=_resources)
    alike: bool = False

    @key.validator
    def _is_a_key(self, _: attrs.Attribute[TaskGroupKey], value: object) -> None:
        an_instance(value, TaskGroupKey, "key of a group")

    @admitted_limit.validator
    def _at_least_one(self, _: attrs.Attribute[int | None], value: int | None) -> None:
        if value is not None:
            whole_number(value, f"group {self.key}: admitted_limit")

    @classmethod
    def named(
        cls,
        name: str,
        weight: float = 1.0,
        admitted_limit: int | None = None,
        calls: Iterable[RequestResourceKey] = (),
        *,
        alike: bool = False,
    ) -> TaskGroupSpec:
        """A local group by its plain name."""
        return cls(TaskGroupKey("local", ("local", name)), weight, admitted_limit, calls, alike)


def _amounts(amounts: Mapping[str, int]) -> Mapping[str, int]:
    amounts = dict(a_mapping(amounts, "needs", "{'gpu': 1}"))
    for key, amount in amounts.items():
        a_name(key, "a resource in needs")
        whole_number(amount, f"needs: the amount of resource {shown(key)}")
    return MappingProxyType({SUBMISSION: 1, **amounts})


@attrs.frozen(repr=False, cache_hash=True)
class SchedulerResourceRequest:
    """The resources that a task holds while it runs: resource to amount (≥ 1).

    Every running task takes a place in `submission`: one, if the request names no other amount.
    """

    amounts: Mapping[SchedulerResourceKey, int] = attrs.field(factory=dict, converter=_amounts, eq=False)
    shape: tuple[tuple[str, int], ...] = attrs.field(init=False)
    """The amounts as a hashable value: equal for equal requests."""
    beyond: tuple[tuple[str, int], ...] = attrs.field(init=False, eq=False)
    """The amounts beyond the one place in `submission` that every running task takes."""

    @shape.default
    def _make_shape(self) -> tuple[tuple[str, int], ...]:
        return tuple(sorted(self.amounts.items()))

    @beyond.default
    def _make_beyond(self) -> tuple[tuple[str, int], ...]:
        less_one = ((resource, amount - (resource == SUBMISSION)) for resource, amount in self.shape)
        return tuple((resource, amount) for resource, amount in less_one if amount)

    def __repr__(self) -> str:
        return f"SchedulerResourceRequest({dict(self.amounts)!r})"


ONE_PLACE: Final = SchedulerResourceRequest()


@final
@read_only
@attrs.frozen(slots=True, eq=False, weakref_slot=False)
class SchedulableTask:
    """A task as the first gate sees it. `task_id` is stable and unique in a run; `deadline` is in seconds of
    the run's clock; `labels` are those that its caller gave it, `None` if there are none.

    `arrival` is its place in the order in which tasks came into the ready queue, from 1, and 0 before: who came earlier
    has the smaller one. A task that is tried again comes anew. The gate and its queues set it; whoever else writes a
    task gets a `ReadOnlyError`.
    """

    task_id: str
    payload: Any
    group: TaskGroupSpec
    resource_request: SchedulerResourceRequest = ONE_PLACE
    deadline: float | None = None
    labels: Mapping[str, str] | None = None
    arrival: int = attrs.field(default=0, init=False)

    def __new__(
        cls,
        task_id: str,
        payload: Any,
        group: TaskGroupSpec,
        resource_request: SchedulerResourceRequest = ONE_PLACE,
        deadline: float | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Self:
        made: Any = new(_draft)
        made.task_id = task_id
        made.payload = payload
        made.group = group
        made.resource_request = resource_request
        made.deadline = deadline
        made.labels = labels
        made.arrival = 0
        made.__class__ = cls
        return made  # type: ignore[no-any-return]


_draft: Final = draft_of(SchedulableTask)
set_arrival: Final[Callable[[SchedulableTask, int], None]] = writer(SchedulableTask, "arrival")
"""For those who keep the order of arrival."""
set_group: Final[Callable[[SchedulableTask, TaskGroupSpec], None]] = writer(SchedulableTask, "group")
"""For a reconfiguration, which gives groups other limits."""


@attrs.frozen
class ResolvedTaskScheduling:
    """What the resolver makes of metadata: the group and the resources of every task of that step."""

    group: TaskGroupSpec
    resource_request: SchedulerResourceRequest
    diagnostics: Mapping[str, Any] = attrs.field(factory=dict, eq=False)


class TaskSchedulingResolver:
    """Metadata in, `ResolvedTaskScheduling` out: equal answers for the same question.

    `admitted_limits` maps an identity (as `str(key)` without the flow) to the `admitted_limit` of its groups.
    """

    def __init__(self, admitted_limits: Mapping[str, int] | None = None) -> None:
        self._admitted_limits = dict(admitted_limits or {})
        self._cached = lru_cache(REMEMBERED)(self._resolve)
        self.diagnostics: list[Mapping[str, Any]] = []
        """What was resolved by a fallback, and why."""

    def resolve(
        self,
        metadata: SchedulingMetadata | SchedulingMetadataError,
        *,
        flow: Sequence[str] = (),
        needs: Mapping[str, int] | None = None,
    ) -> ResolvedTaskScheduling:
        """The group and resources of a step.

        `flow` is appended to the identity (for a pipeline: the output column), so that two steps on one model are two
        groups. `needs` are the resources that a task takes beside its place in `submission`. A
        `SchedulingMetadataError` with a fallback is resolved to that and noted in `diagnostics`; one without is raised.
        """
        if isinstance(metadata, SchedulingMetadataError):
            if metadata.fallback is None:
                raise metadata
            note = {"code": metadata.code, "message": metadata.message, **metadata.diagnostics}
            if note not in self.diagnostics and len(self.diagnostics) < REMEMBERED:
                self.diagnostics.append(note)
            return self.resolve(metadata.fallback, flow=flow, needs=needs)
        an_instance(metadata, SchedulingMetadata, "metadata")
        flow = names(flow, "flow")
        request = SchedulerResourceRequest({} if needs is None else needs)
        return self._cached(metadata, flow, request)

    def _resolve(
        self, metadata: SchedulingMetadata, flow: tuple[str, ...], request: SchedulerResourceRequest
    ) -> ResolvedTaskScheduling:
        key = TaskGroupKey(metadata.kind, metadata.identity + flow)
        limit = self._admitted_limits.get("/".join(metadata.identity))
        group = TaskGroupSpec(key, metadata.weight, limit, metadata.calls, metadata.alike)
        return ResolvedTaskScheduling(group, request)
