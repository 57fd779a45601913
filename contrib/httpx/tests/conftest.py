"""Gates before providers that follow a script and before a real server; at the end of each, every lease is back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from functools import partial
from typing import Any

import attrs
import httpx2
import openai
import pytest
import trio

import penstock
import penstock_mockprovider as mock
from penstock_httpx import AdmissionTransport, RequestDescription, ThreadAdmissionTransport
from penstock_httpx.testing import ScriptedBody, ScriptedTransport

CALL: Any = {"model": "small", "messages": [{"role": "user", "content": "A penstock is a gate. It lets water in."}]}

Opening = Callable[..., AbstractAsyncContextManager[Any]]


@attrs.define
class Recorder:
    """A sink that keeps the request events, and wakes whoever waits for one."""

    seen: list[penstock.RuntimeEvent] = attrs.field(factory=list)
    changed: trio.Event = attrs.field(factory=trio.Event)

    @penstock.hookimpl
    def penstock_request_event(self, event: penstock.RuntimeEvent) -> None:
        self.seen.append(event)
        changed, self.changed = self.changed, trio.Event()
        changed.set()


@attrs.frozen
class Gate:
    """A gate with places at `acme/small`, and the events of the requests that it admitted."""

    scheduler: penstock.Scheduler
    recorder: Recorder

    def events(self, kind: str) -> Sequence[penstock.RuntimeEvent]:
        return [event for event in self.recorder.seen if event.event_kind == kind]

    async def until(self, kind: str, times: int = 1) -> None:
        """Waits for the n-th event of a kind."""
        while len(self.events(kind)) < times:
            await self.recorder.changed.wait()

    @property
    def outcomes(self) -> list[str | None]:
        return [event.reason_or_outcome for event in self.events("model_request_completed")]

    @property
    def resources(self) -> list[str | None]:
        """What the calls were admitted to, one after the other."""
        return [event.resource for event in self.events("request_lease_acquired")]

    @property
    def in_flight(self) -> int:
        issued, returned = self.scheduler.requests.leases
        return issued - returned


@asynccontextmanager
async def open_gate(cap: int = 1, plugins: Sequence[object] = ()) -> AsyncIterator[Gate]:
    """A gate with `cap` places."""
    config = {
        "plugins": {"request_limiters": ["cooldown"]},
        "providers": {"acme": {"models": {"small": {"max_parallel_requests": cap}}}},
    }
    recorder = Recorder()
    async with penstock.open_scheduler(config, plugins=[recorder, *plugins]) as scheduler:
        yield Gate(scheduler, recorder)
    assert scheduler.report is not None
    issued, returned = scheduler.report.request_leases
    assert issued == returned, "a lease is missing"


# -- before a provider that follows a script, in virtual time --------------------------------------------------------

Scripted = httpx2.Response | ScriptedBody | Exception | int


def scripted(answer: Scripted) -> httpx2.Response | Exception:
    if isinstance(answer, int):
        return httpx2.Response(answer, stream=ScriptedBody(b"{}"))
    return httpx2.Response(200, stream=answer) if isinstance(answer, ScriptedBody) else answer


@attrs.frozen
class ScriptedGate(Gate):
    """A client of the run before a provider that follows a script."""

    inner: ScriptedTransport
    client: httpx2.AsyncClient

    async def ask(self, text: str = "", **more: Any) -> httpx2.Response:
        call = CALL | {"messages": [{"role": "user", "content": text}]} if text else CALL
        return await self.client.post("/chat/completions", json=call, **more)

    def stream(self) -> AbstractAsyncContextManager[httpx2.Response]:
        return self.client.stream("POST", "/chat/completions", json=CALL)

    async def head(self) -> httpx2.Response:
        """An answer whose body nobody has read yet."""
        request = self.client.build_request("POST", "/chat/completions", json=CALL)
        return await self.client.send(request, stream=True)


@pytest.fixture
def call() -> Any:
    """The chat call of all tests, as JSON and as arguments of the SDK."""
    return CALL


@pytest.fixture
def gate() -> Opening:
    """Opens a gate with one place; the script has statuses, bodies of good answers, whole answers, and errors."""

    @asynccontextmanager
    async def opened(
        *script: Scripted,
        plugins: Sequence[object] = (),
        describe: Callable[[httpx2.Request], RequestDescription] | None = None,
    ) -> AsyncIterator[ScriptedGate]:
        inner = ScriptedTransport(*map(scripted, script))
        transport = AdmissionTransport(inner, provider="acme", describe=describe)
        async with (
            open_gate(plugins=plugins) as gate,
            httpx2.AsyncClient(transport=transport, base_url="http://acme.test/v1") as client,
        ):
            yield ScriptedGate(gate.scheduler, gate.recorder, inner, client)

    return opened


@pytest.fixture
def provider() -> Opening:
    """Opens a gate with four places before a provider that answers each request as it likes, in no time."""

    @asynccontextmanager
    async def opened(
        answer: Callable[[httpx2.Request], Coroutine[None, None, httpx2.Response]], plugins: Sequence[object] = ()
    ) -> AsyncIterator[ScriptedGate]:
        transport = AdmissionTransport(httpx2.MockTransport(answer), provider="acme")
        async with (
            open_gate(cap=4, plugins=plugins) as gate,
            httpx2.AsyncClient(transport=transport, base_url="http://acme.test/v1") as client,
        ):
            yield ScriptedGate(gate.scheduler, gate.recorder, ScriptedTransport(), client)

    return opened


# -- before a server that really refuses what exceeds its limits -----------------------------------------------------


@asynccontextmanager
async def before_server(cap: int = 1, **limits: object) -> AsyncIterator[tuple[Gate, mock.MockProvider]]:
    served = mock.config_from_mapping({"models": {"small": limits}})
    async with mock.serve(served) as provider, open_gate(cap) as gate:
        yield gate, provider


@attrs.frozen
class SdkGate(Gate):
    """The openai SDK in the run, and the server that it calls."""

    provider: mock.MockProvider
    sdk: openai.AsyncOpenAI

    async def ask(self, **more: Any) -> Any:
        return await self.sdk.chat.completions.create(**CALL | more)


@pytest.fixture
def sdk() -> Opening:
    """Opens a gate with `cap` places before a server with these limits."""

    @asynccontextmanager
    async def opened(cap: int = 1, **limits: object) -> AsyncIterator[SdkGate]:
        async with (
            before_server(cap, **limits) as (gate, provider),
            httpx2.AsyncClient(transport=AdmissionTransport(provider="acme")) as http,
        ):
            client = openai.AsyncOpenAI(base_url=provider.base_url, api_key="none", http_client=http, max_retries=0)
            yield SdkGate(gate.scheduler, gate.recorder, provider, client)

    return opened


@attrs.frozen
class ThreadGate(Gate):
    """A client of worker threads, and the server that it calls."""

    provider: mock.MockProvider
    client: httpx2.Client

    def post(self, **more: Any) -> httpx2.Response:
        """For worker threads: one plain call."""
        return self.client.post("/chat/completions", json=CALL, **more)

    def stream(self) -> AbstractContextManager[httpx2.Response]:
        """For worker threads: one streamed call."""
        return self.client.stream("POST", "/chat/completions", json=CALL | {"stream": True})

    async def head(self) -> httpx2.Response:
        """An answer that a worker thread brought, and whose body nobody has read yet."""
        request = self.client.build_request("POST", "/chat/completions", json=CALL)
        return await trio.to_thread.run_sync(partial(self.client.send, request, stream=True))


@pytest.fixture
def threads() -> Opening:
    """Opens a gate with `cap` places before a server with these limits, or before a script of answers and errors."""

    @asynccontextmanager
    async def opened(
        *script: httpx2.Response | Exception | Callable[[], httpx2.Response], cap: int = 1, **limits: object
    ) -> AsyncIterator[ThreadGate]:
        answers = iter(script)

        def answered(request: httpx2.Request) -> httpx2.Response:
            answer = next(answers)
            if isinstance(answer, Exception):
                raise answer
            return answer if isinstance(answer, httpx2.Response) else answer()

        transport = ThreadAdmissionTransport(httpx2.MockTransport(answered) if script else None, provider="acme")
        async with before_server(cap, **limits) as (gate, provider):
            with httpx2.Client(transport=transport, base_url=provider.base_url) as client:
                yield ThreadGate(gate.scheduler, gate.recorder, provider, client)

    return opened
