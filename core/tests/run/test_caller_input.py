"""Whatever somebody hands in: what is wrong is an error to them alone, by the argument's name, and all others go on."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from inspect import isawaitable
from itertools import count
from math import inf, nan
from operator import attrgetter
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

import penstock
from penstock import (
    AdmissionError,
    ConfigError,
    RequestAdmissionItem,
    RequestCost,
    RequestEventContext,
    RequestGroupSpec,
    RequestReleaseOutcome,
    RequestResourceKey,
    ResponseFacts,
    RuntimeEvent,
    SchedulerResourceRequest,
    SchedulingMetadata,
    SinkSpec,
    TaskGroupKey,
    TaskGroupSpec,
    TaskSpec,
    Usage,
    event_to_json,
    hookimpl,
)

CONFIG = {
    "providers": {"acme": {"models": {"small": {"max_parallel_requests": 1}}}},
    "plugins": {"sinks": []},
}
NUMBERS = count()
KEY = RequestResourceKey("acme", "small", "chat")


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no text")

    def __hash__(self) -> int:
        raise RuntimeError("no hash")

    def __eq__(self, other: object) -> bool:
        return self is other


class Tenant:
    """Equal by its name to others of its kind, and an error beside anything else."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __hash__(self) -> int:
        return hash(self.name)

    def __eq__(self, other: Any) -> bool:
        return bool(self.name == other.name)


