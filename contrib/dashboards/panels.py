"""What the dashboards show: every panel, the question that it answers, and its queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

__all__ = ["DASHBOARDS", "JOB", "RATE", "Dashboard", "Panel", "Query"]

JOB: Final = 'job=~"$job"'
"""Which of the jobs that Prometheus scrapes is shown: chosen at the top of a dashboard."""

RATE: Final = "$__rate_interval"
"""As long as it takes to see a change: Grafana's, by the scrape interval."""


@attrs.frozen
class Query:
    """One query, and what its lines are called."""

    expression: str
    legend: str


@attrs.frozen
class Panel:
    """A panel. `answers` is the question that it answers; `unit` is Grafana's word."""

    title: str
    answers: str
    queries: Sequence[Query]
    unit: str = "short"
    row: str = ""
    """The heading under which it is the first; else that of the one before."""


@attrs.frozen
class Dashboard:
    """A dashboard. `known_by` is a metric that every job has which it can show."""

    uid: str
    title: str
    about: str
    known_by: str
    panels: Sequence[Panel]


_MODEL: Final = "gen_ai_provider_name, gen_ai_request_model, gen_ai_operation_name"
_MODEL_LEGEND: Final = "{{gen_ai_provider_name}}/{{gen_ai_request_model}} {{gen_ai_operation_name}}"


def _sum(by: str, metric: str, more: str = "") -> str:
    return f"sum by ({by}) ({metric}{{{JOB}{more}}})"


def _rate(by: str, metric: str, more: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{{{JOB}{more}}}[{RATE}]))"


def _share(by: str, metric: str, part: str) -> str:
    return f"{_rate(by, metric, part)} / {_rate(by, metric)}"


def _quantile(share: float, by: str, metric: str) -> str:
    return f"histogram_quantile({share}, {_rate(f'{by}, le' if by else 'le', f'{metric}_bucket')})"


