"""A transport and bodies that follow a script, in trio's time: under a `MockClock`, seconds cost nothing.

httpx2's own `MockTransport` answers at once and with the whole body; what is to be tested here is what
happens in between.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import trio

__all__ = ["ScriptedBody", "ScriptedTransport"]


class ScriptedBody(httpx2.AsyncByteStream):
    """The body of an answer: one second before each chunk, and one before the end, which may be an error.

    Closing it takes a second too. `closed` counts how often that happened.
    """

    def __init__(self, *chunks: bytes, error: Exception | None = None) -> None:
        self._chunks = chunks
        self._error = error
        self.closed = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            await trio.sleep(1)
            yield chunk
        await trio.sleep(1)
        if self._error is not None:
            raise self._error

    async def aclose(self) -> None:
        """Count it, and take a second."""
        self.closed += 1
        await trio.sleep(1)


class ScriptedTransport(httpx2.AsyncBaseTransport):
    """Answers each request after one second with the next answer of the script, or raises it.

    Raises `IndexError` for a request that the script does not have. `requests` are those that came,
    `closed` says whether the transport was closed.
    """

    def __init__(self, *answers: httpx2.Response | Exception) -> None:
        self._answers = list(answers)
        self.requests: list[httpx2.Request] = []
        self.closed = False

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        await trio.sleep(1)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def aclose(self) -> None:
        self.closed = True
