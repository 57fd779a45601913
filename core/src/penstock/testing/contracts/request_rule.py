"""The contract suite of request rules, plugins that have `penstock_request_eligible`: what every one must do, as tests.

Make a subclass in a test file, give it the plugin, and pytest runs the suite:

    class TestMyRule(RequestRuleContract):
        def make_plugin(self):
            return MyPlugin(MyConfig())

Plain asserts: no test framework is imported.
"""

from __future__ import annotations

from functools import partial
from random import Random

from penstock.config.reading import PenstockConfig
from penstock.plugins.discovery import Installed
from penstock.plugins.manager import PluginManager
from penstock.requests.deciding import RequestRule
from penstock.requests.items import RequestAdmissionItem, RequestAdmissionLease
from penstock.requests.outcomes import SUCCESS
from penstock.testing.contracts.gate_suite import raised
from penstock.testing.contracts.steps import bounded, lines_run
from penstock.testing.request_bench import RequestBench
from penstock.words.identity import RequestGroupKey, RequestResourceKey
from penstock.words.verdicts import REQUEST_REASONS, Backlog, Denied, Released, check_denied

__all__ = ["RequestRuleContract"]

RESOURCES = (
    RequestResourceKey("acme", "small", "chat"),
    RequestResourceKey("acme", "large", "chat"),
    RequestResourceKey("other", "small", "embedding"),
)
GROUPS = ("one", "two", None)
WATCHED = 20
"""How many of those who sleep are watched at a time."""


class RequestRuleContract:
    """The suite of one rule. Subclass it and give it `make_plugin`.

    `time_based`  it may refuse until a moment comes, also while nothing is out
    `begins_at`   the moment of the run's clock at which the histories begin
    `moments`     how many moments may come before a call that is alone goes out; beyond that it sleeps for ever
    """

    time_based = False
    begins_at = 0.0
    moments = 1000

    def make_plugin(self) -> object:
        """The plugin whose rule it is, which has seen nothing yet."""
        raise NotImplementedError("make_plugin: a fresh plugin")

    def make_rule(self) -> RequestRule:
        """The rule of a fresh plugin, as a run asks it: what it raises fails the test."""
        manager = PluginManager.from_config(PenstockConfig(), extra=[self.make_plugin()], installed=Installed())
        manager.bind(on_failure=raised)
        rule = manager.freeze().request_eligible
        assert rule is not None, "the plugin has no hook penstock_request_eligible"
        return rule

    def history(self, seed: int, steps: int = 80) -> _History:
        """A gate under the rule after random calls that began and ended; all answers checked against the rules."""
        history = _History(self.make_rule(), self.begins_at)
        rng = Random(seed)
        for _ in range(steps):
            if rng.random() < 0.6 or not history.out:
                history.begin(history.bench.item(rng.choice(RESOURCES), group=rng.choice(GROUPS)))
            else:
                history.end(rng.randrange(len(history.out)))
            if self.time_based and rng.random() < 0.3:
                history.rest(rng.choice((0.1, 1.0, 60.0, 3600.0)))
        return history

    # -- what all of them must do

    def test_asking_is_pure_and_answers_by_the_rules(self) -> None:
        history = self.history(0)
        before = [history.bench.in_flight(resource) for resource in RESOURCES]
        for resource in RESOURCES:
            for group in GROUPS:
                item = history.bench.item(resource, group=group)
                answers = [history.ask(item) for _ in range(3)]
                assert len({str(answer) for answer in answers}) == 1, f"asked three times it answered {answers}"
        assert [history.bench.in_flight(resource) for resource in RESOURCES] == before

    def test_a_call_alone_goes_out(self) -> None:
        for resource in RESOURCES:
            history = _History(self.make_rule(), self.begins_at)
            self._goes_in_time(history, history.bench.item(resource))

    def test_a_refusal_ends_only_by_what_it_named(self) -> None:
        """Whoever is refused sleeps until then, so whatever else would let it go, it would sleep through."""
        for seed in range(40):
            self.history(seed)

    def test_whatever_happened_all_calls_go_out(self) -> None:
        for seed in range(20):
            history = self.history(seed)
            while history.out:
                history.end(0)
            for item in [item for item, _ in history.asleep]:
                self._goes_in_time(history, item)

    def test_the_cost_of_an_answer_does_not_grow_with_what_happened(self) -> None:
        few, many = self.history(1, 10), self.history(1, 1000)
        item = few.bench.item(RESOURCES[0])
        costs = [lines_run(partial(at.ask, item)) for at in (few, many)]
        assert bounded(*costs), f"an answer took {costs[0]} lines of Python after 10 calls, and {costs[1]} after 1000"

    def _goes_in_time(self, history: _History, item: RequestAdmissionItem) -> None:
        for _ in range(self.moments if self.time_based else 1):
            denied = history.ask(item)
            if denied is None:
                return
            moment = denied.next_moment()
            assert self.time_based, f"nothing is out, and a call to {item.resource} is refused: {denied}"
            assert moment is not None, f"nothing is out, and no moment is named when a call may go: {denied}"
            history.rest(moment - history.now)
        raise AssertionError(f"a call to {item.resource} did not go out within {self.moments} moments that were named")


class _History:
    """A gate under one rule, with the calls that are out and those that sleep, and what ended their refusals."""

    def __init__(self, rule: RequestRule, now: float) -> None:
        self._rule = rule
        self.bench = RequestBench(dict.fromkeys(RESOURCES, 8), listen=False, rule=rule)
        self.now = now
        self.out: list[RequestAdmissionLease] = []
        self.asleep: list[tuple[RequestAdmissionItem, Denied]] = []

    def ask(self, item: RequestAdmissionItem) -> Denied | None:
        """The rule's answer, checked."""
        denied = self._rule(item, self.bench.controller.pressure, self.now)
        return None if denied is None else check_denied(denied, by="the rule", now=self.now, reasons=REQUEST_REASONS)

    def begin(self, item: RequestAdmissionItem) -> None:
        answer = self.bench.controller.try_acquire(item, self.now)
        assert not self.bench.failures, self.bench.failures
        if isinstance(answer, RequestAdmissionLease):
            self.out.append(answer)
        elif (denied := self.ask(item)) is not None and not denied.final and len(self.asleep) < WATCHED:
            self.asleep.append((item, denied))
        self._look(frozenset())

    def end(self, place: int) -> None:
        lease = self.out.pop(place)
        self.bench.controller.release(lease, SUCCESS, self.now)
        resource, group = lease.item.resource, lease.item.group.key
        self._look(frozenset({resource, resource.provider_model, resource.provider, group, RequestGroupKey(group)}))

    def rest(self, seconds: float) -> None:
        self.now += seconds
        self._look(frozenset())

    def _look(self, released: frozenset[object]) -> None:
        """Ask those who sleep: whom nothing woke that was named must still be refused."""
        asleep, self.asleep = self.asleep, []
        for item, denied in asleep:
            answer = self.ask(item)
            moment = denied.next_moment()
            woken = (moment is not None and moment <= self.now) or any(
                isinstance(each, Backlog) or (isinstance(each, Released) and each.key in released)
                for each in denied.until
            )
            assert answer is not None or woken, (
                f"at {self.now} a call to {item.resource} would go out that sleeps, being {denied}"
            )
            if answer is not None and not answer.final:
                self.asleep.append((item, answer if woken else denied))
