"""Tenants of a gateway in virtual time, over its parts without sockets: the gate with its plugins, and the ledger.

Whoever drives it says when clients come; what is admitted lasts a random time. After each event it is checked that no
more is out than may be, and at the end that every lease is back, that everybody was answered, and that the ledger says
what a list of all calls says.
"""

from __future__ import annotations

import math
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from random import Random
from typing import Final

import attrs
import trio
from trio.testing import MockClock

import penstock
from penstock import PenstockError, RequestCost, RequestGroupSpec, ResponseFacts, Usage
from penstock_gateway import Serving, load_gateway
from penstock_gateway.gate import Admission, NotAdmitted, Place, Waiting
from penstock_gateway.local_gate import LocalGate
from penstock_gateway.spending.at_work import SpendingAtWork
from penstock_gateway.spending.book import NOTHING, Amounts
from penstock_gateway.spending.ledger import Ledger
from penstock_gateway.spending.ledger_file import LedgerFile
from penstock_gateway.spending.periods import DAY_SECONDS, day_at

__all__ = ["Tenant", "Tenants", "a_day_of_tenants", "failure_of_gateway", "two_tenants"]

NOON: Final = 1_795_953_600.0
"""The time of day at which every simulation begins, in seconds of Unix time."""
KEY: Final = "{:0<16}abcdefghijklmnopqrstuv"
PROVIDER: Final = """
[providers.acme]
base_url = "http://acme.invalid/v1"
[providers.acme.models.small]
max_parallel_requests = {cap}
price = {{ input = 1.0, output = 10.0 }}
[plugins]
request_limiters = ["token-budget"]
[plugins.token-budget]
learn = false
"""


@attrs.define(eq=False)
class Tenant:
    """What became of the calls of one key. Times in seconds."""

    name: str
    waits: list[float] = attrs.field(factory=list)
    ended: int = 0
    refused: Counter[str] = attrs.field(factory=Counter)
    left: int = 0
    out: int = 0

    @property
    def mean_wait(self) -> float:
        """How long admitted calls have waited."""
        return sum(self.waits) / len(self.waits)


class Tenants:
    """A gateway whose clients are events of a heap."""

    def __init__(self, serving: Serving, gate: LocalGate, ledger: Ledger | None, cap: int, rng: Random) -> None:
        self.serving = serving
        self.tenants = {name: Tenant(name) for name in serving.keys}
        self.rng = rng
        self._gate = gate
        self._ledger = ledger
        self._cap = cap
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._used: defaultdict[tuple[str, str], Amounts] = defaultdict(lambda: NOTHING)

    def at(self, moment: float, happens: Callable[[], None]) -> None:
        """Let something happen at a moment of the run's clock."""
        heappush(self._events, (moment, next(self._numbers), happens))

    async def run(self, until: float) -> None:
        """Let everything happen that is due by a moment."""
        while self._events and self._events[0][0] <= until:
            moment, _, happens = heappop(self._events)
            if moment > trio.current_time():
                await trio.sleep_until(moment)
            happens()
            self._check()

    def call(
        self,
        key: str,
        cost: RequestCost,
        seconds: float,
        used: Usage | None,
        *,
        patience: float = math.inf,
        leaves_after: float = math.inf,
        then: Callable[[], None] = lambda: None,
    ) -> None:
        """A call that lasts so long once it is admitted, tells this usage, and whose client may leave before."""
        tenant, limits, began = self.tenants[key], self.serving.keys[key], trio.current_time()
        end: list[Callable[[], None]] = []

        def come(outcome: Place | NotAdmitted | PenstockError) -> None:
            if isinstance(outcome, Exception):
                assert isinstance(outcome, NotAdmitted), outcome
                self._refused(tenant, outcome)
                end[:] = []
                then()
                return
            place, day = outcome, day_at(NOON + trio.current_time()).name
            tenant.waits.append(trio.current_time() - began)
            tenant.out += 1
            ended: list[bool] = []

            def done(told: Usage | None) -> None:
                if ended:
                    return
                ended.append(True)
                tenant.out -= 1
                place.answered(ResponseFacts(status=200), told)
                place.release()
                usage = told or Usage()
                tokens = (usage.input_tokens or cost.input_tokens) + (
                    cost.output_tokens if usage.output_tokens is None else usage.output_tokens
                )
                self._used[key, day] += Amounts(1, tokens)
                tenant.ended += 1
                then()

            end[:] = [lambda: done(None)]
            self.at(trio.current_time() + seconds, lambda: done(used))

        call = Admission(
            cost, RequestGroupSpec(key, limits.weight, limits.calls), gives_up_at=began + min(patience, 1e6)
        )
        places = self.serving.resources(self.serving.models["small"], "chat")
        try:
            asked = self._gate.ask(places, call, come)
        except NotAdmitted as refusal:
            self._refused(tenant, refusal)
            self.at(began + 1.0, then)
            return
        if not isinstance(asked, Waiting):
            come(asked)
        elif leaves_after < math.inf:
            waiting = asked

            def leave() -> None:
                if waiting.cancel():
                    tenant.left += 1
                    then()
                elif end:
                    end[0]()

            self.at(began + leaves_after, leave)

    def _refused(self, tenant: Tenant, refusal: NotAdmitted) -> None:
        if not refusal.limit_of.startswith("quota"):
            tenant.refused[refusal.reason] += 1
            return
        tenant.refused["quota"] += 1
        if refusal.retry_after is not None and "day" in refusal.detail:
            midnight = (NOON + trio.current_time() + refusal.retry_after) % DAY_SECONDS
            assert min(midnight, DAY_SECONDS - midnight) < 0.01, f"told to come again at {midnight}: {refusal.detail}"

    def _check(self) -> None:
        assert sum(tenant.out for tenant in self.tenants.values()) <= self._cap
        for name, tenant in self.tenants.items():
            limit = self.serving.keys[name].calls
            assert limit is None or tenant.out <= limit, f"{name} has {tenant.out} calls out, and may have {limit}"

    def check_end(self) -> None:
        """Nothing is out, and the ledger says what a list of all calls says."""
        assert not any(tenant.out for tenant in self.tenants.values())
        if self._ledger is None:
            return
        book = self._ledger.book
        book.check_invariants()
        days = {
            (each.key, each.period.name): each for each in book.accounts() if len(each.period.name) > len("2026-11")
        }
        assert set(days) == set(self._used)
        for known, account in days.items():
            used = self._used[known]
            assert (account.used.requests, account.used.tokens) == (used.requests, used.tokens), known
            assert account.out == NOTHING
            limit = self.serving.keys[account.key].requests_per_day
            assert limit is None or account.used.requests <= limit


