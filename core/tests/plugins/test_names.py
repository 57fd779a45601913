"""Names in a configuration that name nothing are told with what was probably meant, and as soon as that is certain."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

import penstock
from penstock import (
    ConfigError,
    PluginManager,
    Problem,
    ProviderKey,
    ProviderModelKey,
    RequestAdmissionItem,
    RequestResourceKey,
    Settings,
    hookimpl,
    load_config,
    unknown_in,
)

PROVIDERS = {
    "acme": {"domains": ["rerank"], "models": {"fast": {"max_parallel_requests": 2, "model": "acme-fast-2"}}},
    "zeta": {"models": {"one/two": {"max_parallel_requests": 2}}},
}


@attrs.frozen
class Watched:
    provider: str = "acme"


class Watcher:
    """A plugin whose table names a provider."""

    plugin_name = "watcher"
    Config = Watched

    def __init__(self, config: Watched) -> None:
        self.config = config

    @hookimpl
    def penstock_check_names(self, settings: Settings) -> list[Problem]:
        unknown = unknown_in(ProviderKey(self.config.provider), settings)
        return [] if unknown is None else [Problem(("provider",), unknown)]


def told(tables: Mapping[str, Any], *extra: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        PluginManager.from_config(load_config(tables).config, extra=extra)
    return [line.removeprefix("<mapping>: ") for line in caught.value.problems]


@pytest.mark.parametrize(
    ("group", "what"),
    [
        ("locl/reports", "of a kind 'locl'; did you mean 'local'?"),
        ("reports", "of a kind 'reports'; did you mean 'local/reports'?"),
        ("local", "names no group that can be; write it as local/NAME"),
        ("local/", "names no group that can be; write it as local/NAME"),
        ("model/acme/fast", "write it as model/PROVIDER/MODEL/DOMAIN"),
        ("custom_model/mine/rank", "write it as custom_model/NAMESPACE/NAME/VERSION"),
    ],
)
@pytest.mark.parametrize("providers", [{}, PROVIDERS], ids=["without providers", "with providers"])
def test_a_group_that_cannot_be_is_told_in_any_case(providers: Mapping[str, Any], group: str, what: str) -> None:
    (problem,) = told({"scheduler": {"admitted_limits": {group: 1}}, "providers": providers})
    key = f'"{group}"' if "/" in group else group
    assert problem.startswith(f"scheduler.admitted_limits.{key}: names no group that can be")
    assert problem.endswith(what)


@pytest.mark.parametrize(
    ("group", "what"),
    [
        ("model/acne/fast/chat", "names no provider that is known: 'acne'; did you mean 'acme'?"),
        ("model/acme/fats/chat", "names no model of acme that is known: 'fats'; did you mean 'acme-fast-2'?"),
        ("model/acme/fast/chta", "names no domain of acme: 'chta'; did you mean 'chat'?"),
        ("model/zeta/one/chat", "names no model of zeta that is known: 'one'; did you mean 'one/two'?"),
    ],
)
def test_a_group_of_a_provider_or_model_that_is_not_there_is_told(group: str, what: str) -> None:
    (problem,) = told({"scheduler": {"admitted_limits": {group: 1}}, "providers": PROVIDERS})
    assert problem == f'scheduler.admitted_limits."{group}": {what}'


@pytest.mark.parametrize(
    "group",
    [
        "local/a/b", "model/acme/fast/rerank", "model/acme/acme-fast-2/chat", "model/zeta/one/two/chat",
        "custom_model/mine/rank/1",
    ],
)  # fmt: skip
def test_a_group_that_can_be_is_taken(group: str) -> None:
    config = load_config({"scheduler": {"admitted_limits": {group: 1}}, "providers": PROVIDERS}).config
    assert PluginManager.from_config(config).unresolved == ()


def test_all_wrong_names_are_told_together() -> None:
    tables = {
        "scheduler": {"admitted_limits": {"reports": 1, "model/acne/fast/chat": 1}},
        "providers": PROVIDERS,
        "plugins": {"watcher": {"provider": "acmee"}, "sinks": ["jsnol"]},
    }
    paths = [problem.partition(": ")[0] for problem in told(tables, Watcher)]
    assert paths == [
        "plugins.sinks",
        "scheduler.admitted_limits.reports",
        'scheduler.admitted_limits."model/acne/fast/chat"',
        "plugins.watcher.provider",
    ]


def test_settings_tell_the_providers_and_models_there_are() -> None:
    manager = PluginManager.from_config(load_config({"providers": PROVIDERS}).config, extra=[Watcher])
    settings = manager.settings_for("watcher")
    assert settings.providers["acme"] == ("chat", "embedding", "image", "healthcheck", "rerank")
    fast = ProviderModelKey("acme", "acme-fast-2")
    assert (settings.models["acme/fast"], settings.models["acme/acme-fast-2"]) == (fast, fast)


def test_a_model_is_named_by_its_id() -> None:
    settings = PluginManager.from_config(load_config({"providers": PROVIDERS}).config).settings_for("core")
    assert unknown_in(ProviderModelKey("acme", "acme-fast-2"), settings) is None
    assert unknown_in(RequestResourceKey("acme", "acme-fast-2", "rerank"), settings) is None
    named = unknown_in(ProviderModelKey("acme", "fast"), settings)
    assert named == "names a model by 'fast', which is a name for it here; write its id, 'acme-fast-2'"


def test_a_plugin_that_cannot_check_its_names_ends_the_set_up() -> None:
    class Broken:
        plugin_name = "broken"

        @hookimpl
        def penstock_check_names(self) -> None:
            raise ZeroDivisionError

    with pytest.raises(penstock.PluginError, match="'broken': penstock_check_names failed: ZeroDivisionError"):
        PluginManager.from_config(load_config({}).config, extra=[Broken()])


# -- where a program makes its models known ----------------------------------------------------------------------------

UNKNOWN = {
    "scheduler": {"admitted_limits": {"model/acme/fast/chat": 1}},
    "plugins": {"watcher": {"provider": "acme"}, "sinks": []},
}


async def test_a_name_that_a_program_may_make_known_is_warned_of(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "penstock.run"):
        async with penstock.open_scheduler(UNKNOWN, plugins=[Watcher]) as scheduler:
            assert "not known yet: <mapping>: plugins.watcher.provider: names no provider" in scheduler.explain()
            scheduler.requests.register("acme", "fast", cap=1)
            async with penstock.request("acme/fast"):
                pass
    warned = [record.getMessage() for record in caplog.records]
    assert len(warned) == 2
    assert "plugins.watcher.provider: names no provider that is known: 'acme'; known are none" in warned[1]
    assert scheduler.report is not None
    assert "names" not in scheduler.report.diagnostics


async def test_a_name_that_nobody_has_made_known_is_an_error_of_every_call(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(UNKNOWN, plugins=[Watcher]) as scheduler:
        scheduler.requests.register("acmes", "fast", cap=1)
        for _ in range(2):
            with pytest.raises(ConfigError) as caught:
                async with penstock.request("acmes/fast"):
                    raise AssertionError("a budget of nothing went unnoticed")
            assert [record.path[:2] for record in caught.value.records] == [
                ("scheduler", "admitted_limits"),
                ("plugins", "watcher"),
            ]
            assert "did you mean 'acmes'?" in caught.value.problems[1]
        item = RequestAdmissionItem(RequestResourceKey("acmes", "fast", "chat"))
        with pytest.raises(ConfigError):
            scheduler.requests.try_acquire(item)
        with pytest.raises(ConfigError):
            await scheduler.requests.acquire(item)
        scheduler.requests.register("acme", "fast", cap=1)
        async with penstock.request("acmes/fast"):
            await trio.lowlevel.checkpoint()


async def test_names_that_nobody_made_known_stand_in_the_report(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(UNKNOWN, plugins=[Watcher]) as scheduler:
        await scheduler.start_soon(trio.sleep, 1)
    assert scheduler.report is not None
    first, second = scheduler.report.diagnostics["names"]
    assert first.startswith("<mapping>: scheduler.admitted_limits")
    assert second.startswith("<mapping>: plugins.watcher.provider")
