"""What is decided about a task whose provider is cooling down or full, and what ends that; both gates without trio."""

from __future__ import annotations

import pytest

from penstock import (
    At,
    Condition,
    Denied,
    FifoTaskQueue,
    Released,
    RequestAdmissionEffects,
    RequestAdmissionLease,
    RequestReleaseOutcome,
    RequestResourceKey,
    RequestResourceResolver,
    RequestWaiter,
    SchedulingMetadata,
    SchedulingMetadataError,
    TaskAdmissionConfig,
    TaskAdmissionController,
    TaskGroupKey,
    TaskGroupSpec,
    TaskSchedulingResolver,
    Uncontested,
)
from penstock.queueing.lanes import ALL
from penstock.tasks.pressure_advice import ADVICE, SETTLING, RequestPressureAdvice
from penstock.testing import RequestBench, TaskBench, make_task

P, Q = RequestResourceKey("p", "m", "chat"), RequestResourceKey("q", "m", "chat")
SUCCESS, REFUSED = RequestReleaseOutcome(kind="success"), RequestReleaseOutcome(kind="rate_limited")


def model_group(resource: RequestResourceKey, flow: str = "one", model: str | None = None) -> TaskGroupSpec:
    metadata = SchedulingMetadata.model(resource.provider_name, model or resource.model_id, resource.domain)
    return TaskSchedulingResolver().resolve(metadata, flow=(flow,)).group


class BothGates:
    """A request gate with a cap of 4 per model, and a task gate with advice. `now` is set by hand."""

    def __init__(self, places: int = 8) -> None:
        self.bench = RequestBench({P: 4, Q: 4}, listen=False)
        self.requests = self.bench.controller
        self.stepped_back: list[tuple[TaskGroupKey, str, str]] = []
        self.resolver = RequestResourceResolver()
        self.advice = RequestPressureAdvice(
            self.requests.standings,
            self.resolver,
            on_step_back=lambda group, resource, reason, _, __: self.stepped_back.append((group, resource, reason)),
            wake=self.wake,
        )
        self.tasks = TaskAdmissionController(TaskAdmissionConfig(places), [(ADVICE, self.advice)])
        self.gate = TaskBench(FifoTaskQueue(), self.tasks)
        for limiter in self.bench.limiters.values():
            limiter.places = 4

    def wake(self, condition: Condition, now: float) -> None:
        self.gate.queue.wake(condition, ALL, now)

    def submit(self, count: int, group: TaskGroupSpec, named: str = "t") -> list[str]:
        """Queue so many tasks; those that start at once."""
        self.gate.enqueue(make_task(f"{named}{n}", group) for n in range(count))
        return self.gate.start_all()

    def at(self, now: float) -> None:
        self.gate.now = now

    def call(self, resource: RequestResourceKey = P) -> RequestWaiter:
        return self.requests.enqueue(self.bench.item(resource), self.gate.now)

    def call_back(self, waiter: RequestWaiter, outcome: RequestReleaseOutcome = SUCCESS) -> list[str]:
        """The call comes back; those that start for it."""
        lease = waiter.lease
        assert isinstance(lease, RequestAdmissionLease)
        return self.deliver(self.requests.release(lease, outcome, self.gate.now))

    def deliver(self, effects: RequestAdmissionEffects) -> list[str]:
        """Those that start for the providers that were freed."""
        for provider in dict.fromkeys(effects.freed_providers):
            for condition in self.advice.freed(provider, self.gate.now):
                self.wake(condition, self.gate.now)
        return self.gate.start_all()

    def cool(self, resource: RequestResourceKey = P, until: float = 60.0) -> None:
        self.bench.limiters[resource].blocked_until = until

    def refusal(self) -> Denied:
        (block,) = self.gate.queue.blocked()
        return block.denied


@pytest.fixture
def both() -> BothGates:
    return BothGates()


# -- who goes ----------------------------------------------------------------------------------------------------------