RUN: Final = Dashboard(
    "penstock-run",
    "Penstock: runs",
    "Programs and batches that tell their metrics by the sink otel.",
    "penstock_resource_limit",
    [
        Panel(
            "Limits and calls in flight",
            "What is the limit now, and is it used?",
            [
                Query(_sum(_MODEL, "penstock_request_limit"), f"limit {_MODEL_LEGEND}"),
                Query(_sum(_MODEL, "penstock_request_active"), f"in flight {_MODEL_LEGEND}"),
            ],
            row="The five questions",
        ),
        Panel(
            "Calls that wait, by why",
            "Who waits, and why?",
            [
                Query(
                    _sum(f"{_MODEL}, penstock_reason, penstock_by", "penstock_request_waiting"),
                    f"{{{{penstock_reason}}}} by {{{{penstock_by}}}}, {_MODEL_LEGEND}",
                )
            ],
        ),
        Panel(
            "Calls that wait, by tenant",
            "Who waits?",
            [Query(_sum("penstock_group", "penstock_group_request_waiting"), "{{penstock_group}}")],
        ),
        Panel(
            "Share of 429s",
            "How many of the calls does the provider refuse for their rate?",
            [Query(_share(_MODEL, "penstock_request_ended_total", ', penstock_outcome="rate_limited"'), _MODEL_LEGEND)],
            "percentunit",
        ),
        Panel(
            "Tokens by tenant",
            "Who uses how many tokens a second?",
            [
                Query(
                    _rate("penstock_group, gen_ai_token_type", "gen_ai_client_token_usage_sum"),
                    "{{penstock_group}} {{gen_ai_token_type}}",
                )
            ],
        ),
        Panel(
            "Cost by tenant, an hour",
            "Who spends how much, in the money of the prices?",
            [Query(f"3600 * {_rate('penstock_group', 'penstock_request_cost_total')}", "{{penstock_group}}")],
        ),
        Panel(
            "Wait of calls, p95",
            "How long do calls wait, by model?",
            [Query(_quantile(0.95, _MODEL, "penstock_request_wait_duration_seconds"), _MODEL_LEGEND)],
            "s",
        ),
        Panel(
            "Wait of calls by tenant, p95",
            "How long do calls wait, by whom they are for?",
            [Query(_quantile(0.95, "penstock_group", "penstock_request_wait_duration_seconds"), "{{penstock_group}}")],
            "s",
        ),
        Panel(
            "Calls that ended, by how",
            "What becomes of the calls?",
            [Query(_rate("penstock_outcome", "penstock_request_ended_total"), "{{penstock_outcome}}")],
            "reqps",
            row="Calls",
        ),
        Panel(
            "Calls refused here",
            "Which calls got no lease, and why not?",
            [
                Query(
                    _rate("penstock_group, penstock_reason", "penstock_request_refused_total"),
                    "{{penstock_reason}} {{penstock_group}}",
                )
            ],
            "reqps",
        ),
        Panel(
            "Time of calls, p50 and p95",
            "How long do providers take?",
            [
                Query(_quantile(0.5, _MODEL, "gen_ai_client_operation_duration_seconds"), f"p50 {_MODEL_LEGEND}"),
                Query(_quantile(0.95, _MODEL, "gen_ai_client_operation_duration_seconds"), f"p95 {_MODEL_LEGEND}"),
            ],
            "s",
        ),
        Panel(
            "Cooldowns",
            "How long until a provider that said 429 is tried again?",
            [Query(f"max by ({_MODEL}) (penstock_request_cooldown_seconds{{{JOB}}})", _MODEL_LEGEND)],
            "s",
        ),
        Panel(
            "Calls in flight, by tenant",
            "Whose calls are at the providers?",
            [Query(_sum("penstock_group", "penstock_group_request_active"), "{{penstock_group}}")],
        ),
        Panel(
            "Tasks that wait, by why",
            "Which tasks are ready and do not start, and why?",
            [
                Query(
                    _sum("penstock_group, penstock_reason, penstock_by", "penstock_task_waiting"),
                    "{{penstock_reason}} by {{penstock_by}} {{penstock_group}}",
                )
            ],
            row="Tasks",
        ),
        Panel(
            "Tasks that run",
            "Which groups hold the places?",
            [Query(_sum("penstock_group", "penstock_task_active"), "{{penstock_group}}")],
        ),
        Panel(
            "Places in use",
            "Which resource of the scheduler is full?",
            [
                Query(
                    f"{_sum('penstock_resource', 'penstock_resource_active')} / "
                    f"{_sum('penstock_resource', 'penstock_resource_limit')}",
                    "{{penstock_resource}}",
                )
            ],
            "percentunit",
        ),
        Panel(
            "Tasks that ended, by how",
            "How fast does the work go, and how much of it fails?",
            [Query(_rate("penstock_outcome", "penstock_task_ended_total"), "{{penstock_outcome}}")],
            "ops",
        ),
        Panel(
            "Wait and run of tasks, p95",
            "How long do tasks wait for their start, and how long do they run?",
            [
                Query(_quantile(0.95, "", "penstock_task_wait_duration_seconds"), "wait"),
                Query(_quantile(0.95, "", "penstock_task_run_duration_seconds"), "run"),
            ],
            "s",
        ),
        Panel(
            "Time of decisions, by plugin",
            "Which plugin takes the loop's time? Of the decisions that are traced (`[plugins] trace`).",
            [
                Query(
                    f"{_rate('penstock_plugin, penstock_hook', 'penstock_decision_time_seconds_total')} / "
                    f"{_rate('penstock_plugin, penstock_hook', 'penstock_decision_asked_total')}",
                    "{{penstock_plugin}} {{penstock_hook}}",
                )
            ],
            "s",
            row="Plugins",
        ),
        Panel(
            "Questions, refusals and errors, by plugin",
            "Who is asked how often, who refuses, and who fails? Of the decisions that are traced.",
            [
                Query(_rate("penstock_plugin", "penstock_decision_asked_total"), "asked {{penstock_plugin}}"),
                Query(_rate("penstock_plugin", "penstock_decision_refused_total"), "refused {{penstock_plugin}}"),
                Query(_rate("penstock_plugin", "penstock_decision_failed_total"), "failed {{penstock_plugin}}"),
            ],
            "ops",
        ),
    ],
)

