"""The configuration of a run's scheduler, where the pipeline's TOML says nothing of it."""

from __future__ import annotations

from typing import Final

import attrs

from penstock import PenstockConfig

__all__ = ["watched"]

FOR_EVER: Final = 1e9
"""Seconds: longer than any run."""

WATCHDOG: Final = 0.25
"""Seconds for which a task may keep the loop from everything else before it is reported."""


def watched(config: PenstockConfig) -> PenstockConfig:
    """The configuration with a watchdog and a socket for `penstock explain`, where it says nothing of them.

    Calls to which nobody listens are tried as long as their model is not given up (`giving_up.py`).
    """
    options = config.scheduler
    watchdog = WATCHDOG if options.watchdog is None else options.watchdog
    answers = options.explain_socket is None or options.explain_socket
    requests = attrs.evolve(config.requests, unpaid_timeout=FOR_EVER)
    scheduler = attrs.evolve(options, watchdog=watchdog, explain_socket=answers)
    return attrs.evolve(config, scheduler=scheduler, requests=requests)
