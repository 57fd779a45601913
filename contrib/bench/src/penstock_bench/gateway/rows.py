"""The rows of `penstock bench gateway`."""

from __future__ import annotations

from typing import Final

from penstock_bench.gateway.stand import CAP, CONNECTIONS, Stand
from penstock_bench.measuring.records import MEGABYTES, Unit
from penstock_bench.measuring.rows import Local, Row

__all__ = ["gateway_rows"]

MILLISECONDS: Final = Unit("ms", 1e3)
_OWN_SHARE: Final = 35e-6
"""Seconds that a second worker may cost per call beside what a call costs by one."""


def gateway_rows(stand: Stand, *, streams: int, many: int, workers: bool) -> list[Row]:
    """The rows, in the order of the table. `streams` are asked for their first byte, `many` calls made for what grows;
    `workers`: the gateway has more than one.
    """
    plain = f"a plain call, nobody waits, {CONNECTIONS} connections"
    nginx = Local("nginx", lambda _: stand.cpu(stand.other("nginx")))

    def beside(name: str, title: str) -> Local:
        return Local(title, lambda _: stand.cpu(stand.other(name)), environment=True)

    rows = [
        Row(name="plain", title=plain, ours=lambda _: stand.cpu(stand.ours()), other=nginx),
        Row(
            name="starlette",
            title=plain,
            ours=lambda _: stand.cpu(stand.ours()),
            other=beside("starlette", "Starlette and httpx2 on uvicorn"),
        ),
        Row(
            name="litellm",
            title=plain,
            ours=lambda _: stand.cpu(stand.ours()),
            other=beside("litellm", "LiteLLM"),
            rounds=2,
        ),
        Row(
            name="waiting",
            title=f"the same, when calls wait for a cap of {CAP}",
            ours=lambda _: stand.cpu(stand.ours("waiting")),
            other=nginx,
        ),
        Row(
            name="log",
            title="the log's share: the same call",
            ours=lambda _: stand.cpu(stand.ours()),
            other=Local("without a log", lambda _: stand.cpu(stand.ours("silent"))),
        ),
        Row(
            name="first-byte",
            title="a stream's first byte, later than without a gateway by",
            ours=lambda _: stand.first_byte(streams),
            unit=MILLISECONDS,
        ),
        Row(
            name="p99",
            title="p99 at half load, more than without a gateway by",
            ours=lambda _: stand.p99_added(),
            unit=MILLISECONDS,
        ),
        Row(
            name="memory",
            title="memory of the first process (PSS)",
            ours=lambda _: stand.memory(),
            unit=MEGABYTES,
            rounds=1,
        ),
        Row(
            name="growth",
            title=f"what it has grown over {many:,} calls more",
            ours=lambda _: stand.growth(many),
            unit=MEGABYTES,
            rounds=1,
        ),
    ]
    if workers:
        rows += [
            Row(
                name="workers",
                title=f"two workers: a plain call, less {_OWN_SHARE * 1e6:.0f} µs",
                ours=lambda _: stand.cpu(stand.ours("two"), less=_OWN_SHARE),
                other=Local("one worker", lambda _: stand.cpu(stand.ours())),
            ),
            Row(
                name="memory-further",
                title="memory of each further process (PSS), with two workers",
                ours=lambda _: stand.memory(further=True),
                unit=MEGABYTES,
                rounds=1,
            ),
            Row(
                name="memory-added",
                title="what each worker adds to the memory of all (PSS), from two to four",
                ours=lambda _: stand.memory_added(),
                unit=MEGABYTES,
                rounds=1,
            ),
        ]
    return rows
