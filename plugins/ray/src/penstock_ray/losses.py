"""What became of a task at the cluster: its result, its exception, or a loss that is the infrastructure's.

Ray's errors are told apart by the names of their classes, so that nothing here needs Ray. A loss is a `WorkerLost` of
penstock: how far the task had come is not known, and it is tried again only where its `retry_on` names it. None is an
outcome of a call, so no provider is judged by it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from penstock import ConfigError, PenstockError, WorkerLost
from penstock_ray.work import Answer, in_words

__all__ = ["NODES", "NodeLost", "OutOfMemory", "ResultLost", "result_of"]


class NodeLost(WorkerLost):
    """The end of a node of the cluster, with the task that ran there."""


class ResultLost(WorkerLost):
    """The loss of what a task had returned: its function had ended, and the result is nowhere any more."""


class OutOfMemory(WorkerLost):
    """The end of a worker that was killed because its node had no memory left."""


LOSSES: Final[Mapping[str, tuple[type[WorkerLost], str]]] = {
    "OutOfMemoryError": (OutOfMemory, "its worker was killed, since the node had no memory left"),
    "NodeDiedError": (NodeLost, "its node died or cannot be reached"),
    "LocalRayletDiedError": (NodeLost, "this node's raylet died"),
    "ObjectLostError": (ResultLost, "its result is lost"),
    "ObjectStoreFullError": (ResultLost, "its result found no room in the object store"),
    "OutOfDiskError": (ResultLost, "its result found no room on the node's disk"),
    "WorkerCrashedError": (WorkerLost, "its worker died"),
    "RpcError": (WorkerLost, "the connection to its worker broke"),
}
"""Ray's error to what it is here, and to its words; subclasses are known by their bases."""

NODES: Final = "the nodes need the same Python packages as this process, penstock-ray among them"


def _names(error: BaseException) -> list[str]:
    return [kind.__name__ for kind in type(error).__mro__]


def result_of(answer: Callable[[], Answer], load: Callable[[bytes], Any], task_id: str) -> Any:
    """The result of a task of which `answer` gives or raises the end. Raises what the task raised, or what was lost.

    `load` unpickles.
    """
    try:
        kind, value = answer()
    except Exception as error:
        raise _failure(error, task_id) from error
    if kind == "result":
        return value
    if kind == "words":
        raise PenstockError(f"task {task_id!r} {value}")
    if kind == "wrong":
        raise ConfigError(f"task {task_id!r}: {value}")
    try:
        raised = load(value)
    except Exception as error:
        raise PenstockError(f"task {task_id!r} raised what cannot be loaded here: {in_words(error)}") from error
    if isinstance(raised, Exception):
        raise raised
    # Nothing by which anybody else should end.
    raise PenstockError(f"task {task_id!r} raised {type(raised).__name__}, which is no Exception") from raised


def _failure(error: BaseException, task_id: str) -> PenstockError:
    """What an error of Ray is for the task."""
    if "RayTaskError" in _names(error):
        cause = getattr(error, "cause", None)
        if isinstance(cause, BaseException) and "RayError" in _names(cause):
            return _failure(cause, task_id)
        told = in_words(cause if isinstance(cause, BaseException) else error)
        return PenstockError(f"task {task_id!r} could not be loaded by its worker, or its result not sent: {told}")
    for name in _names(error):
        if name in LOSSES:
            kind, words = LOSSES[name]
            return kind(
                f"task {task_id!r}: {words}: how far the task had come is not known; where it may run twice, say so "
                f"by retry_on=(penstock.WorkerLost,)"
            )
    if "TaskCancelledError" in _names(error):
        return PenstockError(f"task {task_id!r} raised KeyboardInterrupt, or somebody else cancelled it at the cluster")
    return PenstockError(f"task {task_id!r} was not carried out by Ray: {in_words(error)}")