def test_an_open_provider_is_given_as_many_as_it_lets_out_and_the_next_is_asked_again_when_these_have_arrived(
    both: BothGates,
) -> None:
    assert both.submit(8, model_group(P)) == ["t0", "t1", "t2", "t3"]
    assert both.refusal().until == {Released(P), At(SETTLING)}


def test_a_model_that_was_never_called_has_one_place_until_it_is(both: BothGates) -> None:
    embedding = RequestResourceKey("p", "m", "embedding")
    assert both.submit(8, model_group(embedding)) == ["t0"]
    both.call(embedding)
    started = both.deliver(both.requests.advance(both.gate.now))
    assert started == ["t1", "t2", "t3"], "its limiters are there now, and say 4"


def test_tasks_that_end_without_a_call_are_not_held_back_for_want_of_one(both: BothGates) -> None:
    embedding = RequestResourceKey("p", "m", "embedding")
    assert both.submit(8, model_group(embedding)) == ["t0"]
    both.gate.release(both.gate.out[0])
    assert len(both.gate.start_all()) == 7


def test_a_full_provider_that_answers_has_a_few_tasks_in_line_and_no_more(both: BothGates) -> None:
    both.call_back(both.call())
    assert both.submit(8, model_group(P)) == ["t0", "t1", "t2", "t3", "t4", "t5", "t6"], "4 places, and 4 // 4 + 2"
    for _ in range(7):
        both.call()
    both.at(1)
    both.gate.start_all()
    assert both.gate.queued.keys() == {"t7"}
    assert both.refusal().detail == "p/m/chat is full, and 3 calls stand in line there"


def test_a_call_that_comes_back_lets_one_more_go(both: BothGates) -> None:
    both.submit(8, model_group(P))
    calls = [both.call() for _ in range(4)]
    both.at(1)
    assert both.gate.start_all() == []
    assert both.call_back(calls[0]) == ["t4", "t5", "t6", "t7"], "a place, and a few: it has answered well"


def test_a_full_provider_leaves_the_place_to_one_that_is_open() -> None:
    both = BothGates(places=6)
    both.call_back(both.call())
    for _ in range(4):
        both.call()
    both.submit(1, model_group(P, "going on"), "g")
    both.gate.enqueue(make_task(f"p{n}", model_group(P)) for n in range(4))
    both.gate.enqueue(make_task(f"q{n}", model_group(Q)) for n in range(3))
    assert both.gate.start_all() == ["q0", "q1", "q2", "p0", "p1"], "first who can go out, then who stands in line"


def test_a_cooling_providers_tasks_wait_for_its_moment(both: BothGates) -> None:
    both.cool(until=60.0)
    both.bench.limiters[P].places = 1
    assert both.submit(4, model_group(P)) == ["t0"], "one may get ready"
    assert both.refusal().until == {Released(P), At(60.0)}
    call = both.call()
    both.at(60.0)
    assert both.gate.start_all() == [], "the one that is in line there has its turn first"
    both.requests.advance(60.0)
    both.at(61.0)
    assert both.call_back(call) == ["t1", "t2", "t3"]


def test_a_cooling_provider_never_takes_more_than_half_of_the_places(both: BothGates) -> None:
    both.cool()
    other = model_group(Q)
    both.submit(4, other, "q")
    assert both.submit(4, model_group(P), "p") == []
    assert both.refusal().amount == 5
    both.gate.release(both.gate.out[0])
    assert both.gate.start_all() == ["p0"], "5 places of 8 were free, and now it is half"


def test_on_trial_it_is_one_at_a_time(both: BothGates) -> None:
    both.call_back(both.call(), REFUSED)
    both.at(1)
    assert both.submit(4, model_group(P)) == ["t0"]
    probe = both.call()
    both.at(2)
    assert both.call_back(probe)[:3] == ["t1", "t2", "t3"], "it has taken a call on"


def test_a_success_of_a_call_that_was_out_before_the_refusal_ends_no_trial(both: BothGates) -> None:
    early, refused = both.call(), both.call()
    both.at(1)
    both.call_back(refused, REFUSED)
    both.call_back(early)
    standing = both.requests.standings.standing(P, 1)
    assert standing is not None
    assert standing.on_trial
    assert standing.went_well


