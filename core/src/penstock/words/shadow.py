"""The counts of plugins in shadow, which are asked and not heeded.

`[plugins.NAME] shadow = true` lets a limiter, a policy or a rule run beside the others. It is given every task and
call that is admitted, so its state follows what really happened, and it is asked once about each, at the moment at
which it is admitted: would it have refused? So a candidate that waits for something else is counted once, and not each
time it is asked. What it answers stands in the event of the lease, and is summed here beside how those calls
ended: a limiter that would have refused the calls that met a 429 and no others is worth switching on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import attrs

from penstock.words.verdicts import Denied

__all__ = ["ShadowBook", "ShadowCount", "ShadowTally", "note_of"]


@attrs.frozen(kw_only=True)
class ShadowTally:
    """The figures of what one plugin in shadow would have done at one gate (`tasks` or `requests`).

    `asked`         how many tasks or calls were admitted that it was asked about
    `refused`       how many of them it would have refused
    `reasons`       reason code to how many
    `seconds`       how long it would have kept them, summed over the `timed` ones whose refusal named a moment
    `refused_ended` how the calls ended that it would have refused: outcome kind to how many; `not_sent` for those that
                    never went out. Empty for tasks
    `let_ended`     the same of the others
    `errors`        how often it raised; `last_error` is what, in words
    """

    plugin: str
    gate: str
    asked: int
    refused: int
    reasons: Mapping[str, int]
    seconds: float
    timed: int
    refused_ended: Mapping[str, int]
    let_ended: Mapping[str, int]
    errors: int
    last_error: str

    def __str__(self) -> str:
        words = f"shadow {self.plugin}: would have refused {self.refused:,} of {self.asked:,} {self.gate}"
        if self.refused:
            words += f" ({_counts(self.reasons)})"
        if self.timed:
            words += f", for {self.seconds / self.timed:.1f} s on average"
        if self.refused_ended:
            words += f"; of these {_counts(self.refused_ended)}"
        if self.let_ended:
            words += f"; of the others {_counts(self.let_ended)}"
        if self.errors:
            words += f"; it raised {self.errors:,} times: {self.last_error}"
        return words


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in sorted(counts.items(), key=lambda kv: (-kv[1], kv[0])))


class ShadowCount:
    """The figures of one plugin at one gate, as they grow."""

    def __init__(self, plugin: str, gate: str) -> None:
        self.plugin = plugin
        self._gate = gate
        self._asked = 0
        self._refused = 0
        self._reasons: Counter[str] = Counter()
        self._seconds = 0.0
        self._timed = 0
        self._refused_ended: Counter[str] = Counter()
        self._let_ended: Counter[str] = Counter()
        self._errors = 0
        self._last_error = ""
        self._out: dict[object, Denied | None] = {}

    def asked(self, lease: object, denied: Denied | None, moment: float | None, now: float) -> None:
        """Count a question about a lease that is granted. Of several limiters of a plugin the first refusal counts.

        `moment` is when the refusal would have ended, if that is known.
        """
        if lease not in self._out:
            self._asked += 1
            self._out[lease] = None
        if denied is None or self._out[lease] is not None:
            return
        self._out[lease] = denied
        self._refused += 1
        self._reasons[denied.reason] += 1
        if moment is not None and moment > now:
            self._timed += 1
            self._seconds += moment - now

    def refusal_of(self, lease: object) -> Denied | None:
        """The refusal that a lease which is out now would have met."""
        return self._out.get(lease)

    def ended(self, lease: object, how: str | None = None) -> None:
        """Count the end of a lease, and `how` it ended, if that is known. Counts once."""
        if lease not in self._out:
            return
        denied = self._out.pop(lease)
        if how is not None:
            (self._let_ended if denied is None else self._refused_ended)[how] += 1

    def failed(self, what: str) -> None:
        """Count an exception of the plugin."""
        self._errors += 1
        self._last_error = what

    def tally(self) -> ShadowTally:
        """The figures at this moment."""
        return ShadowTally(
            plugin=self.plugin,
            gate=self._gate,
            asked=self._asked,
            refused=self._refused,
            reasons=dict(self._reasons),
            seconds=self._seconds,
            timed=self._timed,
            refused_ended=dict(self._refused_ended),
            let_ended=dict(self._let_ended),
            errors=self._errors,
            last_error=self._last_error,
        )


class ShadowBook:
    """The counts of a run, kept when its plugins are reconfigured."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], ShadowCount] = {}

    def count(self, plugin: str, gate: str) -> ShadowCount:
        """The count of this plugin at this gate."""
        return self._counts.setdefault((plugin, gate), ShadowCount(plugin, gate))

    def tallies(self) -> tuple[ShadowTally, ...]:
        """The tallies of all plugins that have been in shadow, in the order in which they were set up."""
        return tuple(count.tally() for count in self._counts.values())


def note_of(denied: Denied, moment: float | None, now: float) -> dict[str, Any]:
    """The note of a refusal in shadow for the event of a lease; JSON-safe."""
    note: dict[str, Any] = {"would_refuse": denied.reason, "until": sorted(map(str, denied.until))}
    if denied.detail:
        note["why"] = denied.detail
    if moment is not None:
        note["for_seconds"] = moment - now
    return note