GATEWAY: Final = Dashboard(
    "penstock-gateway",
    "Penstock: gateway",
    "Gateways, by the /metrics of their admin port.",
    "penstock_connections",
    [
        Panel(
            "Limits and calls in flight",
            "What is the limit now, and is it used?",
            [
                Query(_sum("model, domain", "penstock_limit"), "limit {{model}} {{domain}}"),
                Query(_sum("model, domain", "penstock_in_flight"), "in flight {{model}} {{domain}}"),
            ],
            row="The five questions",
        ),
        Panel(
            "Calls that wait, by why",
            "Who waits, and why?",
            [Query(_sum("resource, reason, by", "penstock_waiting_for"), "{{reason}} by {{by}}, {{resource}}")],
        ),
        Panel("Calls that wait, by key", "Who waits?", [Query(_sum("key", "penstock_key_waiting"), "{{key}}")]),
        Panel(
            "Share of 429s",
            "How many of the calls does the provider refuse for their rate?",
            [
                Query(
                    f"{_rate('model', 'penstock_provider_429_total')} / {_rate('model', 'penstock_calls_total')}",
                    "{{model}}",
                )
            ],
            "percentunit",
        ),
        Panel(
            "Tokens by key",
            "Who uses how many tokens a second?",
            [Query(_rate("key, direction", "penstock_tokens_total"), "{{key}} {{direction}}")],
        ),
        Panel(
            "Cost by key, an hour",
            "Who spends how much, in the money of the prices?",
            [Query(f"3600 * {_rate('key', 'penstock_cost_total')}", "{{key}}")],
        ),
        Panel(
            "Wait by key, p95",
            "How long do calls wait?",
            [Query(_quantile(0.95, "key", "penstock_wait_seconds"), "{{key}}")],
            "s",
        ),
        Panel(
            "Calls by status",
            "What do clients get? 0: they left before.",
            [Query(_rate("status", "penstock_calls_total"), "{{status}}")],
            "reqps",
            row="Calls and keys",
        ),
        Panel(
            "Calls refused here",
            "Which calls does the gateway refuse, and why?",
            [Query(_rate("key, reason", "penstock_refused_total"), "{{reason}} {{key}}")],
            "reqps",
        ),
        Panel(
            "Time of answers, p50 and p95",
            "How long do providers take?",
            [
                Query(_quantile(0.5, "model", "penstock_answer_seconds"), "p50 {{model}}"),
                Query(_quantile(0.95, "model", "penstock_answer_seconds"), "p95 {{model}}"),
            ],
            "s",
        ),
        Panel(
            "Quotas used",
            "Which key will have used its day or month soon?",
            [Query(f"max by (key, quota) (penstock_key_used{{{JOB}}})", "{{key}} {{quota}}")],
            "percentunit",
        ),
        Panel(
            "Clients",
            "How many are connected, and how many may be?",
            [
                Query(_sum("job", "penstock_connections"), "{{job}}"),
                Query(_sum("job", "penstock_connections_limit"), "{{job}}, may be"),
            ],
        ),
        Panel(
            "Ledger and log",
            "Is anything not written that should be?",
            [
                Query(f"max by (job) (penstock_ledger_behind_seconds{{{JOB}}})", "ledger behind, seconds"),
                Query(_rate("job", "penstock_lost_log_lines_total"), "lines of the log lost, a second"),
            ],
        ),
    ],
)

DASHBOARDS: Final[Mapping[str, Dashboard]] = {"penstock-run.json": RUN, "penstock-gateway.json": GATEWAY}
"""By the names of their files."""
