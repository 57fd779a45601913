"""True limits over real sockets: what is refused, and that a client that goes away gives its slot back."""

from __future__ import annotations

from typing import Any

import openai
import pytest
import trio

from penstock.testing import Latency, RetryAfterForm

pytestmark = pytest.mark.loopback

# -- limits --


async def test_a_call_over_the_slots_gets_429_with_retry_after(served: Any, never_due: Any) -> None:
    async with (
        served(slots=1, latency=never_due, retry_after=1.5, refusal_latency=0.0) as mock,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(mock.ask)
        await mock.until_reported(lambda report: report.granted == 1)
        with pytest.raises(openai.RateLimitError) as caught:
            await mock.ask()
        nursery.cancel_scope.cancel()
    assert caught.value.response.headers["retry-after"] == "1.5"
    assert caught.value.code == "rate_limit_exceeded"


@pytest.mark.parametrize("form", ["http-date", "milliseconds"])
async def test_retry_after_comes_in_the_form_that_is_configured(served: Any, form: RetryAfterForm) -> None:
    async with served(rpm=1, burst=1, retry_after=1.0, retry_after_form=form) as mock:
        await mock.ask()
        with pytest.raises(openai.RateLimitError) as caught:
            await mock.ask()
    headers = caught.value.response.headers
    assert ("retry-after-ms" in headers) == (form == "milliseconds")
    assert len(headers.get_list("date")) == 1


async def test_rate_limit_headers_are_on_answers_streams_and_refusals(served: Any) -> None:
    async with served(rpm=2, burst=2, headers=True, refusal_latency=0.0) as mock:
        answers = [await mock.post(stream=i == 1) for i in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["1", "0", "0"]
    assert answers[2].json()["error"]["type"] == "requests"


async def test_a_configured_failure_is_a_server_error(served: Any) -> None:
    async with served(error_rate=1.0, error_status=503, refusal_latency=0.0) as mock:
        with pytest.raises(openai.InternalServerError) as caught:
            await mock.ask()
    assert (caught.value.status_code, caught.value.code) == (503, "server_error")


async def test_never_more_than_the_slots_run_at_a_time(served: Any) -> None:
    async with served(slots=3, latency=Latency(mean=0.01), refusal_latency=0.0) as mock, trio.open_nursery() as nursery:
        for _ in range(40):
            nursery.start_soon(mock.post)
    model = mock.provider.report().models["m"]
    assert model.peak_concurrency == 3
    assert (model.total.granted + model.total.refused, model.in_flight) == (40, 0)


async def test_a_client_that_answers_each_answer_with_a_call_is_never_refused(served: Any) -> None:
    async with served(slots=4, latency=Latency(mean=0.001)) as mock:

        async def keep_calling() -> None:
            for stream in [False, True] * 25:
                answer = await mock.post(stream=stream)
                assert answer.status_code == 200

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(keep_calling)
    assert mock.provider.report().refused == 0


# -- clients that go away --


@pytest.mark.parametrize("limits", [{}, {"hang_share": 1.0}], ids=["waits", "hangs"])
async def test_a_client_that_gives_up_waiting_gives_its_slot_back(
    served: Any, never_due: Any, limits: dict[str, object]
) -> None:
    async with served(slots=1, latency=never_due, **limits) as mock:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(mock.post)
            await mock.until(lambda model: model.in_flight == 1)
            nursery.cancel_scope.cancel()
        model = await mock.until(lambda model: model.in_flight == 0)
    assert model.total.abandoned == 1


async def test_a_client_that_leaves_in_mid_stream_gives_its_slot_back(served: Any, never_due: Any, call: Any) -> None:
    async with served(slots=1, latency=never_due) as mock:
        async with mock.http.stream("POST", "/v1/chat/completions", json=call | {"stream": True}) as answer:
            assert answer.status_code == 200  # the head comes with the first event
        model = await mock.until(lambda model: model.in_flight == 0)
    assert model.total.abandoned == 1


async def test_a_client_that_leaves_the_queue_leaves_no_trace_in_it(served: Any, never_due: Any) -> None:
    async with served(slots=1, queue=True, latency=never_due) as mock, trio.open_nursery() as nursery:
        nursery.start_soon(mock.post)
        await mock.until(lambda model: model.in_flight == 1)
        async with trio.open_nursery() as second:
            second.start_soon(mock.post)
            await mock.until(lambda model: model.waiting == 1)
            second.cancel_scope.cancel()
        await mock.until(lambda model: model.waiting == 0)
        assert mock.provider.report().models["m"].in_flight == 1
        nursery.cancel_scope.cancel()


async def test_a_client_that_leaves_while_it_sends_its_question_is_no_error(
    served: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with served() as mock:
        stream = await trio.open_tcp_stream("127.0.0.1", mock.provider.port)
        async with stream:
            await stream.send_all(b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{")
        await mock.until_reported(lambda report: report.rejected == {"client_disconnect": 1})
    assert caplog.records == []
