"""How a run is watched: by a view of its events, a watchdog, and a socket for `penstock explain`."""

from __future__ import annotations

import attrs

import penstock

__all__ = ["RunningView", "watched"]

FOR_EVER = 1e9
"""Seconds: longer than any run."""

WATCHDOG = 0.25
"""Seconds for which a task may keep the loop from everything else before it is reported."""


class RunningView:
    """A sink of both event streams, which knows at the end where the time went."""

    def __init__(self) -> None:
        self.view = penstock.CorrelatedRuntimeView(keep=0)

    @penstock.hookimpl
    def penstock_scheduler_event(self, event: penstock.RuntimeEvent) -> None:
        self.view.receive(event)

    @penstock.hookimpl
    def penstock_request_event(self, event: penstock.RuntimeEvent) -> None:
        self.view.receive(event)


def watched(config: penstock.PenstockConfig) -> penstock.PenstockConfig:
    """The configuration with a watchdog and a socket for `penstock explain`, where it says nothing of them.

    Calls to which nobody listens are tried as long as their model is not given up (`giving_up.py`).
    """
    options = config.scheduler
    watchdog = WATCHDOG if options.watchdog is None else options.watchdog
    answers = options.explain_socket is None or options.explain_socket
    requests = attrs.evolve(config.requests, unpaid_timeout=FOR_EVER)
    scheduler = attrs.evolve(options, watchdog=watchdog, explain_socket=answers)
    return attrs.evolve(config, scheduler=scheduler, requests=requests)
