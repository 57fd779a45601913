"""The contract suite of plugins that make a request limiter per value of a configured scope, as tests.

Make a subclass in a test file, give it the limiter that the plugin makes, and pytest runs the suite:

    class TestMyPlugin(RequestLimiterPluginContract):
        def limiter_for(self, scope, configured):
            return MyPlugin(MyConfig(scope=configured)).penstock_request_limiter(scope)

Plain asserts: no test framework is imported.
"""

from __future__ import annotations

from penstock.requests.limiters import RequestLimiter
from penstock.words.identity import LimiterScope, RequestGroupKey, RequestResourceKey, Scope

__all__ = ["RequestLimiterPluginContract"]


class RequestLimiterPluginContract:
    """The suite of one plugin. `limiter_for` answers what the plugin's hook does, for a plugin with `scope =
    CONFIGURED`."""

    resource = RequestResourceKey("provider", "model", "chat")

    def limiter_for(self, scope: Scope, configured: LimiterScope) -> RequestLimiter | None:
        """The limiter of this key, or `None`."""
        raise NotImplementedError

    def test_it_limits_the_configured_kind_of_scope_and_no_other(self) -> None:
        keys: dict[LimiterScope, Scope] = {
            "resource": self.resource,
            "provider_model": self.resource.provider_model,
            "provider": self.resource.provider,
            "group": RequestGroupKey("tenant"),
        }
        for configured in keys:
            for kind, key in keys.items():
                limiter = self.limiter_for(key, configured)
                assert (limiter is not None) == (kind == configured), f"scope = {configured!r}, asked for a {kind}"
                assert limiter is None or isinstance(limiter, RequestLimiter)
                assert limiter is None or limiter.scope == key