class CaselessText(str):
    """Text that compares in a way of its own, and so cannot be filed under."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.lower() == other.lower()

    __hash__ = None  # type: ignore[assignment]


class Metres(int):
    """A number that can be added to its like alone."""

    def __add__(self, other: object) -> Metres:
        if not isinstance(other, Metres):
            raise TypeError("metres and what?")
        return Metres(int(self) + int(other))

    __radd__ = __add__


VALUES: dict[str, Any] = {
    "none": None,
    "text": "3",
    "no text": "",
    "half a character": "\ud800",
    "long text": "x" * 100,
    "path": "../x",
    "bytes": b"3",
    "true": True,
    "nan": nan,
    "inf": inf,
    "-inf": -inf,
    "zero": 0,
    "three": 3,
    "negative": -1,
    "half": 0.5,
    "10**18": 10**18,
    "10**400": 10**400,
    "10**5000": 10**5000,
    "1e-200": 1e-200,
    "1e300": 1e300,
    "list": ["a"],
    "no list": [],
    "tuple": ("a",),
    "mapping": {"a": "b"},
    "no mapping": {},
    "wrong mapping": {3: nan},
    "set": {"a"},
    "object": object(),
    "unprintable": Unprintable(),
    "tenant": Tenant("a"),
    "caseless text": CaselessText("3"),
    "metres": Metres(3),
    "decimal": Decimal(1),
}
TEXT = frozenset({"text", "long text", "path"})
ANY_TEXT = TEXT | {"no text", "half a character"}
LISTS = frozenset({"list", "no list", "tuple", "set", "mapping", "no mapping"})


async def nothing(*_: object) -> None:
    pass


@attrs.frozen
class Door:
    """One argument of one public function. `right` are the values that fit."""

    name: str
    argument: str
    use: Callable[[penstock.Scheduler, Any], Any]
    right: frozenset[str] = frozenset({"none"})

    def __str__(self) -> str:
        return f"{self.name}({self.argument})"


def make(record: Callable[..., object], argument: str, right: frozenset[str], **others: Any) -> Door:
    """A door of a record, or of a function that needs no run."""
    name = getattr(record, "__name__", "")
    return Door(name, argument, lambda _, value: record(**{**others, argument: value}), right)


def method(name: str, argument: str, right: frozenset[str], *args: Any, **others: Any) -> Door:
    """A door of the scheduler, or of what it has."""

    def use(scheduler: penstock.Scheduler, value: Any) -> Any:
        return attrgetter(name)(scheduler)(*args, **{**others, argument: value})

    return Door(name, argument, use, right)


async def request(**options: Any) -> None:
    async with penstock.request(**{"resource": "acme/small", **options}):
        pass


def call(argument: str, right: frozenset[str]) -> list[Door]:
    execute = make(penstock.execute, argument, right, call=nothing, resource="acme/small")
    return [make(request, argument, right), execute]


def answered(what: str, argument: str, right: frozenset[str], *args: object) -> Door:
    async def use(scheduler: penstock.Scheduler, value: Any) -> None:
        scheduler.requests.register("free", "model", cap=100)
        async with penstock.request("free/model") as attempt:
            getattr(attempt, what)(*args, value)

    return Door(f"attempt.{what}", argument, use, right)


def mapped(argument: str, right: frozenset[str]) -> Door:
    async def use(scheduler: penstock.Scheduler, value: Any) -> None:
        async with scheduler.map(**{"fn": nothing, "items": [1], argument: value}):
            pass

    return Door("map", argument, use, right)


async def from_thread(scheduler: penstock.Scheduler, item: Any) -> None:
    await trio.to_thread.run_sync(scheduler.requests.acquire_from_thread, item)


def add(argument: str, right: frozenset[str]) -> Door:
    def use(scheduler: penstock.Scheduler, value: Any) -> Any:
        spec = TaskSpec(**{"fn": nothing, "task_id": f"t-{next(NUMBERS)}", argument: value})
        (handle,) = scheduler.add([spec]).values()
        return handle

    return Door("add", argument, use, right)


def start(argument: str, right: frozenset[str]) -> list[Door]:
    return [method("start_soon", argument, right, nothing), add(argument, right)]


NO: frozenset[str] = frozenset()
NONE = frozenset({"none"})
NUMBER = frozenset({"three"})
COUNT = NUMBER | {"zero"}
WEIGHT = NUMBER | {"half"}
MOMENT = NUMBER | {"none", "inf", "-inf", "zero", "negative", "half", "10**18", "1e-200", "1e300"}
DURATION = MOMENT - {"-inf", "negative"}
EMPTY = frozenset({"no list", "no mapping"})
MAPPING = frozenset({"mapping", "no mapping"})
LABELS = MAPPING | NONE
UNHASHABLE = {"half a character", "list", "no list", "mapping", "no mapping", "wrong mapping", "set", "unprintable"}
GROUP = TaskGroupKey("local", ("a",))
MODEL: dict[str, Any] = {"provider_name": "new", "model_id": "model", "cap": 1}

DOORS = [
    *call("resource", frozenset({"path"})),
    *call("domain", NO),
    *call("cost", NO),
    *call("group", TEXT | NONE),
    *call("timeout", DURATION),
    *call("deadline", MOMENT),
    *call("labels", LABELS),
    make(penstock.execute, "call", NO, resource="acme/small"),
    make(penstock.execute, "max_attempts", NUMBER | NONE, call=nothing, resource="acme/small"),
    make(penstock.execute, "idempotency_key", TEXT | NONE, call=nothing, resource="acme/small"),
    method("requests.acquire", "item", NO),
    method("requests.try_acquire", "item", NO),
    Door("acquire_from_thread", "item", from_thread, NO),
    method("requests.release", "lease", NO, outcome=RequestReleaseOutcome(kind="success")),
    method("requests.observe", "lease", NO, hints=penstock.Hints()),
    method("requests.register", "provider_name", TEXT, **MODEL),
    method("requests.register", "model_id", TEXT, **MODEL),
    method("requests.register", "cap", NUMBER, **MODEL),
    method("requests.register", "aliases", LISTS, **MODEL),
    method("requests.register", "domains", LISTS, **MODEL),
    method("requests.register", "domain_caps", frozenset({"none", "no mapping"}), **MODEL),
    method("requests.register_unconfigured", "cap", NUMBER, **MODEL),
    answered("answered", "facts", NO),
    answered("finish", "outcome", NO),
    answered("end", "ended_at", NONE, None),
    answered("observe", "hints", NO),
    make(RequestAdmissionItem, "resource", NO),
    make(RequestAdmissionItem, "group", NO, resource=KEY),
    make(RequestAdmissionItem, "cost", NO, resource=KEY),
    make(RequestAdmissionItem, "deadline", MOMENT, resource=KEY),
    make(RequestAdmissionItem, "event_context", NONE, resource=KEY),
    make(RequestAdmissionItem, "labels", LABELS, resource=KEY),
    make(RequestEventContext, "correlation", NONE),
    make(RequestEventContext, "request_attempt_id", TEXT | NONE),
    make(RequestCost, "requests", NUMBER),
    make(RequestCost, "input_tokens", COUNT),
    make(RequestCost, "output_tokens", COUNT),
    make(
        RequestGroupSpec,
        "key",
        frozenset(VALUES) - UNHASHABLE - {"none", "no text", "bytes", "10**5000", "nan", "tenant", "caseless text"},
    ),
    make(RequestGroupSpec, "weight", WEIGHT, key="a"),
    make(RequestResourceKey, "domain", TEXT, provider_name="p", model_id="m"),
    make(ResponseFacts, "status", COUNT | NONE),
    make(ResponseFacts, "headers", MAPPING),
    make(ResponseFacts, "elapsed", DURATION),
    make(ResponseFacts, "error_type", ANY_TEXT | NONE),
    make(ResponseFacts, "body", ANY_TEXT | NONE | {"bytes"}),
    make(ResponseFacts, "hints", NONE),
    make(ResponseFacts, "verdict", NONE),
    make(Usage, "input_tokens", COUNT | NONE),
    make(RequestReleaseOutcome, "kind", NO),
    make(RequestReleaseOutcome, "retry_after_seconds", DURATION - {"inf"}, kind="success"),
    make(RequestReleaseOutcome, "usage", NONE, kind="success"),
    make(RequestReleaseOutcome, "detail", ANY_TEXT | NONE, kind="success"),
    make(TaskGroupKey, "identity", frozenset({"tuple"}), kind="local"),
    make(TaskGroupSpec, "key", NO),
    make(TaskGroupSpec, "weight", WEIGHT, key=GROUP),
    make(TaskGroupSpec, "admitted_limit", NUMBER | NONE, key=GROUP),
    make(TaskGroupSpec, "calls", EMPTY, key=GROUP),
    make(SchedulingMetadata, "kind", NO, identity=("local", "a")),
    make(SchedulingMetadata, "identity", frozenset({"tuple"}), kind="local"),
    make(SchedulingMetadata, "weight", WEIGHT, kind="local", identity=("a",)),
    Door("SchedulerResourceRequest", "needs", lambda _, value: SchedulerResourceRequest(value), EMPTY - {"no list"}),
    *start("group", TEXT | NONE),
    *start("needs", frozenset({"none", "no mapping"})),
    *start("runner", NONE),
    method("start_soon", "task_id", TEXT | NONE, nothing),
    add("task_id", TEXT),
    *start("deadline", MOMENT),
    *start("max_attempts", NUMBER | NONE),
    *start("retry_on", NO),
    *start("row_group", TEXT | NONE),
    *start("column", TEXT | NONE),
    *start("labels", LABELS),
    method("start_soon", "cancellable", frozenset({"true"}), nothing),
    method("start_soon", "fn", NO),
    method("add", "batch", EMPTY),
    add("args", frozenset({"list", "no list", "tuple"})),
    add("after", EMPTY),
    add("members_of", EMPTY),
    mapped("window", NUMBER | NONE),
    mapped("items", LISTS | ANY_TEXT | {"bytes", "wrong mapping", "caseless text"}),
    mapped("labels", LABELS),
    method("emit", "kind", NO),
    method("emit", "correlation", NONE, "row_group_admitted"),
    method("emit", "task_id", TEXT | NONE, "row_group_admitted"),
    method("emit", "group", TEXT | NONE, "row_group_admitted"),
    method("emit", "snapshot", LABELS, "row_group_admitted"),
    method("emit", "diagnostics", LABELS, "row_group_admitted"),
    method("emit", "labels", LABELS, "row_group_admitted"),
    method("reconfigure", "plugins", NONE),
    method("signal", "name", TEXT),
    method("seal", "name", TEXT),
    method("cancel_task", "task_id", TEXT),
    method("explain", "group", TEXT | NONE),
]


class Listener:
    """Writes every event as JSON."""

    sink = SinkSpec(mode="inline")

    @hookimpl
    def penstock_scheduler_event(self, event: RuntimeEvent) -> None:
        event_to_json(event)

    penstock_request_event = penstock_scheduler_event


async def complaint(door: Door, scheduler: penstock.Scheduler, value: Any) -> str | None:
    """What the caller is told who hands this in; `None` if it is taken, whatever becomes of it then."""
    with trio.move_on_after(1):
        try:
            given = door.use(scheduler, value)
            if isawaitable(given):
                await given
        except (ConfigError, TypeError) as error:
            return str(error)
        except (AdmissionError, penstock.TaskDropped, penstock.TaskCancelled):
            return None
    return None


@pytest.mark.parametrize("door", DOORS, ids=str)
async def test_what_is_wrong_is_told_to_its_caller_alone(autojump_clock: MockClock, door: Door) -> None:
    done: list[str] = []

    async def long_call(name: str) -> None:
        async with penstock.request("acme/small"):
            await trio.sleep(1000)
        done.append(name)

    async with penstock.open_scheduler(CONFIG, plugins=[Listener()]) as scheduler:
        others = [
            scheduler.start_soon(long_call, name, group=name, task_id=f"other-{name}") for name in ("a", "b", "c")
        ]
        await trio.sleep(1)
        for name, value in VALUES.items():
            told = await complaint(door, scheduler, value)
            if name in door.right:
                assert told is None, f"{name} is right, and yet: {told}"
            else:
                assert told is not None, f"{name} was taken"
                assert door.argument in told, f"{name}: {told}"
        for other in others:
            await other
        scheduler.check_invariants()
    assert sorted(done) == ["a", "b", "c"]
    assert scheduler.report is not None
    assert scheduler.report.leases[0] == scheduler.report.leases[1]
    assert scheduler.report.request_leases[0] == scheduler.report.request_leases[1]


@pytest.mark.parametrize(
    ("argument", "right"),
    [
        ("config", frozenset({"none", "no mapping"})),
        ("plugins", frozenset({"no list"})),
        ("run_id", frozenset({"none", "text"})),
        ("wall_clock", frozenset({"none"})),
    ],
)
async def test_a_run_is_opened_with_what_fits_or_not_at_all(
    autojump_clock: MockClock, argument: str, right: frozenset[str]
) -> None:
    for name, value in VALUES.items():
        if name in right:
            async with penstock.open_scheduler(**{argument: value}):
                pass
        else:
            with pytest.raises(ConfigError):
                async with penstock.open_scheduler(**{argument: value}):
                    pass
