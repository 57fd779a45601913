"""The decision: from windows of latency to a limit of calls in flight, and to what latency counts as healthy.

A server with S slots that queues the rest answers n > S calls in flight in n ÷ S times the latency of an idle one
(Little's law), and does no more work for it. So n × baseline ÷ latency is an estimate of S at any load above it, and n
itself below it.

    limit        half-way from the old one to that estimate + headroom: √estimate, an eighth for large ones
    doubt        the estimate takes the baseline one standard error higher: a limit that is too low loses work, one that
                 is too high only time
    growth       only while the limit is in use; other windows can but lower it, to what their own calls say
    first climb  four times as many, then doubles per short window until calls clearly queue, in a second window too,
                 which is over as soon as it shows none; its end takes the estimate, and a probe at once, since short
                 windows make a poor baseline

`limit × gradient + √limit` is the gradient of Netflix concurrency-limits, which comes from TCP Vegas (Brakmo and
Peterson 1995: queue = n × (1 − baseline ÷ latency)). What is other here is where the baseline comes from. A long
average (Gradient2) takes a lasting queue for health; a minimum (Vegas) is chance when latencies differ by themselves.

The baseline is measured, by a *probe*: now and then the limit is lowered to 85 % of the estimate, and the
calls that go out below that are taken. An estimate that is higher still queues then, less, and is found out in steps.

    about the baseline  both are averaged; but a probe no faster than operation says that nothing queues there either,
                        and counts for half
    faster              the baseline falls, half-way: luck makes a probe faster, too
    slower              either the server is slower, or our own calls queue even now. If it helped to have fewer in
                        flight and cost no throughput (Little's law again: in flight ÷ time out), half as many are
                        tried; else nothing queues, the server is slower, and the baseline rises

It rises up to a bound: a multiple of the lowest baseline ever, and a latency if one is configured. However long an
incident lasts, it does not become healthy. Beyond the bound the limit is low. A limit that has halved is probed
at once, since a server that is slower without a queue looks just like one with fewer slots.

Time to the first token is only a part of the time that a call is out. So the share of queueing is taken of the
latter: n × (latency − baseline) ÷ time out, which is Vegas's queue where both are the same.

What lost, and by how much, is in docs/design/latency-limits.md.
"""

from __future__ import annotations

from math import inf, sqrt

from penstock_latency.window import Load, Window

__all__ = ["Gradient"]

HEADROOM = 1.0
"""Of the root of the estimate: what is kept waiting at the server, so that it is never idle."""
PROBE_SHARE = 0.85
"""Of the estimate: low enough to have no queue, high enough to cost little."""
DOUBT = 1.0
"""Standard errors of the baseline that the estimate is taken higher."""
IDLE = 0.95
"""A probe with less than this share of the throughput before it left slots idle, so it had no queue."""
DESCENT = 0.5
"""How much fewer each time, when it has to be found out why calls are slower: half the queue would show."""
TOLERANCE = 0.1
"""The share of the time out that is no difference to a probe, however many answers say so."""
ERRORS = 2.0
"""Standard errors that are no difference."""
BASELINE_ANSWERS = 200
"""For how many answers the baseline counts at most when it is averaged with a probe."""
FIRST_PROBE = 12
"""Windows from the end of the climb to the first probe after its own."""
NEXT_PROBE = 6
"""Windows from a change of the baseline to the next probe."""
PROBES_APART = 2
"""Each further probe comes after so many times the windows, up to what is configured."""
PROBE_WINDOW = 1.25
"""A probe takes so many times the answers of another window: everything is measured by what it finds."""
CLIMB_WINDOW = 0.25
"""A window of the climb takes so many times the answers: all slots that are not open yet are idle meanwhile."""
CLIMB_LEAST = 3
"""Answers; and never fewer than these."""
FIRST_STEP = 4
"""The first step of the climb multiplies the limit by this: what it begins with is few, and so is twice as many."""
CLIMB_SHARE = 0.25
"""The climb ends at no less than this share of what is in flight: it has not gone further beyond the slots."""
FASTER = 2
"""Windows in a row that must be faster than the baseline to lower it: one of forty is, by accident."""
CLIMB_TOLERANCE = 0.3
"""The share of queueing that ends the climb: at twice the slots it is a half, and less may be chance."""
MEMORY = 0.2
"""The share of the newest window in the mean latency of operation, which a probe is compared with."""
STREAK = 3
"""Windows in a row at the baseline, in use, after which the limit doubles again: the server takes more now."""


