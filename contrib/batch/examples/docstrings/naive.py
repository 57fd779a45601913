"""The same rows against the same provider, as one would write it in an afternoon: a semaphore per model, and try
again at once.

    python contrib/batch/examples/docstrings/naive.py

It runs the steps of pipeline.toml with `max_parallel_requests` calls at a time to each model, and prints what the
provider saw.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import trio

from penstock_batch.pipeline.loading import Pipeline, load_pipeline
from penstock_batch.pipeline.steps import Step
from penstock_batch.providers.clients import ModelClient
from penstock_batch.providers.endpoints import Endpoints, open_endpoints
from penstock_batch.rows.reader import Row

PIPELINE = Path(__file__).with_name("pipeline.toml")


async def call(client: ModelClient, step: Step, values: dict[str, object]) -> object:
    """One call, tried again at once until it is answered."""
    assert step.model is not None
    texts = {name: template.render(values) for name, template in step.templates.items()}
    if step.kind == "embedding":
        path, body = "embeddings", dict[str, object](input=texts["input"])
    else:
        messages = [{"role": role, "content": texts[name]} for role, name in ROLES if name in texts]
        path, body = "chat/completions", dict[str, object](messages=messages)
    while True:
        sent = json.dumps({"model": step.model.model_id, **step.params, **body}).encode()
        async with client.post(path, sent) as answer:
            whole = b"".join([piece async for piece in answer.pieces()])
        if answer.status == 200:
            data = json.loads(whole)
            return (
                data["data"][0]["embedding"] if step.kind == "embedding" else data["choices"][0]["message"]["content"]
            )


ROLES = (("system", "system"), ("user", "prompt"))


async def one_row(pipeline: Pipeline, row: Row, endpoints: Endpoints, semaphores: dict[str, trio.Semaphore]) -> None:
    values = dict(row.values)
    for step in pipeline.steps:
        if step.model is not None:
            async with semaphores[step.model.name]:
                values[step.name] = await call(endpoints.clients[step.model.name], step, values)
        elif step.function is not None:
            values[step.name] = step.function(**{name: values[name] for name in step.arguments})


async def main() -> None:
    pipeline = load_pipeline(PIPELINE)
    semaphores = {model.name: trio.Semaphore(model.max_parallel_requests) for model in pipeline.models}
    begun = time.perf_counter()
    async with open_endpoints(pipeline.config.providers, pipeline.models) as endpoints:
        async with trio.open_nursery() as nursery:
            for row in pipeline.rows():
                if isinstance(row, Row):
                    nursery.start_soon(one_row, pipeline, row, endpoints, semaphores)
        took = time.perf_counter() - begun
        calls = refused = 0
        for mock in endpoints.mocks.values():
            for name, model in mock.report().models.items():
                calls += model.total.arrived
                refused += model.total.refused
                print(f"  {name}: {model.total.arrived:,} calls, {model.total.refused:,} × 429")
    print(
        f"naive: {pipeline.facts.rows:,} rows in {took:.1f} s; "
        f"{calls:,} calls, {refused:,} answered 429 ({refused / calls:.1%})"
    )


if __name__ == "__main__":
    trio.run(main)
