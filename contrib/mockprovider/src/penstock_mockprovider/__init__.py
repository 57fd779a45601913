"""A loopback OpenAI-compatible provider with real limits, for trying admission without paying for it."""

from __future__ import annotations

from penstock_mockprovider.config import MockProviderConfig, config_from_mapping
from penstock_mockprovider.report import MockReport
from penstock_mockprovider.server import MockProvider, serve

__all__ = ["MockProvider", "MockProviderConfig", "MockReport", "config_from_mapping", "serve"]