class Gradient:
    """A limit of at least 1, fractional. The unit of latency is the caller's, and always the same one."""

    def __init__(self, initial: float, probe_every: int, healthy_ratio: float, healthy_latency: float | None) -> None:
        self.limit = float(initial)
        self.baseline: float | None = None
        """What an answer takes when nothing queues."""
        self.latency: float | None = None
        """Of the last window."""
        self.probing: int | None = None
        """How many may be out while a probe is under way; calls that went out above that do not count."""
        self._probe_every = probe_every
        self._ratio = healthy_ratio
        self._bound = inf if healthy_latency is None else healthy_latency
        self._lowest = inf
        self._answers = 0
        self._climbing = True
        self._suspected = False
        self._settled = False
        self._windows = 0
        self._probe_after = min(FIRST_PROBE, probe_every)
        self._streak = self._faster = 0
        self._limit_probed = self.limit
        self._operating: Load | None = None
        self._before: Load | None = None
        self._steady = True

    @property
    def bound(self) -> float:
        """The highest baseline that is believed."""
        return min(self._bound, self._ratio * self._lowest)

    def adopt(self, previous: Gradient, effective_max: float) -> None:
        """Go on from the limit of another configuration, which measured in the same unit, within the bounds of this."""
        own = self._probe_every, self._ratio, self._bound
        self.__dict__.update(previous.__dict__)
        self._probe_every, self._ratio, self._bound = own
        self._probe_after = min(self._probe_after, self._probe_every)
        self.limit = min(self.limit, effective_max)
        if self.baseline is not None:
            self.baseline = min(self.baseline, self.bound)

    def learn(self, window: Window, effective_max: float) -> None:
        """Take a full window; `effective_max` (≥ 1) bounds the limit."""
        self.latency = window.latency
        if self.probing is not None:
            self._probed(window)
            return
        first = self.baseline is None
        if first:
            self._believe(window.latency, window.answers)
        if not self._climbing:  # while more and more go out, the short calls of each window come back first
            self._notice_faster(window)
        self._windows += 1
        self._follow(window, first, effective_max)
        if self._before is not None or self._climbing or not window.in_use or not self._probe_every:
            self._operating = None
            return
        usual = window.load if self._operating is None else self._operating.blend(window.load, MEMORY)
        self._operating = usual
        if self.limit <= self._limit_probed / 2:
            self._begin_probe(window.in_flight * DESCENT, window.load, steady=False)
        elif self._windows >= self._probe_after:
            self._probe_after = min(PROBES_APART * self._probe_after, self._probe_every)
            steady = abs(window.latency - usual.latency) <= ERRORS * window.error
            before = usual if steady else window.load
            self._begin_probe(self._estimate(window) * PROBE_SHARE, before, steady=steady)

    def forget(self) -> None:
        """The unit of latency is another one from now on: the limit stays, all else begins anew."""
        self.baseline = self.latency = self.probing = self._before = self._operating = None
        self._lowest, self._answers, self._windows = inf, 0, 0
        self._streak = self._faster = 0
        self._suspected = False

    def is_full(self, window: Window, least: int, in_flight: float) -> bool:
        """Whether `window`, which is not empty, has answers enough: at least `least`, and two rounds of what is in
        flight. In the climb a quarter will do, unless it is to end that.
        """
        wanted = max(least, 2 * in_flight)
        if self.probing is not None:
            wanted *= PROBE_WINDOW
        elif self._suspected and self._queued(window) > CLIMB_TOLERANCE:
            wanted = max(least, in_flight / 2)
        elif self._climbing:
            wanted = max(CLIMB_LEAST, CLIMB_WINDOW * wanted)
        return window.answers >= wanted

    # -- inside --

    def _queued(self, window: Window) -> float:
        """The share of the time out that is waiting at the server, as far as the baseline is right; below 0: luck."""
        assert self.baseline is not None
        return (window.latency - self.baseline) / window.residence

    def _estimate(self, window: Window, doubt: float = 0.0) -> float:
        """How many calls the server works on at a time, as far as `window` shows."""
        queued = self._queued(window) - doubt * self._error_of_baseline(window) / window.residence
        return window.in_flight * (1 - min(0.5, max(0.0, queued)))

    def _error_of_baseline(self, window: Window) -> float:
        """The standard error of the baseline, if its answers differed as those of `window` do."""
        return window.error * sqrt(window.answers / self._answers)

    def _error(self, window: Window) -> float:
        """The standard error of the difference between a window and the baseline."""
        return window.error * sqrt(1 + window.answers / self._answers)

    def _follow(self, window: Window, first: bool, effective_max: float) -> None:
        target = _with_headroom(self._estimate(window, DOUBT))
        if not window.in_use:
            self._streak = 0
            if target < window.in_flight:
                self.limit = min(self.limit, (window.in_flight + target) / 2)
        elif self._climbing:
            self._climb(window, first, effective_max)
        else:
            self._streak = self._streak + 1 if self._queued(window) <= window.error / window.residence else 0
            self._climbing = self._streak >= STREAK and self.limit < effective_max
            self.limit = min((self.limit + target) / 2, effective_max)

    def _climb(self, window: Window, first: bool, effective_max: float) -> None:
        queued = self._queued(window)
        error = ERRORS * self._error(window) / window.residence
        if queued <= max(CLIMB_TOLERANCE, error):
            if not (self._settled or self._suspected or first) and queued <= error:
                self._average(window)
            self._suspected = False
            self.limit = min((FIRST_STEP if first else 2) * self.limit, effective_max)
        elif not self._suspected:
            self._suspected = True
        else:
            self._climbing = self._suspected = False
            self._settled = True
            estimate = window.in_flight * max(CLIMB_SHARE, 1 - queued)
            self.limit = self._limit_probed = min(_with_headroom(estimate), effective_max)
            if self._probe_every:
                self._begin_probe(estimate * PROBE_SHARE, window.load)

    def _notice_faster(self, window: Window) -> None:
        assert self.baseline is not None
        self._faster = self._faster + 1 if window.latency < self.baseline - ERRORS * window.error else 0
        if self._faster >= FASTER:
            self._faster = 0
            self._believe((self.baseline + window.latency) / 2, window.answers)

    def _begin_probe(self, level: float, before: Load, *, steady: bool = True) -> None:
        """`steady`: latency did not change in the time of `before`, so Little's law holds for it."""
        self.probing = max(1, round(level))
        self._before = before
        self._steady = steady
        self._windows = 0

    def _probed(self, window: Window) -> None:
        assert self.probing is not None
        assert self.baseline is not None
        assert self._before is not None
        latency, level, before = window.latency, self.probing, self._before
        if_queued = max(self.baseline, before.latency * min(1.0, level / before.in_flight))
        helped = latency < (before.latency + if_queued) / 2
        idle = self._steady and window.load.throughput < IDLE * before.throughput
        error = max(TOLERANCE * window.residence, ERRORS * self._error(window))
        self._before = self.probing = None
        if abs(latency - self.baseline) <= error:
            if helped or latency < self.baseline:
                self._average(window)
            else:
                self._believe((self.baseline + latency) / 2, window.answers)
        elif latency > self.baseline and helped and not idle and level > 1:
            self._begin_probe(level * DESCENT, window.load, steady=False)
            return
        else:
            self._believe(latency if latency > self.baseline else (self.baseline + latency) / 2, window.answers)
            self._probe_after = min(NEXT_PROBE, self._probe_every)
            self._streak = 0
        self._limit_probed = self.limit

    def _average(self, window: Window) -> None:
        assert self.baseline is not None
        total = self._answers + window.answers
        mean = (self.baseline * self._answers + window.latency * window.answers) / total
        self._believe(mean, total)

    def _believe(self, latency: float, answers: int) -> None:
        self.baseline = min(latency, self.bound)
        self._lowest = min(self._lowest, self.baseline)
        self._answers = min(answers, BASELINE_ANSWERS)


def _with_headroom(estimate: float) -> float:
    return max(1.0, estimate + max(HEADROOM * sqrt(estimate), estimate / 8))