def test_one_task_of_a_resource_may_always_go_or_nobody_would_see_that_others_have_let_go_of_it(
    both: BothGates,
) -> None:
    for _ in range(8):
        both.call()
    assert both.submit(3, model_group(P)) == ["t0"]
    both.gate.release(both.gate.out[0])
    assert both.gate.start_all() == ["t1"]


def test_a_task_that_ends_is_replaced_while_the_line_is_long() -> None:
    both = BothGates(places=32)
    both.call_back(both.call())
    group = model_group(P)
    for moment in range(1, 5):  # they do other things first: none has called yet
        both.at(moment)
        both.submit(7, group, f"{moment}-")
    assert len(both.gate.out) == 28, "of which the provider was open for 25"
    for _ in range(20):
        both.call()
    both.at(5)
    assert both.submit(2, group, "next ") == []
    started = []
    for _ in range(4):
        both.gate.release(both.gate.out[0])
        started.append(both.gate.start_all())
    assert started == [[], [], [], ["next 0"]]


# -- whom it concerns --------------------------------------------------------------------------------------------------


def test_groups_that_call_no_model_are_not_concerned(both: BothGates) -> None:
    both.cool()
    assert len(both.submit(8, TaskGroupSpec.named("local"))) == 8


def test_an_unknown_model_is_left_to_the_second_gate(both: BothGates) -> None:
    assert len(both.submit(8, model_group(RequestResourceKey("x", "unknown", "chat")))) == 8


def test_an_alias_is_no_way_round(both: BothGates) -> None:
    both.resolver.add_alias("p", "quick", model_id="m")
    both.cool()
    both.bench.limiters[P].places = 1
    assert len(both.submit(8, model_group(P, model="quick"))) == 1


def test_a_group_that_calls_several_waits_for_all_of_them(both: BothGates) -> None:
    both.cool(Q)
    both.bench.limiters[Q].places = 1
    assert len(both.submit(8, TaskGroupSpec.named("both", calls=(P, Q, P)))) == 1


def test_aliases_of_several_endpoints_fall_back_to_a_group_that_says_what_it_calls() -> None:
    with pytest.raises(SchedulingMetadataError) as caught:
        SchedulingMetadata.for_endpoints({"one": ("p", "m"), "two": ("q", "m")})
    assert TaskSchedulingResolver().resolve(caught.value).group.calls == (P, Q)


def test_what_a_group_calls_is_named_by_keys() -> None:
    with pytest.raises(SchedulingMetadataError, match=r"calls takes RequestResourceKey\(provider, model, domain\)"):
        SchedulingMetadata.custom_model("mine", "step", calls="p/m")  # type: ignore[arg-type]


# -- what is reported --------------------------------------------------------------------------------------------------


def test_a_group_is_told_of_once_until_its_provider_was_open_again(both: BothGates) -> None:
    both.cool()
    both.bench.limiters[P].places = 1
    group = model_group(P)
    both.submit(4, group)
    both.deliver(both.requests.register("p", "m", 3, 0.0))
    assert both.stepped_back == [(group.key, "p/m/chat", "cooldown")]
    both.at(60.0)
    both.bench.limiters[P].places = 8
    both.deliver(both.requests.register("p", "m", 8, 60.0))
    assert not both.gate.queued
    both.cool(until=120.0)
    both.bench.limiters[P].places = 1
    both.submit(2, group, "later ")
    assert both.stepped_back == 2 * [(group.key, "p/m/chat", "cooldown")]


def test_who_waits_for_a_full_provider_is_told_when_it_begins_to_cool(both: BothGates) -> None:
    both.submit(8, model_group(P))
    call = both.call()
    for _ in range(3):
        both.call()
    both.at(1)
    both.gate.start_all()
    assert both.refusal().until == {Released(P)}
    both.cool(until=61.0)
    both.call_back(call, REFUSED)
    assert both.refusal().detail == "p/m/chat is cooling down"
    assert At(61.0) in both.refusal().until


