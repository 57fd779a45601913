"""The scenarios that a request limiter must pass beside the default stack, as a test: it must not spoil what the others
do right. For plugin authors and for our own limiters alike.

    class TestMyLimiterInScenarios(RequestLimiterScenarios):
        plugin = "my-limiter"

Whole runs in virtual time, some seconds of computing each. The plugin must be installed. Plain asserts: no test
framework is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from penstock.testing.scenarios.config import load_scenarios
from penstock.testing.scenarios.run import run_scenario

__all__ = ["RequestLimiterScenarios"]


class RequestLimiterScenarios:
    """The suite of one limiter that is installed as `plugin`.

    `scenarios`  which of those that come with the core; what each must do is said in its file, `scenarios.toml`
    `table`      the plugin's own in the configuration
    `seed`       of the providers
    """

    plugin: str
    scenarios = ("concurrency-limit", "rpm-blind", "outage")
    table: Mapping[str, Any] = {}
    seed = 0

    def test_beside_the_default_stack_each_scenario_is_passed(self) -> None:
        known = load_scenarios()
        for name in self.scenarios:
            stack = tuple(dict.fromkeys((*known[name].stack, self.plugin)))
            scenario = attrs.evolve(known[name], stack=stack)
            figures = run_scenario(scenario, self.seed, {self.plugin: self.table} if self.table else None).figures
            missed = {b.figure: figures[b.figure] for b in scenario.must if b.missed_by(figures[b.figure])}
            assert not missed, f"in {name} with {', '.join(stack)} beside the default stack, not good enough: {missed}"
