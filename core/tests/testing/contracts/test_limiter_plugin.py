"""The suite for limiter plugins finds one that limits another scope than it should."""

from __future__ import annotations

import pytest

from penstock import LimiterScope, RequestLimiter, Scope, scope_kind
from penstock.testing import RequestLimiterPluginContract, ScriptedLimiter


class TestPlugin(RequestLimiterPluginContract):
    def limiter_for(self, scope: Scope, configured: LimiterScope) -> RequestLimiter | None:
        return ScriptedLimiter(scope) if scope_kind(scope) == configured else None


class ForEverything(RequestLimiterPluginContract):
    def limiter_for(self, scope: Scope, configured: LimiterScope) -> RequestLimiter | None:
        return ScriptedLimiter(scope)


class OfAnother(RequestLimiterPluginContract):
    def limiter_for(self, scope: Scope, configured: LimiterScope) -> RequestLimiter | None:
        return ScriptedLimiter(self.resource) if scope_kind(scope) == configured else None


@pytest.mark.parametrize("suite", [ForEverything(), OfAnother()])
def test_a_plugin_that_limits_another_scope_is_found(suite: RequestLimiterPluginContract) -> None:
    with pytest.raises(AssertionError):
        suite.test_it_limits_the_configured_kind_of_scope_and_no_other()
