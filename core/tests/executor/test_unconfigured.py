"""Models that nobody configured: known while they are called, and forgotten where there are too many."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from penstock import EventStream, ModelRequestExecutor, RequestAdmissionController


def an_executor(default_cap: int | None = None) -> ModelRequestExecutor:
    events = EventStream("request")
    return ModelRequestExecutor(RequestAdmissionController(events), events, default_cap=default_cap)


async def test_idle_models_that_nobody_configured_make_room_for_others(autojump_clock: MockClock) -> None:
    async with an_executor(default_cap=1) as executor:
        executor.register("p", "configured", cap=1)
        async with executor.attempt("p/busy"):
            for number in range(2000):
                async with executor.attempt(f"host-{number}/-"):
                    pass
            known = {key.model_id for key in executor.pressure.global_snapshots(executor.now())}
            assert {"busy", "configured"} <= known
            assert len(executor.pressure.global_snapshots(executor.now())) < 600
        assert executor.leases == (2001, 2001)


async def test_what_is_registered_on_purpose_stays(autojump_clock: MockClock) -> None:
    async with an_executor() as executor:
        executor.register_unconfigured("p", "m", cap=1)
        executor.register("p", "m", cap=5)
        executor.register_unconfigured("p", "m", cap=1)
        for number in range(2000):
            executor.register_unconfigured(f"host-{number}", "-", cap=1)
        model = executor.pressure.global_snapshot("p", "m", executor.now())
        assert model is not None
        assert model.cap == 5


async def test_what_was_answered_goes_with_the_model(autojump_clock: MockClock) -> None:
    async with an_executor(default_cap=1) as executor:
        async with executor.attempt("p/m") as attempt:
            resource = attempt.lease.item.resource
            went_out_at = attempt.started_at
        assert executor.controller.answered_at(resource) == went_out_at
        assert executor.controller.forget(resource.provider_model)
        assert executor.controller.answered_at(resource) is None


async def test_of_two_answers_that_of_the_call_which_went_out_later_counts(autojump_clock: MockClock) -> None:
    async with an_executor(default_cap=2) as executor:
        async with executor.attempt("p/m") as earlier:
            await trio.sleep(1.0)
            async with executor.attempt("p/m") as later:
                await trio.sleep(1.0)
            await trio.sleep(1.0)
        assert earlier.started_at < later.started_at
        assert executor.controller.answered_at(later.lease.item.resource) == later.started_at
