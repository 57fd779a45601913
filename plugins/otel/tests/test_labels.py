"""What can be a label, and what never is one, however odd, hostile or many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import pytest
from hypothesis import given, settings, strategies as st
from plugins.otel.tests.meter import CHAT, Meter

from penstock import (
    ConfigError,
    RequestDomain,
    RunInfo,
    RuntimeCorrelation,
    RuntimeEvent,
)
from penstock.testing import one_of_each_event
from penstock_otel import LABEL_KEYS, OTHER, OtelConfig
from penstock_otel.labels import MOST_PROVIDERS, MOST_WHOSE, Labels

PROVIDER, MODEL, OPERATION = CHAT
ENDED = "penstock.request.ended"


@pytest.mark.parametrize(
    ("resource", "labels"),
    [
        ("acme", {PROVIDER: "acme"}),
        ("acme/small-2026", {PROVIDER: "acme", MODEL: "small"}),
        ("acme/small-2026/embedding", {**CHAT, OPERATION: "embeddings"}),
        ("acme/org/big-1/chat", {**CHAT, MODEL: "big"}),
        ("acme/org/big-1", {PROVIDER: "acme", MODEL: "big"}),
        ("acme/secret-finetune/rerank", {**CHAT, MODEL: OTHER, OPERATION: "rerank"}),
        ("acme/secret-finetune/unheard-of", {PROVIDER: "acme", MODEL: OTHER}),
        ("acme/chat", {PROVIDER: "acme", MODEL: OTHER}),
        ("", {PROVIDER: ""}),
        ("///", {PROVIDER: "", MODEL: OTHER}),
    ],
)
def test_a_resource_is_labelled_by_what_is_listed_of_it(resource: str, labels: Mapping[str, str]) -> None:
    found = Labels(OtelConfig(model_labels={"small-2026": "small", "org/big-1": "big"}, domains=["rerank"]))
    assert dict(found.model(resource)) == labels


def test_what_the_configuration_names_is_a_label() -> None:
    labels = Labels(OtelConfig(model_labels={"big-2026": "the large one"}))
    models = {"acme/small": "small-2026", "acme/tiny": "small-2026", "acme/big": "big-2026", "umbrella/s": "small-2026"}
    labels.see(RunInfo(run_id="r", started_at=0, seed=0, models=models, domains={"acme": ["rerank"], "umbrella": []}))
    assert dict(labels.model("acme/small-2026/rerank")) == {**CHAT, OPERATION: "rerank"}
    assert dict(labels.model("acme/big-2026/chat")) == {**CHAT, MODEL: "the large one"}
    assert dict(labels.model("umbrella/small-2026/chat")) == {**CHAT, PROVIDER: "umbrella", MODEL: "s"}
    assert dict(labels.model("umbrella/small-2026/rerank")) == {PROVIDER: "umbrella", MODEL: OTHER}


def test_providers_beyond_the_first_many_share_a_label() -> None:
    labels = Labels(OtelConfig())
    labels.see(RunInfo(run_id="r", started_at=0, seed=0, domains={"acme": []}))
    found = {dict(labels.model(f"p{n}/m/chat"))[PROVIDER] for n in range(10_000)}
    assert len(found) == MOST_PROVIDERS + 1
    assert OTHER in found
    assert dict(labels.model("acme/m/chat"))[PROVIDER] == "acme"


@pytest.mark.parametrize(
    ("group", "shown"),
    [
        ("local/column-a", "column-a"),
        ("model/acme/x", "model/acme/x"),
        ("tenant 1\n", "tenant 1\n"),
        ("model/acme/y", OTHER),
        ("column-a/else", OTHER),
        ("", OTHER),
        (None, OTHER),
    ],
)
def test_a_group_is_shown_where_it_is_listed(group: str | None, shown: str) -> None:
    assert Labels(OtelConfig(groups=["column-a", "model/acme/x", "tenant 1\n"])).group(group) == shown


def test_without_a_list_of_groups_no_series_says_whom_it_is_for() -> None:
    meter = Meter(OtelConfig(model_labels={"small-2026": "small"}))
    meter.request(0, "request_lease_released", group="tenant-1", reason_or_outcome="success")
    assert meter.figures(ENDED) == [({**CHAT, "penstock.outcome": "success"}, 1)]


def test_labels_of_ones_own_are_shown_by_their_listed_values() -> None:
    meter = Meter(OtelConfig(model_labels={"small-2026": "small"}, labels={"Team-1": ["red"], "stage": ["prod"]}))
    for labels in ({"Team-1": "red", "secret": "s"}, {"Team-1": "blue"}, {"stage": "prod", "Team-1": "red"}, None):
        meter.request(0, "request_lease_released", reason_or_outcome="success", labels=labels)
    found = [
        {name: value for name, value in labels.items() if name.startswith("penstock.label.")}
        for labels, _ in meter.figures(ENDED)
    ]
    team, stage = "penstock.label.Team-1", "penstock.label.stage"
    assert found == [{team: "red"}, {team: OTHER}, {team: "red", stage: "prod"}, {}]


def test_ten_thousand_values_make_no_more_series_than_are_listed() -> None:
    meter = Meter(OtelConfig(groups=["a"], labels={"user": ["u1", "u2"]}))
    for n in range(10_000):
        meter.request(
            0,
            "request_lease_released",
            f"acme/m{n}/chat",
            group=f"g{n}",
            labels={"user": f"u{n}"},
            request_lease_id=f"l{n}",
        )
    figures = meter.figures(ENDED)
    assert {labels["penstock.label.user"] for labels, _ in figures} == {"u1", "u2", OTHER}
    assert len(figures) == 3
    assert sum(count for _, count in figures) == 10_000


def test_combinations_of_listed_values_have_a_bound_too() -> None:
    values = [f"v{n}" for n in range(200)]
    labels = Labels(OtelConfig(groups=[f"g{n}" for n in range(200)], labels={"v": values}))
    found = set()
    for number in range(10_000):
        event = RuntimeEvent(
            stream="request",
            event_kind="x",
            captured_at_monotonic=0,
            sequence=1,
            group=f"g{number // 50}",
            labels={"v": values[number % 200]},
        )
        found.add(labels.whose(event))
    assert len(found) == MOST_WHOSE + 1
    assert tuple((name, OTHER) for name, _ in next(iter(found))) in found


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"labels": {"": ["a"]}}, ("labels", "")),
        ({"labels": {"le\n": ["a"]}}, ("labels", "le\n")),
        ({"labels": {"0day": ["a"]}}, ("labels", "0day")),
        ({"labels": {"téam": ["a"]}}, ("labels", "téam")),
        ({"labels": {"a-b": ["x"], "A.B": ["x"]}}, ("labels", "A.B")),
        ({"labels": {"a": [""]}}, ("labels", "a")),
        ({"labels": {"a": [str(n) for n in range(1_001)]}}, ("labels", "a")),
        ({"labels": {f"l{n}": ["a"] for n in range(9)}}, ("labels",)),
        ({"groups": [""]}, ("groups",)),
        ({"groups": [str(n) for n in range(1_001)]}, ("groups",)),
    ],
)
def test_a_list_that_can_be_no_list_of_labels_is_refused_at_its_key(config: Any, path: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        OtelConfig(**config)
    assert [problem.path for problem in caught.value.records] == [path]


secrets = st.text(min_size=1, max_size=12).map(lambda text: f"secret-{text}")
STREAMS: Final[list[Literal["scheduler", "request"]]] = ["scheduler", "request"]
KINDS: Final = {stream: sorted({event.event_kind for event in one_of_each_event(stream)}) for stream in STREAMS}


@st.composite
def events_full_of_secrets(draw: st.DrawFn) -> RuntimeEvent:
    """Events in which every field that a caller or a provider can fill says something that must not get out."""
    stream = draw(st.sampled_from(STREAMS))
    return RuntimeEvent(
        stream=stream,
        event_kind=draw(st.sampled_from(KINDS[stream])),
        captured_at_monotonic=draw(st.floats(0, 1e6)),
        sequence=draw(st.integers(1, 10**6)),
        correlation=RuntimeCorrelation(*[draw(secrets) for _ in range(7)]),
        task_id=draw(secrets),
        task_execution_id=draw(secrets),
        task_lease_id=draw(secrets),
        request_attempt_id=draw(secrets),
        request_lease_id=draw(secrets),
        resource=draw(st.builds("acme/{}/{}".format, secrets, st.sampled_from(["chat", "secret-domain"]))),
        group=draw(secrets),
        reason_or_outcome=draw(secrets),
        snapshot={draw(secrets): draw(secrets)},
        diagnostics={"algorithm": draw(secrets), "after": 3.0, "input_tokens": 3, draw(secrets): draw(secrets)},
        labels={draw(secrets): draw(secrets), "team": draw(secrets)},
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(events_full_of_secrets(), max_size=12))
def test_no_label_shows_an_id_a_raw_model_or_a_group(events: list[RuntimeEvent]) -> None:
    meter = Meter(OtelConfig(groups=["a"], labels={"team": ["red"]}, model_labels={"small-2026": "small"}))
    allowed = {*KINDS["scheduler"], *KINDS["request"], *map(str, RequestDomain), "acme", "small", OTHER}
    allowed |= {"input", "output", "embeddings", "completed"}
    for event in events:
        {"scheduler": meter.plugin.penstock_scheduler_event, "request": meter.plugin.penstock_request_event}[
            event.stream
        ](event)
    for _, point in meter.points():
        assert set(point.attributes) <= LABEL_KEYS | {"penstock.label.team"}
        assert set(point.attributes.values()) <= allowed
