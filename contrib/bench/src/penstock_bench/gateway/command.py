"""What `penstock bench gateway` does, from its options to the exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from penstock import ConfigError
from penstock_bench.command import Options, measure_rows
from penstock_bench.competitor.environment import cache_folder
from penstock_bench.gateway.rows import gateway_rows
from penstock_bench.gateway.stand import Stand
from penstock_bench.measuring.rows import Local, Row
from penstock_bench.measuring.sizes import FULL, QUICK
from penstock_bench.reporting.console import ExitCode, announce
from penstock_bench.reporting.targets import Target, load_targets

__all__ = ["gateway_command"]


def gateway_command(options: Options) -> ExitCode:
    """The exit code, after the rows have been measured and reported. Raises `ConfigError`, `CompetitorUnavailable`."""
    if not sys.platform.startswith("linux"):
        raise ConfigError("penstock bench gateway reads what processes cost from /proc: it needs Linux")
    if find_spec("penstock_gateway") is None:
        raise ConfigError("penstock bench gateway needs penstock-gateway: install penstock-bench[gateway]")
    sizes = QUICK if options.quick else FULL
    workers = _has_workers()
    if not workers:
        announce("NOT RUN: the rows of two workers, since this gateway has one alone")
    with TemporaryDirectory(prefix="penstock-bench-") as folder:
        stand = Stand(Path(folder), options.peer_cache or cache_folder(), sizes.gateway_seconds)
        try:
            rows = gateway_rows(stand, streams=sizes.gateway_streams, many=sizes.gateway_many, workers=workers)
            targets = _of_rows(rows, load_targets(), without_peer=options.without_peer)
            return measure_rows("gateway", rows, targets, options, sizes.competitor_cap)
        finally:
            stand.close()


def _of_rows(rows: Sequence[Row], targets: Sequence[Target], *, without_peer: bool) -> list[Target]:
    """The targets of rows that are measured; of the others it is said that they are not."""
    peers = {row.name for row in rows if isinstance(row.other, Local) and row.other.environment}
    measured = {row.name for row in rows} - (peers if without_peer else set())
    own = [target for target in targets if target.bench == "gateway"]
    for target in own:
        if target.row not in measured:
            announce(f"NOT CHECKED: {target.says}")
    return [target for target in own if target.row in measured]


def _has_workers() -> bool:
    from penstock_gateway.config import GatewayConfig

    try:
        GatewayConfig(workers=2)
    except ConfigError:
        return False
    return True
