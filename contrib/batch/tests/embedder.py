"""A provider of embeddings in the place of a client: a function of what is asked, and a latency in trio's time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from zlib import crc32

import attrs
import trio

__all__ = ["Embedder", "vector_of"]


def vector_of(text: str) -> list[float]:
    """The vector of a text: no other text has it."""
    crc = crc32(text.encode())
    return [float(crc & 0xFFFF), float(crc >> 16), 0.5]


@attrs.define
class Answering:
    """An answer of a client."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    async def pieces(self) -> AsyncIterator[bytes]:
        yield self.body


class Embedder:
    """The provider. `asked` are the texts of each call, in order; `embedded` how often each text was answered.

    None is answered before `until`; `arrived` is called with how many have come. Calls beyond `slots` at a time are
    answered 429. `refuses` may say why a call's texts are refused; `statuses` are
    those of the next calls, 200 being left to the rest; `changed` may change the body of an answer.
    """

    def __init__(self) -> None:
        self.host = self.netloc = "e"
        self.latency = 1.0
        self.until: trio.Event | None = None
        self.arrived: Callable[[int], None] = lambda count: None
        self.slots: int | None = None
        self.refuses: Callable[[Sequence[str]], str | None] = lambda texts: None
        self.statuses: list[int] = []
        self.changed: Callable[[dict[str, Any]], Any] = lambda body: body
        self.asked: list[list[str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.embedded: Counter[str] = Counter()
        self.used = 0
        self.in_flight = self.most_in_flight = 0

    @property
    def sizes(self) -> list[int]:
        """How many texts each call had."""
        return [len(texts) for texts in self.asked]

    @asynccontextmanager
    async def post(self, path: str, body: bytes) -> AsyncIterator[Answering]:
        """A call."""
        assert path == "embeddings"
        asked = json.loads(body)
        texts = [asked["input"]] if isinstance(asked["input"], str) else asked["input"]
        self.asked.append(texts)
        self.bodies.append(asked)
        self.arrived(len(self.asked))
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200 and self.slots is not None and self.in_flight >= self.slots:
            status = 429
        refusal = self.refuses(texts)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self.until is not None:
                await self.until.wait()
            await trio.sleep(self.latency if status == 200 and refusal is None else 0.01)
        finally:
            self.in_flight -= 1
        headers = {"content-type": "application/json"}
        if status == 429:
            headers["retry-after"] = "1"
        if status != 200 or refusal is not None:
            status = 400 if status == 200 else status
            error = {"message": refusal or "no", "type": "invalid_request_error" if status == 400 else "server_error"}
            yield Answering(status, headers, json.dumps({"error": error}).encode())
            return
        yield Answering(status, headers, json.dumps(self.changed(self._answer(texts))).encode())

    def _answer(self, texts: list[str]) -> dict[str, Any]:
        self.embedded.update(texts)
        data = [{"object": "embedding", "index": at, "embedding": vector_of(text)} for at, text in enumerate(texts)]
        tokens = sum(len(text) // 3 + 1 for text in texts)
        self.used += tokens
        return {
            "object": "list",
            "data": data,
            "model": "e",
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }

    async def drop_connections(self) -> None:
        """It has none."""

    async def aclose(self) -> None:
        """It has nothing open."""
