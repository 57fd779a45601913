"""What a worker and the coordinator say to each other arrives as it was said, in packets that a socket takes whole."""

from __future__ import annotations

import errno
import socket
from itertools import pairwise

import pytest
import trio
from hypothesis import given, strategies as st

from penstock import Hints, LimitHint, ResponseFacts, Usage, Verdict
from penstock_gateway.endings import ended, error_of, facts_of, usage_of
from penstock_gateway.kept import HALF, KeptBytes
from penstock_gateway.messages import (
    LARGEST_PACKET,
    Ask,
    Back,
    Counted,
    Ended,
    Failed,
    FromCoordinator,
    FromWorker,
    Inherited,
    Limit,
    Placed,
    Plan,
    Ready,
    Refused,
    Tell,
    from_coordinator,
    from_worker,
    packed,
    packets,
)
from penstock_gateway.metrics import Metrics
from penstock_gateway.tallies import add, take, written

LIMIT = Limit("tokens", 10.0, 3.0, None, 60.0, "x-ratelimit-tokens")
OF_WORKERS: list[FromWorker] = [
    Ask(7, [("acme", "small", "chat")], "a", 0.5, 3, (1, 20, 30), 60.0, None, 2),
    Back(7),
    Ended(7, 200, ("success", None, None, None, "stop", "x"), None, 1.5, 2.0, "retry-after", [LIMIT], (1, 2, 3, 4, 5)),
    Ended(8, error="timeout", number=110),
    Counted(b"\x00", 3, True),
    Ready(),
]
OF_THE_COORDINATOR: list[FromCoordinator] = [
    Plan(b"\x00", True),
    Inherited({"mock": "http://127.0.0.1:1/v1"}),
    Placed(7, 1),
    Refused(7, "cooldown", "why", 2.5, "a"),
    Failed(7, "x"),
    Tell(),
]


def test_what_is_said_arrives_in_its_order() -> None:
    (packet,) = packets([packed(message) for message in OF_WORKERS])
    assert from_worker(packet) == OF_WORKERS
    (packet,) = packets([packed(message) for message in OF_THE_COORDINATOR])
    assert from_coordinator(packet) == OF_THE_COORDINATOR


@given(st.lists(st.integers(0, LARGEST_PACKET - 64), max_size=12))
def test_no_packet_is_too_large_and_none_is_needless(sizes: list[int]) -> None:
    said = [Plan(bytes(size), False) for size in sizes]
    found = list(packets([packed(message) for message in said]))
    assert [message for packet in found for message in from_coordinator(packet)] == said
    assert all(len(packet) <= LARGEST_PACKET for packet in found)
    assert all(len(one) + len(two) > LARGEST_PACKET + 3 for one, two in pairwise(found))


def test_what_fits_into_no_packet_is_an_error_of_who_says_it() -> None:
    with pytest.raises(ValueError, match="a Plan of"):
        packed(Plan(bytes(LARGEST_PACKET), False))


def test_what_limiters_learn_from_an_answer_arrives_and_nothing_else() -> None:
    hints = Hints(
        not_before_seconds=3.0, said_by="retry-after", limits=(LimitHint("tokens", 9.0, 1.0, 2.0, 60.0, "h"),)
    )
    verdict = Verdict(kind="rate_limited", limited_by="tokens", code="slow_down")
    facts = ResponseFacts(
        status=429, headers={"x": "y"}, error_type="rate", body=b"secret", hints=hints, verdict=verdict
    )
    usage = Usage(1, 2, 3, 4, 5)
    (told,) = from_worker(next(packets([packed(ended(1, facts, usage, None, 0.5))])))
    assert isinstance(told, Ended)
    assert usage_of(told) == usage
    assert facts_of(told) == ResponseFacts(status=429, error_type="rate", elapsed=0.5, hints=hints, verdict=verdict)
    nothing = ended(1, None, None, None, 0.5)
    assert (facts_of(nothing), usage_of(nothing), error_of(nothing)) == (None, None, None)


def test_what_a_provider_writes_is_cut_to_a_length() -> None:
    long = "x" * 100_000
    limits = tuple(LimitHint(long, said_by=long) for _ in range(1000))
    hints = Hints(said_by=long, limits=limits, ignored=(long,))
    facts = ResponseFacts(status=500, error_type=long, hints=hints, verdict=Verdict(kind="provider_failure", code=long))
    assert len(packed(ended(1, facts, None, None, 0.0))) < LARGEST_PACKET


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind", "cause"),
    [
        (trio.TooSlowError(), trio.TooSlowError, None),
        (KeyboardInterrupt(), GeneratorExit, None),
        (TimeoutError(), TimeoutError, None),
        (ConnectionResetError(), ConnectionError, None),
        (caused(ConnectionError(), OSError(errno.EMFILE, "x")), ConnectionError, errno.EMFILE),
        (caused(ConnectionError(), caused(ValueError(), ConnectionRefusedError(111, "x"))), ConnectionError, 111),
        (caused(OSError(), socket.gaierror(socket.EAI_NONAME, "x")), ConnectionError, socket.EAI_NONAME),
        (MemoryError(), RuntimeError, errno.ENOMEM),
        (ValueError("mine"), RuntimeError, None),
    ],
)
def test_an_error_arrives_as_one_of_its_kind(error: BaseException, kind: type, cause: int | None) -> None:
    found = error_of(ended(1, None, None, error, 0.0))
    assert type(found) is kind
    said = found.__cause__ if found is not None else None
    assert (said.errno if isinstance(said, OSError) else None) == cause
    assert isinstance(said, socket.gaierror) == (cause == socket.EAI_NONAME)


def test_counts_of_two_workers_add_up_and_none_is_told_twice() -> None:
    total, one, two = Metrics(), Metrics(), Metrics()
    for each in (one, two):
        each.calls["a", "m", 200] += 1
        each.limited["m", "acme"] += 2
        each.cost["a", "m"] += 0.5
        each.lost_lines += 1
        each.waits["a"].add(0.2)
        for _ in range(2):
            add(total, take(each))
    assert total.calls == {("a", "m", 200): 2}
    assert total.limited == {("m", "acme"): 4}
    assert (total.cost, total.lost_lines) == ({("a", "m"): 1.0}, 2)
    assert (sum(total.waits["a"].counts), total.waits["a"].total) == (2, 0.4)
    again = Metrics()
    add(again, written(total))
    assert again.text({}) == total.text({})


def test_what_is_kept_is_the_last_that_was_written_in_full() -> None:
    kept = KeptBytes()
    assert kept.last is None
    for text in (b"333", b"1", b"4444", b"22"):
        kept.keep(text)
        assert kept.last == text
    kept.keep(bytes(HALF))
    assert kept.last == b"22"
