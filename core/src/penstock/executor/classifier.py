"""How a call ended: the opinion of plugins, and where they have none, what follows from the facts and the error."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from penstock.requests.classifying import classify
from penstock.requests.outcomes import SUCCESS, RequestReleaseOutcome
from penstock.requests.response import ResponseFacts
from penstock.words.plugin_failures import OnPluginFailure, unheard

__all__ = ["OutcomeClassifier", "OutcomeRule"]

OutcomeRule = Callable[["ResponseFacts | None", "BaseException | None"], "RequestReleaseOutcome | None"]
"""As `penstock_classify_outcome`: an outcome, or `None` for no opinion."""

CLASSIFY: Final = "penstock_classify_outcome"


class OutcomeClassifier:
    """The outcome of each call of a run. `rule` may be replaced; `wall_now` is the time of day, if known."""

    def __init__(
        self,
        rule: OutcomeRule | None,
        wall_now: Callable[[], datetime] | None,
        on_failure: OnPluginFailure = unheard,
    ) -> None:
        self.rule = rule
        self._on_failure = on_failure
        self._wall_now = wall_now

    def classify(self, facts: ResponseFacts | None, error: BaseException | None) -> RequestReleaseOutcome:
        """The outcome of a call that ended with these."""
        if facts is None and error is None:
            return SUCCESS
        if self.rule is not None:
            try:
                outcome = self.rule(facts, error)
            except BaseException as raised:  # a rule compiled from hooks names its plugins itself, and never raises
                self._on_failure(CLASSIFY, CLASSIFY, raised, self.rule)
            else:
                if outcome is not None:
                    return outcome
        wall_now = None
        if self._wall_now is not None and facts is not None and facts.hints is None:  # else nobody asks for it
            wall_now = self._wall_now()
        return classify(facts, error, wall_now=wall_now)
