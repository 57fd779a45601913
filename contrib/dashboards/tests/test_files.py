"""The files are what the generator makes, name only metrics that there are, and the rules are those of the page."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from penstock import METRICS

FOLDER = Path(__file__).parents[1]
DOCS = FOLDER.parents[1] / "docs"
FILES = ("penstock-run", "penstock-gateway")
NAMED = re.compile(r"\b(?:penstock|gen_ai)_\w+")


def series() -> set[str]:
    """The names of all series and labels."""
    found = {label.replace(".", "_") for metric in METRICS.of_run.values() for label in metric.labels}
    for name, metric in (*((m.in_prometheus(n), m) for n, m in METRICS.of_run.items()), *METRICS.of_gateway.items()):
        found |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if metric.kind == "histogram" else {name}
    return found


def panels_of(name: str) -> list[dict[str, Any]]:
    text = FOLDER.joinpath(f"{name}.json").read_text(encoding="utf-8")
    found: list[dict[str, Any]] = json.loads(text)["panels"]
    return found


def rules_of(name: str) -> str:
    return FOLDER.joinpath(f"{name}-alerts.yml").read_text(encoding="utf-8")


def test_dashboards_and_their_page_are_what_the_generator_makes(module_at: Callable[[Path], ModuleType]) -> None:
    generator = module_at(FOLDER / "make_dashboards.py")
    run_it = "run: python contrib/dashboards/make_dashboards.py"
    for file, made in generator.panels().DASHBOARDS.items():
        assert FOLDER.joinpath(file).read_text(encoding="utf-8") == generator.dashboard(made), run_it
    assert DOCS.joinpath("dashboards.md").read_text(encoding="utf-8") == generator.page(), run_it


@pytest.mark.parametrize("name", FILES)
def test_panels_lie_beside_each_other_and_have_numbers_of_their_own(name: str) -> None:
    panels = panels_of(name)
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        x, y, width, height = (panel["gridPos"][side] for side in "xywh")
        cells = {(x + across, y + down) for across in range(width) for down in range(height)}
        assert not cells & taken, panel["title"]
        assert x + width <= 24
        taken |= cells


@pytest.mark.parametrize("name", FILES)
def test_panels_and_rules_name_metrics_that_there_are(name: str) -> None:
    queries = [target["expr"] for panel in panels_of(name) for target in panel.get("targets", ())]
    written = [*queries, *re.findall(r"expr:.*(?:\n {10}.*)*", rules_of(name))]
    assert len(written) > 20
    named = {word for text in written for word in NAMED.findall(text.replace("penstock_(task|request)_waiting", ""))}
    assert named <= series()


@pytest.mark.parametrize("name", FILES)
def test_every_panel_says_what_it_answers_and_every_alert_what_is_wrong(name: str) -> None:
    for panel in panels_of(name):
        assert panel["type"] == "row" or (panel["description"] and panel["targets"])
    rules = rules_of(name)
    assert rules.count("- alert:") == rules.count("summary:") == rules.count("severity:") > 5


def test_the_alerts_of_a_gateway_are_those_of_its_page() -> None:
    page = DOCS.joinpath("gateway-operating.md").read_text(encoding="utf-8")
    table = page[page.index("## What to alert on") : page.index("## nginx in front")].replace("\\|", "|")
    on_the_page = {re.split(r" \| ", line)[1] for line in table.splitlines() if re.match(r"\| [a-z]", line)} - {
        "expression"
    }
    in_the_file = re.findall(r"expr: '(.*)'", rules_of("penstock-gateway"))
    assert {expression.strip("`") for expression in on_the_page} == set(in_the_file)


def promtool(*args: str) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("no promtool: `tox -e dashboards` installs it where it may")
    checked = subprocess.run(["promtool", *args], capture_output=True, encoding="utf-8", check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("name", FILES)
def test_promtool_finds_nothing_wrong_with_the_rules(name: str) -> None:
    promtool("check", "rules", str(FOLDER / f"{name}-alerts.yml"))


@pytest.mark.parametrize("name", FILES)
def test_alerts_go_off_when_they_should_and_at_no_other_time(name: str) -> None:
    promtool("test", "rules", str(FOLDER / f"tests/{name}-alerts.test.yml"))


def test_the_dashboards_are_of_grafanas_published_type(tmp_path: Path) -> None:
    found = os.environ.get("PENSTOCK_GRAFANA_TYPES")
    compiler = Path(found or "", "node_modules/typescript/bin/tsc")
    if found is None or not compiler.is_file():
        pytest.skip("no types of Grafana: `tox -e dashboards` fetches them where there is npm")
    tmp_path.joinpath("node_modules").symlink_to(Path(found, "node_modules").resolve())
    files = [tmp_path / f"{name}.ts" for name in FILES]
    for name, file in zip(FILES, files, strict=True):
        made = FOLDER.joinpath(f"{name}.json").read_text(encoding="utf-8")
        file.write_text(
            f'import type {{ Dashboard }} from "@grafana/schema";\nexport const made: Dashboard = {made};',
            encoding="utf-8",
        )
    options = ["--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "esnext"]
    command = ["node", str(compiler), *options, "--moduleResolution", "bundler", *map(str, files)]
    checked = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("name", FILES)
def test_every_alert_is_tried_both_ways(name: str) -> None:
    tests = FOLDER.joinpath(f"tests/{name}-alerts.test.yml").read_text(encoding="utf-8")
    tried = re.findall(r"alertname: (\w+)\n(        exp_alerts:)?", tests)
    alerts = set(re.findall(r"- alert: (\w+)", rules_of(name)))
    assert {alert for alert, goes_off in tried if goes_off} == alerts
    assert {alert for alert, goes_off in tried if not goes_off} == alerts
