"""A Ray that is not there: what the runner uses of it, in this process and in virtual time.

A task is carried out when it is handed in, on copies, as the real one would. One that returns `{"fake": …}` is left
running, or lost: `"ends when told"`, `"ends by force"`, `"never ends"`, `"returns when told"`, or the name of one of
Ray's errors.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from concurrent.futures import Future
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import penstock


class RayError(Exception):
    pass


class RayTaskError(RayError):
    def __init__(self, cause: BaseException) -> None:
        super().__init__(f"a task failed: {cause}")
        self.cause = cause


NAMES = (
    "TaskCancelledError",
    "WorkerCrashedError",
    "NodeDiedError",
    "LocalRayletDiedError",
    "ObjectLostError",
    "ObjectStoreFullError",
    "OutOfDiskError",
    "OutOfMemoryError",
    "RpcError",
    "RuntimeEnvSetupError",
)
ERRORS: dict[str, type[RayError]] = {name: type(name, (RayError,), {}) for name in NAMES}
ERRORS["OwnerDiedError"] = type("OwnerDiedError", (ERRORS["ObjectLostError"],), {})


class Ref:
    """A reference to the result of a task."""

    def __init__(self) -> None:
        self.ends_when: str | None = None
        self.result: Future[Any] = Future()

    def future(self) -> Future[Any]:
        return self.result

    def carry_out(self, work: Callable[[Any], Any], payload: bytes) -> None:
        try:
            answer = work(pickle.loads(payload))
        except KeyboardInterrupt:
            return self.result.set_exception(RayTaskError(ERRORS["TaskCancelledError"]()))
        value = answer[1]
        how = value.get("fake") if isinstance(value, dict) else None
        if how in ERRORS:
            self.fail(how)
        elif how is not None:
            self.ends_when = how
        else:
            try:
                self.result.set_result(pickle.loads(pickle.dumps(answer)))
            except Exception as error:
                self.result.set_exception(RayTaskError(error))
        return None

    def fail(self, name: str) -> None:
        self.result.set_exception(ERRORS[name](name))


class FakeRay(ModuleType):
    """The module, and what was done with it: `started`, `shut_down`, `options` of the function, `cancelled`."""

    def __init__(self) -> None:
        super().__init__("ray")
        self.cloudpickle = pickle
        self.started: list[dict[str, Any]] = []
        self.shut_down = 0
        self.function_options: dict[str, Any] = {}
        self.cancelled: list[bool] = []
        self.said: list[str] = []
        self.broken: Exception | None = None
        self.answers = True

    def is_initialized(self) -> bool:
        return len(self.started) > self.shut_down

    def init(self, **options: Any) -> None:
        if self.broken is not None:
            raise self.broken
        self.started.append(options)

    def shutdown(self) -> None:
        self.shut_down += 1

    def remote(self, **options: Any) -> Callable[[Callable[..., Any]], Any]:
        self.function_options = options

        def decorate(work: Callable[..., Any]) -> Any:
            def submit(payload: Any) -> Ref:
                ref = Ref()
                pickled = pickle.dumps(payload)
                if self.answers:
                    ref.carry_out(work, pickled)
                return ref

            return SimpleNamespace(remote=submit, options=lambda **_: SimpleNamespace(remote=submit))

        return decorate

    def cancel(self, ref: Ref, *, force: bool) -> None:
        self.cancelled.append(force)
        if ref.ends_when == "returns when told":
            ref.result.set_result(("result", "returned"))
        elif ref.ends_when == "ends when told" or (ref.ends_when == "ends by force" and force):
            ref.fail("TaskCancelledError")


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    """The module `ray`, for one test."""
    fake = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    monkeypatch.setattr(penstock, "set_no_gate", fake.said.append)
    return fake
