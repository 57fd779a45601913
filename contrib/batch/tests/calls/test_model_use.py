"""One model at several places: each given up by itself, and who waits asks at those that are left."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import pytest
import trio
from trio.testing import MockClock

from penstock import RequestResourceKey
from penstock_batch.calls.giving_up import GiveUpRules, ModelHealth
from penstock_batch.calls.model_use import CellFailed, CellStopped, ModelUse
from penstock_batch.calls.place_use import PlaceUse
from penstock_batch.calls.tallies import ModelTally
from penstock_batch.providers.clients import ClientAnswer
from penstock_batch.providers.models import StepModel
from penstock_batch.providers.native.bodies import Speaking

EAST, WEST = (StepModel(f"p@{at}/m", f"p@{at}", f"m-{at}", 2) for at in ("east", "west"))
MODEL = StepModel("p/m", "p", "m", 4, places=(EAST, WEST))
KEYS = [RequestResourceKey(place.provider, place.model_id, "chat") for place in (EAST, WEST)]


class Unreached:
    """A client of whom nothing is asked."""

    host = "h"
    netloc = "h"

    def post(self, path: str, body: bytes) -> AbstractAsyncContextManager[ClientAnswer]:
        raise AssertionError(f"{path} is called")

    async def drop_connections(self) -> None: ...

    async def aclose(self) -> None: ...


def place(model: StepModel) -> PlaceUse:
    speaking = Speaking(model.dialect, model.provider)
    return PlaceUse(model, Unreached(), None, ModelHealth(GiveUpRules()), ModelTally(), speaking)


@pytest.fixture
def use() -> ModelUse:
    return ModelUse(MODEL, [place(EAST), place(WEST)], lambda _: lambda: KEYS)


def asked(use: ModelUse, *without: str) -> list[str]:
    resource = use.resource("chat", without)
    assert callable(resource)
    return [key.provider_name for key in resource()]


def test_a_call_may_be_made_at_those_that_are_left(use: ModelUse) -> None:
    assert asked(use) == ["p@east", "p@west"]
    assert asked(use, "p@east") == ["p@west"]
    use.failed(use.places[1], "account", "no credit", 1.0)
    assert asked(use) == ["p@east"]
    assert use.left(())
    assert not use.left(("p@east",))


def test_a_model_at_one_place_is_asked_by_name() -> None:
    alone = StepModel("q/m", "q", "m", 2)
    one = ModelUse(alone, [place(alone)], lambda _: lambda: KEYS)
    assert one.resource("chat", ()) == "q/m"
    one.failed(one.places[0], "account", "no credit", 1.0)
    assert one.given_up == "not called, q/m was given up after no credit"


def test_a_model_is_given_up_with_its_last_place(use: ModelUse) -> None:
    use.failed(use.places[0], "account", "no credit", 1.0)
    use.check()
    use.failed(use.places[1], "account", "a bad key", 2.0)
    assert use.given_up == "not called, p/m was given up at all its endpoints, at p@west after a bad key"
    with pytest.raises(CellFailed):
        use.check()


async def test_who_waits_for_a_place_that_is_given_up_is_let_out_to_ask_again(
    use: ModelUse, autojump_clock: MockClock
) -> None:
    async def fail() -> None:
        await trio.sleep(1.0)
        use.failed(use.places[0], "account", "no credit", trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fail)
        with use.waiting() as scope:
            await trio.sleep(60.0)
    assert scope.cancelled_caught
    assert trio.current_time() < 2.0
    use.check()


async def test_a_call_in_flight_elsewhere_is_not_disturbed(use: ModelUse, autojump_clock: MockClock) -> None:
    east, west = use.places
    with use.waiting() as scope:
        with use.in_flight(west, (scope,), trio.current_time()):
            use.failed(east, "account", "no credit", trio.current_time())
            await trio.sleep(5.0)
        await trio.sleep(5.0)
    assert not scope.cancelled_caught
    assert (west.tally.calls, west.tally.in_flight, east.tally.failed) == (1, 0, 1)


async def test_after_a_call_at_a_place_that_is_given_up_nothing_more_is_tried_there(
    use: ModelUse, autojump_clock: MockClock
) -> None:
    east = use.places[0]
    with use.waiting() as scope:
        with use.in_flight(east, (scope,), trio.current_time()):
            use.failed(east, "account", "no credit", trio.current_time())
        await trio.sleep(5.0)
    assert scope.cancelled_caught


def test_a_run_that_stops_lets_nobody_ask_anywhere(use: ModelUse) -> None:
    use.stop()
    with pytest.raises(CellStopped):
        use.check()


def test_each_place_is_sent_its_own_id_of_the_model(use: ModelUse) -> None:
    bodies = [each.outgoing("chat", {"model": "m", "messages": []}) for each in use.places]
    assert [b'"model":"m-east"' in bodies[0].body, b'"model":"m-west"' in bodies[1].body] == [True, True]
    assert bodies[0].path == "chat/completions"
