"""What is kept of the calls of a gateway: its metrics, a line of the log for each, and how long they have waited."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from penstock import ProviderModelKey, RequestResourceKey, Usage
from penstock_dialects import Prices, cost_of
from penstock_gateway.call_line import CallLine
from penstock_gateway.call_log import CallLog
from penstock_gateway.metrics import Metrics
from penstock_gateway.refusal import Refusal
from penstock_gateway.request_parser import ClientRequest

__all__ = ["CallBook"]

_REMEMBERED: Final = 0.9
"""Of the usual wait, with each call."""


class CallBook:
    """The book of one gateway. `prefix` is that of the numbers of calls, where several processes number them."""

    def __init__(self, metrics: Metrics, log: CallLog, prefix: str = "") -> None:
        self.metrics = metrics
        self.prices: Mapping[ProviderModelKey, Prices] = {}
        """What models cost, as the gate knows them."""
        self._log = log
        self._usual_wait: dict[str, float] = {}
        self._prefix = prefix
        self._numbered = 0

    def new_line(self, now: float) -> CallLine:
        """The line of a request that has come."""
        self._numbered += 1
        return CallLine(self._prefix + hex(self._numbered - 1)[2:], now)

    def usual_wait(self, model: str) -> float:
        """What calls to a model have waited lately, in seconds."""
        return self._usual_wait.get(model, 0.0)

    def refused(self, line: CallLine, refusal: Refusal) -> None:
        """A request is refused."""
        self.metrics.refused[line.key, refusal.code] += 1
        line.status, line.refused, line.waited = refusal.status, refusal.code, refusal.waited

    def admitted(self, line: CallLine, waited: float) -> None:
        """A call has its turn, after so many seconds."""
        self.metrics.waits[line.key].add(waited)
        before = self._usual_wait.get(line.model, waited)
        self._usual_wait[line.model] = _REMEMBERED * before + (1 - _REMEMBERED) * waited

    def provider_done(
        self, line: CallLine, resource: RequestResourceKey, seconds: float, usage: Usage | None, *, limited: bool
    ) -> None:
        """A provider is done with a call to `resource`, so many seconds after it went out; `limited`: it refused it by
        a limit.
        """
        metrics = self.metrics
        metrics.latencies[line.model].add(seconds)
        if limited:
            metrics.limited[line.model, resource.provider_name] += 1
        if usage is not None:
            metrics.tokens[line.key, line.model, "in"] += usage.input_tokens or 0
            metrics.tokens[line.key, line.model, "out"] += usage.output_tokens or 0
            prices = self.prices.get(resource.provider_model) if self.prices else None
            cost = None if prices is None else cost_of(prices, usage, resource.domain)
            if cost:
                metrics.cost[line.key, line.model] += cost

    def over(self, request: ClientRequest, line: CallLine, now: float) -> None:
        """A request is over."""
        self.metrics.calls[line.key, line.model, line.status] += 1
        if line.model or line.refused:
            self._log.write(line.logged(request.path, len(request.body), now), now)
