"""The process of a mock provider: `python -m penstock_bench.socket_server FILE` serves what the TOML file says, until
SIGTERM, and writes one line, its base URL.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import trio

from penstock import read_toml
from penstock_mockprovider import config_from_mapping, serve


async def main(path: Path) -> None:
    """Serves on a free port of the loopback interface."""
    config = config_from_mapping(read_toml(path), source=str(path))
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with serve(config) as provider:
            print(provider.base_url, flush=True)
            await anext(signals)


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]))