class _Forgetful(LedgerFile):
    """A ledger's file that is none: its thread would live in real time."""

    def __init__(self, path: Path) -> None:
        self.path = path


async def simulated(text: str, keys: Iterable[str], cap: int, seed: int, drive: Callable[[Tenants], float]) -> Tenants:
    """Tenants of the gateway that `text` describes, after what `drive` puts on has happened up to the moment that it
    returns, and all of it has ended.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "gateway.toml")
        path.write_text(text + PROVIDER.format(cap=cap), encoding="utf-8")
        serving = load_gateway(path, {key: KEY.format(key) for key in keys})
    spending_file = serving.spending.ledger
    ledger = None if spending_file is None else Ledger(_Forgetful(spending_file), trio.current_time)
    spending = SpendingAtWork(serving.spending, ledger, lambda now: NOON + now)
    plugins = spending.plugins(serving.spending)
    async with penstock.open_scheduler(serving.config, plugins=plugins) as scheduler:
        tenants = Tenants(serving, LocalGate(scheduler.requests, spending), ledger, cap, Random(seed))
        await tenants.run(drive(tenants))
        await tenants.run(math.inf)
        issued, returned = scheduler.requests.leases
    assert issued == returned == sum(tenant.ended for tenant in tenants.tenants.values())
    tenants.check_end()
    return tenants


async def two_tenants(seed: int, seconds: float = 300.0) -> Tenants:
    """`small` with 8 clients that call again and again, and `large` with ten times as many, before 8 places."""
    keys = {"small": 8, "large": 80}
    text = "".join(f'[gateway.keys.{key}]\nenv = "{key}"\n' for key in keys)

    def drive(tenants: Tenants) -> float:
        began = trio.current_time()

        def client(key: str) -> None:
            if trio.current_time() - began < seconds:
                cost = RequestCost(input_tokens=tenants.rng.randrange(100, 900))
                lasts = tenants.rng.uniform(0.5, 1.5)
                tenants.call(key, cost, lasts, Usage(cost.input_tokens, 50), then=lambda: client(key))

        for key, clients in keys.items():
            for number in range(clients):
                tenants.at(began + number / 100, lambda key=key: client(key))  # type: ignore[misc]
        return began + seconds

    return await simulated(text, keys, 8, seed, drive)


A_DAY: Final = """
[gateway.keys.office]
env = "office"
weight = 3.0
[gateway.keys.nightly]
env = "nightly"
calls = 2
tokens_per_day = 2000000
[gateway.keys.trial]
env = "trial"
requests_per_day = 300
[gateway.keys.spender]
env = "spender"
spend_per_day = 2.0
requests_per_minute = 60
"""
SHARES: Final = {"office": 0.06, "nightly": 0.02, "trial": 0.02, "spender": 0.02}
"""Calls a second, at noon; at midnight a fifth of it, but for those of the night."""


async def a_day_of_tenants(seed: int, hours: float = 24.0) -> Tenants:
    """Four tenants with limits of each kind, over so many hours from noon on: more by day than by night, with clients
    that leave, streams that break off, and bursts.
    """

    def arrivals(rng: Random, key: str, began: float) -> Iterator[float]:
        now = began
        while now < began + hours * 3600:
            by_day = 0.6 + 0.4 * math.cos((now - began) / DAY_SECONDS * math.tau)
            rate = SHARES[key] * (1.2 - by_day if key == "nightly" else by_day)
            now += rng.expovariate(rate)
            yield from [now] * (20 if rng.random() < 0.004 else 1)

    def drive(tenants: Tenants) -> float:
        rng, began = tenants.rng, trio.current_time()

        def put(key: str, moments: Iterator[float]) -> None:
            moment = next(moments, None)
            if moment is None:
                return

            def come() -> None:
                put(key, moments)
                cost = RequestCost(input_tokens=rng.randrange(10, 3000), output_tokens=rng.choice((0, 500, 2000)))
                told = None if rng.random() < 0.05 else Usage(cost.input_tokens, rng.randrange(1 + cost.output_tokens))
                leaves = rng.uniform(0.1, 60.0) if rng.random() < 0.1 else math.inf
                tenants.call(key, cost, rng.expovariate(1 / 16), told, patience=60.0, leaves_after=leaves)

            tenants.at(moment, come)

        for key in SHARES:
            put(key, arrivals(rng, key, began))
        return began + hours * 3600

    return await simulated(A_DAY, SHARES, 3, seed, drive)


def failure_of_gateway(seed: int) -> str | None:
    """What went wrong in a day of tenants; `None` if nothing did."""
    try:
        tenants = trio.run(a_day_of_tenants, seed, clock=MockClock(autojump_threshold=0))
        assert tenants.tenants["trial"].refused["quota"] > 0, "nobody has used his day"
    except AssertionError as error:
        return f"seed {seed}: {error}"
    return None
