"""OpenTelemetry metrics of both gates, through the API alone, with labels that are safe to keep."""

from __future__ import annotations

from penstock_otel.config import OtelConfig
from penstock_otel.labels import LABEL_KEYS, OTHER, Labels
from penstock_otel.plugin import OtelPlugin

__all__ = ["LABEL_KEYS", "OTHER", "Labels", "OtelConfig", "OtelPlugin"]
