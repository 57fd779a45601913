"""What a batch is measured beside: OpenAI's cookbook ("api_request_parallel_processor"), in words of our own.

An asyncio loop turns once a millisecond: it refills two budgets, of requests and of tokens per minute, and starts the
next call of a file of calls when both suffice, as a task of its own over aiohttp. A call that fails goes back into a
queue, five times at most; after a 429 nothing is started for 15 s. Answers are appended to a file as they come. Runs in
an environment of its own:

    python -m penstock_bench.batch.cookbook BASE_URL ROWS.jsonl OUT.jsonl IN_FLIGHT

`IN_FLIGHT` does not bound it: its budgets do, and they are set so high that they never wait.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp

__all__: list[str] = []

PAUSE = 0.001
"""Seconds between two turns of the loop."""
AFTER_LIMIT = 15.0
"""Seconds for which nothing is started after a 429."""
PER_MINUTE = 1e12
ATTEMPTS = 5


class Call:
    """One call of the file, with the attempts that it has left."""

    def __init__(self, row: dict[str, Any]) -> None:
        messages = [{"role": "user", "content": f"Summarise: {row['text']}"}]
        self.row = row
        self.body = {"model": "m", "max_tokens": 20, "messages": messages}
        self.tokens = len(json.dumps(self.body)) // 4 + 20
        self.attempts = ATTEMPTS


async def main(base_url: str, rows: Path, out: Path) -> None:
    """Every row's answer, in the order of arrival."""
    again: deque[Call] = deque()
    limited_at = -AFTER_LIMIT
    under_way = 0
    requests = tokens = PER_MINUTE
    last = time.monotonic()

    async def make(session: aiohttp.ClientSession, call: Call) -> None:
        nonlocal limited_at, under_way
        try:
            async with session.post(f"{base_url.rstrip('/')}/chat/completions", json=call.body) as response:
                answer = await response.json()
                failed = "error" in answer
                if response.status == 429:
                    limited_at = time.monotonic()
        except (aiohttp.ClientError, ValueError):
            failed = True
        if not failed:
            text = answer["choices"][0]["message"]["content"]
            with out.open("a", encoding="utf-8") as file:
                file.write(json.dumps({**call.row, "summary": text}) + "\n")
            under_way -= 1
        elif call.attempts:
            again.append(call)
        else:
            under_way -= 1

    def calls() -> Iterator[Call]:
        with rows.open(encoding="utf-8") as file:
            for line in file:
                yield Call(json.loads(line))

    fresh, waiting = calls(), None
    tasks: set[asyncio.Task[None]] = set()
    async with aiohttp.ClientSession() as session:
        while True:
            if waiting is None:
                waiting = again.popleft() if again else next(fresh, None)
                if waiting is not None and waiting.attempts == ATTEMPTS:
                    under_way += 1
            now = time.monotonic()
            requests = min(requests + PER_MINUTE * (now - last) / 60, PER_MINUTE)
            tokens = min(tokens + PER_MINUTE * (now - last) / 60, PER_MINUTE)
            last = now
            if waiting is not None and requests >= 1 and tokens >= waiting.tokens:
                requests, tokens = requests - 1, tokens - waiting.tokens
                waiting.attempts -= 1
                task = asyncio.create_task(make(session, waiting))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                waiting = None
            if not under_way:
                return
            await asyncio.sleep(PAUSE)
            if (left := limited_at + AFTER_LIMIT - time.monotonic()) > 0:
                await asyncio.sleep(left)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
