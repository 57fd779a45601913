"""What stands at `/metrics` of a gateway at work, and the page that says what it means."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio

from penstock import METRICS
from penstock_gateway.testing import CHAT, KEYS, World

PAGE = Path(__file__).parents[3].joinpath("docs/gateway-operating.md").read_text(encoding="utf-8")
A_CALLS = f"authorization: Bearer {KEYS['A_KEY']}"
EVENING = datetime(2026, 11, 29, 23, 50, tzinfo=UTC).timestamp()


def test_the_page_names_every_metric_with_its_labels_and_no_other() -> None:
    for name, metric in METRICS.of_gateway.items():
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` "))
        assert row.split("|")[2].strip() == (", ".join(f"`{label}`" for label in metric.labels)), name
    named = set(re.findall(r"penstock_[a-z0-9_]+", PAGE))
    assert {re.sub("_(bucket|sum|count)$", "", name) for name in named} <= set(METRICS.of_gateway)


@pytest.mark.loopback
async def test_a_gateway_at_work_tells_every_figure_under_its_labels(world: World) -> None:
    price = "[providers.acme.models.small.price]\ninput = 1000.0\noutput = 10000.0\n"
    world.wall = lambda _: EVENING
    await world.begin(f'[gateway.keys.a]\nenv = "A_KEY"\nspend_per_day = 1.0\n{price}', cap=1)
    assert (await world.ask(CHAT, A_CALLS))[0] == 200
    world.provider.hangs()
    for _ in range(3):
        await (await world.client()).send(CHAT, A_CALLS)
    with trio.fail_after(30):
        while 'penstock_key_waiting{key="a"} 2' not in (page := world.gateway.metrics()):
            await trio.lowlevel.checkpoint()
    for name, metric in METRICS.of_gateway.items():
        ending = {"histogram": "_count"}.get(metric.kind, "")
        assert f"# TYPE {name} {metric.kind}" in page
        found = re.search(rf"^{name}{ending}(?:{{(.*)}})? ", page, re.MULTILINE)
        labels = () if found is None or found[1] is None else tuple(re.findall(r'([a-z]+)="', found[1]))
        assert found is None or labels == metric.labels, name
    assert 'penstock_cost_total{key="a",model="acme/small"} 0.023\n' in page
    assert 'penstock_waiting_for{resource="acme/acme-small-2/chat",reason="no_capacity",by="core"} 2\n' in page
    assert 'penstock_key_used{key="a",quota="spend_per_day"} 0.031\n' in page
