"""What a batch is measured beside: a bare loop of trio and httpx2 over the same calls, which admits nothing, keeps
nothing until its end, and dies of the first error.

    python -m penstock_bench.batch.bare_loop BASE_URL ROWS.jsonl OUT.jsonl IN_FLIGHT
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import httpx2
import trio

__all__: list[str] = []


async def main(base_url: str, rows: Path, out: Path, in_flight: int) -> None:
    """Every row's answer, in the input's order."""
    answers: dict[int, str] = {}
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    send, receive = trio.open_memory_channel[tuple[int, dict[str, Any]]](0)
    async with (
        httpx2.AsyncClient(base_url=base_url, limits=limits, timeout=None, trust_env=False) as client,
        trio.open_nursery() as nursery,
    ):

        async def work(mine: trio.MemoryReceiveChannel[tuple[int, dict[str, Any]]]) -> None:
            async with mine:
                async for number, row in mine:
                    messages = [{"role": "user", "content": f"Summarise: {row['text']}"}]
                    body = {"model": "m", "max_tokens": 20, "messages": messages}
                    answer = await client.post("chat/completions", json=body)
                    answers[number] = answer.raise_for_status().json()["choices"][0]["message"]["content"]

        for _ in range(in_flight):
            nursery.start_soon(work, receive.clone())
        receive.close()
        with rows.open(encoding="utf-8") as file:
            async with send:
                for number, line in enumerate(file):
                    await send.send((number, json.loads(line)))
    with rows.open(encoding="utf-8") as file, out.open("w", encoding="utf-8") as written:
        for number, line in enumerate(file):
            written.write(json.dumps({**json.loads(line), "summary": answers[number]}) + "\n")


if __name__ == "__main__":
    trio.run(main, sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
