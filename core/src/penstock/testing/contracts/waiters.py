"""The contract suite of waiter queues: what every one must do, as tests. For plugin authors and for our own queues
alike.

Make a subclass in a test file, give it the factory, and pytest runs the suite:

    class TestMyWaiters(RequestWaiterQueueContract):
        def make_queue(self):
            return MyWaiters()

Which waiter goes first is the queue's own affair; the suite holds it to what the gate relies on: no waiter is lost,
none is asked for nothing, none is held back by a refusal of another. Plain asserts: no test framework is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from penstock.requests.items import RequestAdmissionItem
from penstock.requests.waiters import RequestWaiter, RequestWaiterQueue
from penstock.testing.contracts.waiter_driver import CHAT, OTHER, QueueDriver, ScriptedCapacity, until
from penstock.words.verdicts import NEVER, At, Denied, Released, Signal

__all__ = ["RequestWaiterQueueContract"]


class RequestWaiterQueueContract:
    """The suite of one waiter queue. Override `make_queue`."""

    def make_queue(self) -> RequestWaiterQueue:
        """A fresh, empty queue."""
        raise NotImplementedError

    def drive(self, refuse: Callable[[RequestAdmissionItem], Denied | None] = lambda item: None) -> QueueDriver:
        return QueueDriver(self.make_queue(), refuse)

    # -- membership

    def test_an_empty_queue_selects_nobody(self) -> None:
        driver = self.drive()
        assert driver.serve_one() is None
        assert driver.asked == []
        assert driver.queue.next_change(0.0) is None
        assert driver.queue.view().queued_total == 0

    def test_selecting_takes_nobody_out(self) -> None:
        driver = self.drive()
        waiter = driver.join()
        assert driver.select().waiter is driver.select().waiter is waiter
        assert driver.queue.view().queued_total == 1

    def test_committing_takes_the_selected_waiter_out_once(self) -> None:
        driver = self.drive()
        waiter = driver.join()
        selection = driver.select()
        assert driver.queue.commit(selection, 0.0) is waiter
        assert driver.queue.commit(selection, 0.0) is None
        assert driver.queue.select_next(driver.ask, 0.0) is None

    def test_a_selection_is_stale_once_a_waiter_has_left(self) -> None:
        driver = self.drive()
        first, second = driver.join(), driver.join()
        selection = driver.select()
        driver.queue.remove(second if selection.waiter is first else first, 0.0)
        assert driver.queue.commit(selection, 0.0) is None
        assert driver.queue.view().queued_total == 1

    def test_who_was_removed_is_not_selected(self) -> None:
        driver = self.drive()
        first, second = driver.join(), driver.join()
        assert driver.queue.remove(first, 0.0)
        assert not driver.queue.remove(first, 0.0)
        assert driver.serve_all() == [second]

    def test_equals_go_in_the_order_in_which_they_came(self) -> None:
        driver = self.drive()
        waiters = [driver.join() for _ in range(20)]
        assert driver.serve_all() == waiters

    def test_everybody_is_served_whatever_the_group_the_cost_and_the_resource(self) -> None:
        driver = self.drive()
        waiters = [
            driver.join(resource, group, requests, weight)
            for resource in (CHAT, OTHER)
            for group, weight in (("a", 1.0), ("b", 0.25), ("c", 64.0))
            for requests in (1, 7)
        ]
        assert set(driver.serve_all()) == set(waiters)

    def test_the_view_counts_who_is_in_line_and_forgets_who_has_left(self) -> None:
        driver = self.drive()
        view = driver.queue.view()
        first = driver.join(CHAT, "a")
        driver.join(CHAT, "b")
        driver.join(OTHER, "b")
        assert dict(view.queued_by_group) == {"a": 1, "b": 2}
        assert dict(view.queued_by_provider_model) == {CHAT.provider_model: 2, OTHER.provider_model: 1}
        assert dict(view.demand_by_resource) == {CHAT: 2, OTHER: 1}
        driver.queue.remove(first, 0.0)
        driver.serve_all()
        assert view.queued_total == 0
        assert not view.queued_by_group
        assert not view.demand_by_resource
        assert not view.queued_by_provider_model

    # -- refusals

    def test_who_was_refused_is_not_asked_again_before_anything_has_changed(self) -> None:
        driver = self.drive(until(Released(CHAT)))
        for _ in range(5):
            driver.join()
        driver.serve_all()
        asked = len(driver.asked)
        driver.serve_all()
        assert len(driver.asked) == asked

    def test_a_waiter_keeps_the_refusal_that_it_met(self) -> None:
        driver = self.drive(until(Signal("go")))
        waiter = driver.join()
        driver.serve_all()
        assert waiter.denied is not None
        assert waiter.denied.until == {Signal("go")}

    def test_a_refusal_at_one_resource_keeps_nobody_back_at_another(self) -> None:
        for scope in ("task", "shape", "group"):
            driver = self.drive()
            driver.refuse = lambda item, scope=scope: (  # type: ignore[misc]
                Denied("no_capacity", {Released(CHAT)}, scope=scope) if item.resource == CHAT else None
            )
            driver.join(CHAT, "a")
            other = driver.join(OTHER, "b")
            assert driver.serve_all() == [other], scope

    def test_a_refusal_of_one_waiter_keeps_back_nobody_else_of_its_group(self) -> None:
        driver = self.drive()
        first, second = driver.join(), driver.join()
        driver.refuse = lambda item: Denied("no_capacity", {Signal("go")}) if item is first.item else None
        assert driver.serve_all() == [second]
        driver.queue.wake(Signal("go"), 1, 0.0)
        driver.refuse = lambda item: None
        assert driver.serve_all() == [first]

    def test_a_refusal_for_good_holds_back_the_waiter_that_met_it_and_no_other(self) -> None:
        driver = self.drive()
        first, second = driver.join(), driver.join()
        driver.refuse = lambda item: Denied("never_fits", {NEVER}) if item is first.item else None
        assert driver.serve_all() == [second]
        driver.queue.wake(Released(CHAT), 10, 0.0)
        assert driver.serve_all() == []
        assert driver.queue.remove(first, 0.0)

    def test_the_first_condition_that_comes_true_ends_a_refusal(self) -> None:
        for condition in (Released(CHAT), Signal("go")):
            driver = self.drive(until(Released(CHAT), Signal("go"), At(9.0)))
            waiter = driver.join()
            driver.serve_all()
            driver.refuse = lambda item: None
            driver.queue.wake(Released(OTHER), 5, 0.0)
            driver.queue.wake(Signal("stop"), 5, 0.0)
            assert driver.serve_all() == [], "ended by something else"
            driver.queue.wake(condition, 1, 0.0)
            assert driver.serve_all() == [waiter]
            assert driver.queue.next_change(0.0) is None

    def test_a_moment_ends_a_refusal_by_itself_and_not_before(self) -> None:
        driver = self.drive(until(At(5.0)))
        waiter = driver.join()
        driver.serve_all()
        assert driver.queue.next_change(0.0) == 5.0
        driver.refuse = lambda item: None
        driver.now = 4.999
        assert driver.serve_all() == []
        driver.now = 5.0
        assert driver.serve_all() == [waiter]
        assert driver.queue.next_change(5.0) is None

    def test_a_moment_that_has_passed_is_not_announced_again(self) -> None:
        driver = self.drive(until(At(5.0), cohort="c"))
        for group in "abc":
            driver.join(CHAT, group)
        driver.serve_all()
        driver.now = 5.0
        driver.refuse = until(Released(CHAT), cohort="d")
        driver.serve_all()
        moment = driver.queue.next_change(5.0)
        assert moment is None or moment > 5.0, "a timer set to this would spin"

    def test_a_release_serves_as_many_as_it_makes_room_for(self) -> None:
        for cohort in (False, True):
            capacity = ScriptedCapacity(0, cohort=cohort)
            driver = self.drive(capacity.refuse)
            for _ in range(10):
                driver.join()
            assert driver.serve_all() == []
            capacity.places = 3
            driver.queue.wake(Released(CHAT), 3, 0.0)
            assert len(capacity.serve(driver)) == 3, f"cohort: {cohort}"

    def test_one_that_is_refused_again_passes_its_turn_on(self) -> None:
        for scope in ("task", "group"):
            driver = self.drive(until(Released(CHAT), scope=scope))
            waiters = [driver.join(CHAT, group) for group in "abc"]
            driver.serve_all()
            last = waiters[-1]
            driver.refuse = lambda item, last=last: (  # type: ignore[misc]
                None if item is last.item else Denied("no_capacity", {Released(CHAT)})
            )
            driver.queue.wake(Released(CHAT), 1, 0.0)
            assert driver.serve_all() == [last], scope

    def test_one_that_leaves_when_its_turn_has_come_passes_it_on(self) -> None:
        for cohort in (None, "c"):
            driver = self.drive(until(Released(CHAT), cohort=cohort))
            first, second = driver.join(CHAT, "a"), driver.join(CHAT, "b")
            driver.serve_all()
            driver.refuse = lambda item: None
            driver.queue.wake(Released(CHAT), 1, 0.0)
            selection = driver.select()
            driver.queue.remove(selection.waiter, 0.0)
            left = second if selection.waiter is first else first
            assert driver.serve_all() == [left], f"cohort {cohort}"

    def test_a_cohort_is_not_asked_one_by_one(self) -> None:
        driver = self.drive(until(Released(CHAT), cohort="full"))
        for number in range(300):
            driver.join(CHAT, number % 30)
            driver.serve_all()
        driver.asked.clear()
        for _ in range(10):
            driver.queue.wake(Released(CHAT), 1, 0.0)
            driver.serve_all()
        assert 0 < len(driver.asked) <= 40, f"asked {len(driver.asked)} times for 10 wake-ups that came to nothing"

    def test_the_whole_cohort_falls_when_its_refusal_ends(self) -> None:
        driver = self.drive(until(Signal("go"), cohort="full"))
        waiters = [driver.join(CHAT, number % 3) for number in range(30)]
        driver.serve_all()
        driver.refuse = lambda item: None
        driver.queue.wake(Signal("go"), len(waiters), 0.0)
        assert set(driver.serve_all()) == set(waiters)

    def test_a_head_that_leaves_frees_the_way_for_those_whom_its_refusal_kept_back(self) -> None:
        for scope, cohort in (("shape", None), ("group", None), ("task", "c"), ("shape", "c")):
            driver = self.drive()
            big, small = driver.join(requests=5), driver.join(requests=1)
            driver.refuse = lambda item, scope=scope, cohort=cohort: (  # type: ignore[misc]
                Denied("no_capacity", {Released(CHAT)}, scope=scope, cohort=cohort) if item.cost.requests > 1 else None
            )
            served = driver.serve_all()
            driver.queue.remove(big, 0.0)
            served += driver.serve_all()
            assert served == [small], f"{scope}, cohort {cohort}"

    def test_an_error_in_asking_leaves_the_queue_usable(self) -> None:
        driver = self.drive()
        waiters = [driver.join() for _ in range(3)]

        def fail(item: RequestAdmissionItem) -> Denied | None:
            raise ZeroDivisionError

        driver.refuse = fail
        try:
            driver.serve_one()
        except ZeroDivisionError:
            pass
        else:
            raise AssertionError("the error was swallowed")
        driver.refuse = lambda item: None
        assert set(driver.serve_all()) == set(waiters)

    # -- over time

    def test_no_waiter_is_left_in_the_queue_while_there_is_room_for_it(self) -> None:
        """There is no lost wake-up, whatever comes and goes: a naive gate with places per resource drives the queue."""
        for seed in range(12):
            for cohort in (False, True):
                self._run_a_gate(Random(seed), cohort)

    def _run_a_gate(self, rng: Random, cohort: bool) -> None:
        capacity = ScriptedCapacity(3, cohort=cohort)
        driver = self.drive(capacity.refuse)
        waiting: list[RequestWaiter] = []
        out: list[RequestWaiter] = []

        def go_out(served: list[RequestWaiter]) -> None:
            for waiter in served:
                waiting.remove(waiter)
            out.extend(served)

        for _ in range(150):
            choice = rng.random()
            if choice < 0.5:
                waiting.append(driver.join(rng.choice((CHAT, OTHER)), rng.randrange(4)))
            elif choice < 0.6 and waiting:
                driver.queue.remove(waiting.pop(rng.randrange(len(waiting))), driver.now)
            elif out:
                go_out(capacity.hand_over(driver, out.pop(rng.randrange(len(out)))))
            go_out(capacity.serve(driver))
            stuck = [waiter for waiter in waiting if capacity.refuse(waiter.item) is None]
            assert not stuck, f"{len(stuck)} wait though there is room for them (cohort: {cohort})"
            assert driver.queue.view().queued_total == len(waiting)
        while out:
            go_out(capacity.hand_over(driver, out.pop()))
        assert not waiting
        assert driver.queue.view().queued_total == 0

    def test_the_cost_of_a_release_does_not_grow_with_the_queue(self) -> None:
        asked = {}
        for length in (20, 2000):
            capacity = ScriptedCapacity(4, cohort=True)
            driver = self.drive(capacity.refuse)
            out = []
            for number in range(length):
                driver.join(CHAT, number % 8)
                out += capacity.serve(driver)
            driver.asked.clear()
            for _ in range(10):
                out += capacity.hand_over(driver, out.pop())
            asked[length] = len(driver.asked)
        assert asked[2000] <= asked[20] + 10, f"asked per ten releases, by length of the queue: {asked}"
