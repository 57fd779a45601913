"""The generator of the dashboards and of their page: `python contrib/dashboards/make_dashboards.py`.

Tests hold the files against it, and the panels against a real Prometheus.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs/dashboards.md"

WIDTH, HEIGHT, COLUMNS = 12, 8, 24

HEAD = """\
# Dashboards and alerts

<!-- Written by contrib/dashboards/make_dashboards.py from contrib/dashboards/panels.py. Change it there. -->

[contrib/dashboards](../contrib/dashboards/README.md) has two dashboards for Grafana, and rules for Prometheus' alerts.
Five questions come first in each: what is the limit now; who waits, and why; what share of the calls gets a 429; what
does each tenant use and spend; how long do calls wait. The metrics themselves are in
[reference/metrics.md](reference/metrics.md).

## From a run to a panel

The sink `otel` tells the metrics of a program to OpenTelemetry. With the exporter for Prometheus
(`pip install opentelemetry-sdk opentelemetry-exporter-prometheus`), before the run is opened:

<!-- not run: it listens at a port, and stays there -->
```python
from opentelemetry import metrics
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import start_http_server

start_http_server(9465, addr="127.0.0.1")
metrics.set_meter_provider(MeterProvider([PrometheusMetricReader()]))
```

A gateway needs none of this: it has `/metrics` at its admin port. What Prometheus is configured by:

```yaml
rule_files: [penstock-run-alerts.yml, penstock-gateway-alerts.yml]
scrape_configs:
  - job_name: penstock-run
    static_configs: [{targets: ["127.0.0.1:9465"]}]
  - job_name: penstock
    static_configs: [{targets: ["127.0.0.1:9464"]}]
```

In Grafana, import the two JSON files and choose the Prometheus that is to be asked. Tenants are shown by name where
`[plugins.otel] groups` lists them; a gateway's keys always are.
"""


def panels() -> ModuleType:
    """The module beside this one, which is in no package."""
    spec = importlib.util.spec_from_file_location("penstock_dashboard_panels", HERE / "panels.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def dashboard(made: Any) -> str:
    """The JSON of a dashboard, as Grafana exports one."""
    source = {"type": "prometheus", "uid": "${datasource}"}
    known = f"label_values({made.known_by}, job)"
    return _json(
        {
            "uid": made.uid,
            "title": made.title,
            "description": made.about,
            "tags": ["penstock"],
            "schemaVersion": 39,
            "editable": True,
            "refresh": "10s",
            "time": {"from": "now-1h", "to": "now"},
            "templating": {
                "list": [
                    {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
                    {
                        "name": "job",
                        "label": "Job",
                        "type": "query",
                        "datasource": source,
                        "query": {"query": known, "refId": "job"},
                        "includeAll": True,
                        "multi": True,
                        "refresh": 2,
                        "current": {"text": "All", "value": "$__all"},
                    },
                ]
            },
            "panels": list(_drawn(made, source)),
        }
    )


def _drawn(made: Any, source: Any) -> Iterator[dict[str, Any]]:
    number = x = y = 0
    for panel in made.panels:
        if panel.row:
            y += HEIGHT if x else 0
            number, x = number + 1, 0
            place = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
            yield {"id": number, "type": "row", "title": panel.row, "collapsed": False, "gridPos": place, "panels": []}
            y += 1
        number += 1
        yield {
            "id": number,
            "type": "timeseries",
            "title": panel.title,
            "description": panel.answers,
            "datasource": source,
            "gridPos": {"x": x, "y": y, "w": WIDTH, "h": HEIGHT},
            "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
            "options": {
                "legend": {
                    "showLegend": True,
                    "displayMode": "table",
                    "placement": "bottom",
                    "calcs": ["lastNotNull", "max"],
                },
                "tooltip": {"mode": "multi", "sort": "desc"},
            },
            "targets": [
                {
                    "refId": chr(ord("A") + at),
                    "datasource": source,
                    "editorMode": "code",
                    "expr": query.expression,
                    "legendFormat": query.legend,
                    "range": True,
                }
                for at, query in enumerate(panel.queries)
            ],
        }
        x = (x + WIDTH) % COLUMNS
        y += 0 if x else HEIGHT


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def page() -> str:
    """The text of docs/dashboards.md."""
    lines = [HEAD]
    for file, made in panels().DASHBOARDS.items():
        lines += [f"\n## {made.title}\n", f"\n{made.about} [{file}](../contrib/dashboards/{file})\n"]
        for panel in made.panels:
            if panel.row:
                lines.append(f"\n### {panel.row}\n\n| panel | what it answers |\n|---|---|\n")
            lines.append(f"| {panel.title} | {panel.answers} |\n")
    lines.append(ALERTS)
    return "".join(lines)


ALERTS = """
## Alerts

[penstock-run-alerts.yml](../contrib/dashboards/penstock-run-alerts.yml) and
[penstock-gateway-alerts.yml](../contrib/dashboards/penstock-gateway-alerts.yml) have rules, with thresholds to begin
with; each says in its annotations what is wrong and what helps. Those of a gateway are the table in
[gateway-operating.md](gateway-operating.md#what-to-alert-on). `promtool check rules` finds what is wrong with a rule
that you changed, and `promtool test rules contrib/dashboards/tests/*.test.yml` says whether each still goes off when
it should, and only then.
"""


def main() -> None:
    """Write the files."""
    for file, made in panels().DASHBOARDS.items():
        HERE.joinpath(file).write_text(dashboard(made), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
