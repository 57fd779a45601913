"""The coordinator's book and the gates of workers, message by message in virtual time: nothing is leased above the cap,
nothing is lost, and there is one order for all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from random import Random

import attrs
import pytest
import trio
from trio.testing import MockClock

import penstock
from penstock import (
    ModelConfig,
    PenstockConfig,
    PenstockError,
    ProviderConfig,
    RequestCost,
    RequestGroupSpec,
    RequestResourceKey,
    ResponseFacts,
    Usage,
    Verdict,
)
from penstock_gateway.book import Book
from penstock_gateway.gate import Admission, NotAdmitted, Place, Waiting
from penstock_gateway.local_gate import LocalGate
from penstock_gateway.messages import Ask, Back, Ended, FromWorker, Placed, Refused, from_worker, packed, packets
from penstock_gateway.remote_gate import RemoteGate

CAP = 3
HERE = [RequestResourceKey("acme", "small", "chat")]
MODELS = {"small": ModelConfig(max_parallel_requests=CAP)}
_ALL = PenstockConfig(providers={"acme": ProviderConfig(models=MODELS)})
CONFIG = attrs.evolve(_ALL, plugins=attrs.evolve(_ALL.plugins, request_limiters=[]))


@attrs.define(eq=False)
class Worker:
    """A worker without a process: what it says and what it is told wait until somebody carries them."""

    number: int
    said: deque[FromWorker] = attrs.field(factory=deque)
    told: deque[object] = attrs.field(factory=deque)
    waiting: dict[str, Waiting] = attrs.field(factory=dict)
    placed: dict[str, Place] = attrs.field(factory=dict)
    refused: dict[str, NotAdmitted | PenstockError] = attrs.field(factory=dict)
    gate: RemoteGate = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.gate = RemoteGate(self.said.append, trio.current_time)

    def ask(self, name: str, key: str = "a", patience: float = 60.0, deadline: float | None = None) -> None:
        def on_turn(outcome: Place | NotAdmitted | PenstockError) -> None:
            del self.waiting[name]
            if isinstance(outcome, Exception):
                self.refused[name] = outcome
            else:
                self.placed[name] = outcome

        now = trio.current_time()
        ends = None if deadline is None else now + deadline
        call = Admission(RequestCost(), RequestGroupSpec(key), now + patience, ends)
        waiting = self.gate.ask(HERE, call, on_turn)
        assert isinstance(waiting, Waiting)
        self.waiting[name] = waiting


class Cluster:
    """Workers, the messages between them and the coordinator, and its book."""

    def __init__(self, scheduler: penstock.Scheduler) -> None:
        self.requests = scheduler.requests
        self.book = Book(LocalGate(scheduler.requests), trio.current_time)
        self.workers: list[Worker] = []
        self.begun = 0
        self.order: list[str] = []

    def join(self) -> Worker:
        self.begun += 1
        worker = Worker(self.begun)
        self.workers.append(worker)
        self.book.join(worker.number, worker.told.append)
        return worker

    def kill(self, worker: Worker) -> None:
        self.workers.remove(worker)
        self.book.leave(worker.number)

    def hear(self, worker: Worker) -> None:
        """The coordinator takes what a worker said first."""
        (message,) = from_worker(next(packets([packed(worker.said.popleft())])))
        assert isinstance(message, Ask | Back | Ended)
        self.book.take(worker.number, message)

    def tell(self, worker: Worker) -> None:
        """A worker takes what it was told first."""
        message = worker.told.popleft()
        assert isinstance(message, Placed | Refused)
        worker.gate.take(message)

    def carry(self) -> None:
        """Until nothing is on its way."""
        while any(worker.said or worker.told for worker in self.workers):
            for worker in self.workers:
                while worker.said:
                    self.hear(worker)
                while worker.told:
                    self.tell(worker)

    @property
    def leased(self) -> int:
        issued, returned = self.requests.leases
        return issued - returned

    def check(self) -> None:
        assert self.leased <= CAP
        assert self.leased == sum(self.book.counts(worker.number)[1] for worker in self.workers)
        waiting = self.requests.controller.queue_view.queued_total
        assert waiting == sum(self.book.counts(worker.number)[0] for worker in self.workers)
        assert sum(len(worker.placed) for worker in self.workers) <= CAP
        for worker in self.workers:
            assert worker.gate.counts == (len(worker.waiting), len(worker.placed))


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with penstock.open_scheduler(CONFIG) as scheduler:
        yield Cluster(scheduler)


ENDINGS = [None, ConnectionError(), TimeoutError(), trio.TooSlowError(), GeneratorExit()]


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_no_lease_is_lost_and_none_is_above_the_cap(
    cluster: Cluster, autojump_clock: MockClock, seed: int
) -> None:
    random, asked, placed = Random(seed), 0, 0
    for _ in range(3):
        cluster.join()
    for _ in range(1500):
        worker = random.choice(cluster.workers)
        match random.choices(("ask", "hear", "tell", "end", "cancel", "kill", "sleep"), (6, 14, 14, 20, 2, 0.3, 1))[0]:
            case "ask":
                asked += 1
                patience, deadline = random.choice(((60.0, None), (0.0, None), (2.0, 1.0), (60.0, -1.0)))
                worker.ask(f"{asked}", random.choice("abc"), patience, deadline)
            case "hear" if worker.said:
                cluster.hear(worker)
            case "tell" if worker.told:
                cluster.tell(worker)
            case "end" if worker.placed:
                placed += 1
                place = worker.placed.pop(random.choice(list(worker.placed)))
                error = random.choice(ENDINGS)
                if error is None:
                    place.answered(ResponseFacts(status=200, verdict=Verdict(kind="success")), Usage(1, 2))
                place.release(error)
                place.release()
            case "cancel" if worker.waiting:
                waiting = worker.waiting.pop(random.choice(list(worker.waiting)))
                assert waiting.cancel()
                assert not waiting.cancel()
            case "kill":
                cluster.kill(worker)
                cluster.join()
            case "sleep":
                await trio.sleep(random.random())
        cluster.check()
    assert placed > 40  # or it would show nothing
    while any(worker.waiting or worker.placed for worker in cluster.workers):
        cluster.carry()
        for worker in cluster.workers:
            while worker.placed:
                worker.placed.popitem()[1].release()
        await trio.sleep(1.0)
    cluster.carry()
    assert cluster.leased == 0
    assert all(cluster.book.counts(worker.number) == (0, 0) for worker in cluster.workers)


async def test_a_worker_that_is_killed_frees_its_places_for_others_at_once(
    cluster: Cluster, autojump_clock: MockClock
) -> None:
    doomed, other = cluster.join(), cluster.join()
    for number in range(CAP + 2):
        doomed.ask(f"doomed {number}")
    cluster.carry()
    for number in range(CAP):
        other.ask(f"other {number}")
    cluster.carry()
    assert (len(doomed.placed), len(other.placed)) == (CAP, 0)
    cluster.kill(doomed)
    cluster.carry()
    assert (len(other.placed), cluster.leased) == (CAP, CAP)


async def test_a_turn_that_meets_its_cancelling_on_the_way_comes_back_unused(
    cluster: Cluster, autojump_clock: MockClock
) -> None:
    one, two = cluster.join(), cluster.join()
    one.ask("leaves")
    cluster.hear(one)
    assert one.waiting.pop("leaves").cancel()
    assert cluster.leased == 1
    cluster.carry()
    assert (cluster.leased, one.placed) == (0, {})
    for number in range(CAP):
        two.ask(f"{number}")
    cluster.carry()
    assert len(two.placed) == CAP


async def test_who_waits_in_any_worker_waits_in_one_order(cluster: Cluster, autojump_clock: MockClock) -> None:
    one, two = cluster.join(), cluster.join()
    for number in range(CAP):
        one.ask(f"busy {number}")
    cluster.carry()
    for number in range(10):
        for worker in (two, one):
            worker.ask(f"{number} of {worker.number}")
            cluster.carry()
    order: list[str] = []
    while one.placed or two.placed:
        for worker in (one, two):
            order += worker.placed
            while worker.placed:
                worker.placed.popitem()[1].release()
            cluster.carry()
    waited = [int(name.split()[0]) for name in order[CAP:]]
    assert len(waited) == 20
    assert all(abs(position // 2 - number) <= CAP for position, number in enumerate(waited))


async def test_keys_share_fairly_over_workers(cluster: Cluster, autojump_clock: MockClock) -> None:
    greedy, small = cluster.join(), cluster.join()
    for number in range(CAP + 60):
        greedy.ask(f"{number}", "greedy")
    cluster.carry()
    for number in range(6):
        small.ask(f"{number}", "small")
    cluster.carry()
    turns = 0
    while small.waiting:
        turns += 1
        worker = greedy if greedy.placed else small
        worker.placed.popitem()[1].release()
        cluster.carry()
    assert turns <= 2 * 6 + 2 * CAP


async def test_a_refusal_arrives_with_its_reason(cluster: Cluster, autojump_clock: MockClock) -> None:
    worker = cluster.join()
    for number in range(CAP):
        worker.ask(f"busy {number}")
    worker.ask("late", deadline=-1.0)
    worker.ask("impatient", patience=0.0)
    cluster.carry()
    reasons = {name: error.reason for name, error in worker.refused.items() if isinstance(error, NotAdmitted)}
    assert reasons == {"late": "deadline", "impatient": "no_capacity"}


async def test_without_a_coordinator_nobody_waits_and_calls_go_on(cluster: Cluster, autojump_clock: MockClock) -> None:
    worker = cluster.join()
    for number in range(CAP + 2):
        worker.ask(f"{number}")
    cluster.carry()
    worker.gate.close()
    assert (len(worker.placed), len(worker.waiting), len(worker.refused)) == (CAP, 0, 2)
    with pytest.raises(NotAdmitted) as refused:
        worker.ask("later")
    assert refused.value.reason == "shutdown"
