"""What a worker and the coordinator say to each other: messages, and packets of at most 64 KiB of them. Pure.

    worker                                     coordinator
    Ready                                      Plan, in pieces: what is served from now on; or
                                               Inherited: what the worker was forked with
    Ask       a call wants a place             Placed | Refused | Failed
    Back      it wants none any more
    Ended     its call is over: what came      Tell      what have you counted?
    Counted   since the last time

Both ends are processes of one gateway, forked from the same code: there are no versions. Moments are told as seconds
from now, since no two processes have the same clock. Of an answer that is told which limiters learn from: hints,
verdict and usage, never its headers or its body.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

__all__ = [
    "LARGEST_PACKET",
    "Ask",
    "Back",
    "Counted",
    "Ended",
    "Failed",
    "FromCoordinator",
    "FromWorker",
    "Inherited",
    "Limit",
    "Placed",
    "Plan",
    "Ready",
    "Refused",
    "Tell",
    "from_coordinator",
    "from_worker",
    "packed",
    "packets",
]

LARGEST_PACKET: Final = 64 * 1024
_MOST_MESSAGES: Final = 0xFFFF
_HEAD: Final = 3


class Ask(msgspec.Struct, array_like=True, tag=1, frozen=True):
    """A call wants a place at one of `places` (provider, model, domain). `patience` and `deadline` in seconds."""

    call: int
    places: list[tuple[str, str, str]]
    key: str
    weight: float
    calls: int | None
    cost: tuple[int, int, int]
    patience: float
    deadline: float | None
    priority: int
    session: str = ""


class Back(msgspec.Struct, array_like=True, tag=2, frozen=True):
    """A call wants no place any more: it leaves the line, or gives back unused what it was given meanwhile."""

    call: int


class Limit(msgspec.Struct, array_like=True, frozen=True):
    """A limit that an answer reported; as `LimitHint`."""

    dimension: str
    limit: float | None
    remaining: float | None
    reset: float | None
    window: float | None
    said_by: str


class Ended(msgspec.Struct, array_like=True, tag=3, frozen=True):
    """A call is over. `verdict` is (kind, limited by, of, may pass, ended, code) and is there where an answer came;
    `usage` are the counts of `Usage`; `elapsed` seconds; `error` and `number` are words of `endings.py`.
    """

    call: int
    status: int | None = None
    verdict: tuple[str, str | None, str | None, bool | None, str | None, str] | None = None
    error_type: str | None = None
    elapsed: float | None = None
    not_before: float | None = None
    said_by: str = ""
    limits: list[Limit] = []
    usage: tuple[int | None, int | None, int | None, int | None, int | None] | None = None
    error: str = ""
    number: int = 0


class Counted(msgspec.Struct, array_like=True, tag=4, frozen=True):
    """What a worker has counted since it said so last, as `tallies.py` writes it, and how many clients it has now.
    `asked`: this answers `Tell`.
    """

    tallies: bytes
    connections: int
    asked: bool = False


class Ready(msgspec.Struct, array_like=True, tag=5, frozen=True):
    """A worker takes connections."""


class Plan(msgspec.Struct, array_like=True, tag=6, frozen=True):
    """A piece of what is served from now on."""

    piece: bytes
    last: bool


class Placed(msgspec.Struct, array_like=True, tag=7, frozen=True):
    """A call may go out, to the place with this number among those that it asked for."""

    call: int
    place: int


class Refused(msgspec.Struct, array_like=True, tag=8, frozen=True):
    """There is no place for a call; as `NotAdmitted`."""

    call: int
    reason: str
    detail: str
    retry_after: float | None
    limit_of: str


class Failed(msgspec.Struct, array_like=True, tag=9, frozen=True):
    """The gate could not decide about a call: a plugin has failed, which the coordinator's own log tells."""

    call: int
    what: str


class Tell(msgspec.Struct, array_like=True, tag=10, frozen=True):
    """Tell what has been counted. `page`: somebody waits to see it; else it shows that the worker does not hang."""

    page: bool = True


class Inherited(msgspec.Struct, array_like=True, tag=11, frozen=True):
    """What is served is what the first process had when it forked the worker; `embedded` as in `ServingPlan`."""

    embedded: dict[str, str]


FromWorker = Ask | Back | Ended | Counted | Ready
FromCoordinator = Plan | Inherited | Placed | Refused | Failed | Tell

_encoder: Final = msgspec.msgpack.Encoder()
_of_worker: Final = msgspec.msgpack.Decoder(list[FromWorker])
_of_coordinator: Final = msgspec.msgpack.Decoder(list[FromCoordinator])


def packed(message: FromWorker | FromCoordinator) -> bytes:
    """A message as it stands in a packet. Raises `ValueError` for one that fits into none."""
    data = _encoder.encode(message)
    if len(data) > LARGEST_PACKET - _HEAD:
        raise ValueError(f"a {type(message).__name__} of {len(data)} bytes fits into no packet")
    return data


def packets(messages: Sequence[bytes]) -> Iterator[bytes]:
    """The fewest packets that hold these messages, in their order.

    >>> [len(from_worker(packet)) for packet in packets([packed(Back(number)) for number in range(30_000)])]
    [13183, 13106, 3711]
    """
    begun, size = 0, _HEAD
    for end, message in enumerate(messages):
        if end > begun and (size + len(message) > LARGEST_PACKET or end - begun == _MOST_MESSAGES):
            yield _packet(messages[begun:end])
            begun, size = end, _HEAD
        size += len(message)
    if begun < len(messages):
        yield _packet(messages[begun:])


def _packet(messages: Sequence[bytes]) -> bytes:
    return b"\xdc%b%b" % (len(messages).to_bytes(2, "big"), b"".join(messages))  # an array, in MessagePack


def from_worker(packet: bytes) -> list[FromWorker]:
    """The messages of a packet. Raises `msgspec.DecodeError`."""
    return _of_worker.decode(packet)


def from_coordinator(packet: bytes) -> list[FromCoordinator]:
    """The messages of a packet. Raises `msgspec.DecodeError`."""
    return _of_coordinator.decode(packet)