def test_who_waits_for_a_cooldown_beyond_its_limit_is_told_when_that_grows(both: BothGates) -> None:
    both.bench.limiters[P].places = 1
    both.cool()
    assert both.submit(3, model_group(P)) == ["t0"]
    both.bench.limiters[P].places = 2
    assert both.deliver(both.requests.register("p", "m", 3, both.gate.now)) == ["t1"]


def test_a_peer_that_goes_is_waited_for() -> None:
    both = BothGates(places=6)
    both.call_back(both.call())
    for _ in range(4):
        both.call()
    both.submit(1, model_group(P, "going on"), "g")
    group, peer = model_group(P), model_group(Q)
    both.gate.enqueue([make_task("p0", group), make_task("q0", peer)])
    decision = both.advice.evaluate(make_task("p9", group), both.gate.queue.view(), both.tasks.view(), 0.0)
    assert decision.denied is not None
    assert Uncontested("submission") in decision.denied.until


def test_who_steps_back_from_a_cooldown_is_asked_again_when_another_configuration_has_none(both: BothGates) -> None:
    both.submit(4, model_group(P))
    calls = [both.call() for _ in range(4)]
    both.call_back(calls[0])
    both.gate.release(both.gate.out[0])
    for _ in range(4):
        both.call()  # by others: one goes out, three wait
    both.bench.limiters[P].places = 2
    both.cool()
    assert both.submit(1, model_group(P), "later") == []
    effects = both.requests.reconfigure(both.bench.make_limiters, both.gate.now)
    assert both.deliver(effects) == ["later0"], "instead of the task that has ended"


def test_who_could_not_get_ready_in_a_cooldown_is_asked_again_when_the_limit_rises() -> None:
    both = BothGates(16)
    both.submit(4, model_group(P))
    for _ in range(4):
        both.call()
    both.cool()
    both.at(1)
    assert both.submit(1, model_group(P), "later") == []
    for limiter in both.bench.limiters.values():
        limiter.places = 8
    effects = both.requests.register("p", "m", 8, both.gate.now)
    assert both.deliver(effects) == ["later0"], "it could go out when the cooldown is over"


# -- one of several ----------------------------------------------------------------------------------------------------

EITHER = TaskGroupSpec.named("either", calls=(P, Q), alike=True)


def test_a_task_that_calls_one_of_several_goes_while_one_of_them_takes_it(both: BothGates) -> None:
    both.cool(P)
    assert both.submit(8, EITHER) == ["t0", "t1", "t2", "t3"]
    assert both.stepped_back == [(EITHER.key, str(P), "cooldown"), (EITHER.key, str(Q), "no_capacity")]
    both.advice.check_invariants()


def test_nobody_steps_back_for_one_of_several_alone(both: BothGates) -> None:
    both.cool(P)
    assert both.submit(2, EITHER) == ["t0", "t1"]
    assert both.stepped_back == []


def test_what_all_of_them_refuse_ends_with_what_ends_the_refusal_of_one(both: BothGates) -> None:
    both.submit(1, EITHER, "first")
    both.cool(P, until=60.0)
    both.cool(Q, until=30.0)
    both.at(1.0)
    assert both.submit(8, EITHER)[4:] == []
    refusal = both.refusal()
    assert {Released(P), Released(Q), At(60.0), At(30.0)} <= refusal.until
    assert "p/m" in refusal.detail
    assert "q/m" in refusal.detail
    both.requests.advance(30.0)
    both.at(30.0)
    assert both.gate.start_all() != []
    both.advice.check_invariants()


def test_without_being_alike_each_of_them_holds_a_task_back(both: BothGates) -> None:
    both.cool(P)
    both.submit(1, model_group(P), "other")
    each = TaskGroupSpec.named("each", calls=(P, Q))
    assert len(both.submit(8, each)) < len(BothGates().submit(8, EITHER))
