"""The table of metrics, and the page that is drawn from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from penstock import METRICS

DOCS = Path(__file__).parents[3] / "docs"


def test_the_reference_page_says_what_the_table_says(module_at: Callable[[Path], ModuleType]) -> None:
    generator = module_at(DOCS / "make_metrics_reference.py")
    written = (DOCS / "reference/metrics.md").read_text(encoding="utf-8")
    assert written == generator.reference(), "run: python docs/make_metrics_reference.py"


def test_every_label_is_explained_there_and_used(module_at: Callable[[Path], ModuleType]) -> None:
    generator = module_at(DOCS / "make_metrics_reference.py")
    every = {word for name, word in vars(METRICS.label).items() if name.isupper()}
    assert set(generator.WHAT_LABELS_ARE) == every
    assert {label for metric in METRICS.of_run.values() for label in metric.labels} == every


@pytest.mark.parametrize(
    ("name", "in_prometheus"),
    [
        ("penstock.request.ended", "penstock_request_ended_total"),
        ("penstock.request.cooldown", "penstock_request_cooldown_seconds"),
        ("gen_ai.client.token.usage", "gen_ai_client_token_usage"),
    ],
)
def test_a_metric_has_another_name_in_prometheus(name: str, in_prometheus: str) -> None:
    assert METRICS.of_run[name].in_prometheus(name) == in_prometheus


def test_no_figure_of_a_gateway_has_the_name_of_one_of_a_run() -> None:
    assert not set(METRICS.of_gateway) & {metric.in_prometheus(name) for name, metric in METRICS.of_run.items()}
