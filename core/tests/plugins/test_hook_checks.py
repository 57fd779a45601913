"""A mistake in a plugin is reported when it is registered, with what would be right."""

# mypy: disable-error-code="penstock"

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import wraps
from types import ModuleType
from typing import Any

import pytest

from penstock import ConfigError, PenstockConfig, PluginError, PluginManager, hookimpl
from penstock.plugins.discovery import Installed
from penstock.plugins.hook_checks import check_hooks, hook_arguments, hooks_of, implementations
from penstock.plugins.hookspecs import HOOKS


class Sound:
    @hookimpl
    def penstock_task_eligible(self, task: Any, now: float) -> None: ...

    @staticmethod
    @hookimpl
    def penstock_request_eligible(item: Any, settings: Any, extra: int = 3) -> None: ...

    @classmethod
    @hookimpl(trylast=True)
    def penstock_classify_outcome(cls, response: Any) -> None: ...

    @hookimpl(specname="penstock_run_started")
    def started(self) -> None: ...

    @hookimpl(optionalhook=True)
    def penstock_of_a_later_version(self) -> None: ...

    def plain(self) -> None: ...

    @property
    def penstock_like_property(self) -> str:
        raise RuntimeError("must not be asked")


def test_a_sound_plugin_has_no_problems_as_a_class_and_as_an_object() -> None:
    assert check_hooks(Sound) == []
    assert check_hooks(Sound()) == []
    assert [made.hook for made in implementations(Sound)] == [
        "penstock_task_eligible",
        "penstock_request_eligible",
        "penstock_classify_outcome",
        "penstock_run_started",
        "penstock_of_a_later_version",
    ]


def passes_on(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def inner(*args: Any) -> Any:
        return function(*args)

    return inner


class Misspelt:
    @hookimpl
    def penstock_task_eligable(self, task: Any) -> None: ...


class MisspeltAndUnmarked:
    def penstock_task_eligable(self, task: Any) -> None: ...


class MarkedUnderAnotherName:
    @hookimpl
    def task_eligible(self, task: Any) -> None: ...


class Unmarked:
    def penstock_task_eligible(self, task: Any) -> None: ...


class Async:
    @hookimpl
    async def penstock_task_eligible(self, task: Any) -> None: ...


class AsyncUnderneath:
    @hookimpl
    @passes_on
    async def penstock_run_started(self) -> None: ...


class AsyncGenerator:
    @hookimpl
    async def penstock_task_eligible(self, task: Any) -> AsyncIterator[None]:
        yield None


class Generator:
    @hookimpl
    def penstock_task_eligible(self, task: Any) -> Iterator[None]:
        yield None


class Wrapper:
    @hookimpl(wrapper=True)
    def penstock_task_eligible(self, task: Any) -> Iterator[None]:
        yield None


class OldWrapper:
    @hookimpl(hookwrapper=True)
    def penstock_scheduler_event(self, event: Any) -> Iterator[None]:
        yield None


class UnknownArgument:
    @hookimpl
    def penstock_task_eligible(self, tsk: Any, now: float) -> None: ...


class CatchAll:
    @hookimpl
    def penstock_run_started(self, **all_of_it: Any) -> None: ...


class WithDefault:
    @hookimpl
    def penstock_request_eligible(self, item: Any, now: float = 0.0) -> None: ...


class KeywordOnly:
    @hookimpl
    def penstock_request_eligible(self, item: Any, *, now: float) -> None: ...


class First:
    @hookimpl(tryfirst=True)
    def penstock_task_policy(self, settings: Any) -> None: ...


class Twice:
    @hookimpl
    def penstock_run_started(self) -> None: ...

    @hookimpl(specname="penstock_run_started")
    def also(self) -> None: ...


class Nothing:
    pass


REFUSED: list[tuple[type, str]] = [
    (Misspelt, "penstock_task_eligable is no hook; did you mean 'penstock_task_eligible'?"),
    (
        MisspeltAndUnmarked,
        "penstock_task_eligable is no hook (did you mean 'penstock_task_eligible'?), "
        "and the names penstock_… are for hooks",
    ),
    (MarkedUnderAnotherName, "task_eligible is no hook; did you mean 'penstock_task_eligible'?"),
    (Unmarked, "penstock_task_eligible lacks its mark; put @hookimpl (from penstock import hookimpl) above it"),
    (Async, "penstock_task_eligible is async; hooks are synchronous: make it a plain def that decides at once"),
    (AsyncUnderneath, "penstock_run_started is async; hooks are synchronous: make it a plain def that decides at once"),
    (
        AsyncGenerator,
        "penstock_task_eligible is async; hooks are synchronous: make it a plain def that decides at once",
    ),
    (Generator, "penstock_task_eligible yields; a hook answers with return"),
    (
        Wrapper,
        "penstock_task_eligible is a wrapper; each plugin is asked by itself, so there is nothing to wrap: "
        "use a plain @hookimpl",
    ),
    (
        OldWrapper,
        "penstock_scheduler_event is a wrapper; each plugin is asked by itself, so there is nothing to wrap: "
        "use a plain @hookimpl",
    ),
    (UnknownArgument, "penstock_task_eligible: tsk is no argument of this hook; did you mean 'task'?"),
    (
        CatchAll,
        "penstock_run_started: all_of_it takes whatever is given, and nothing would be; name what you want of run",
    ),
    (
        WithDefault,
        "penstock_request_eligible: now would never be given: take its default or the * before it out",
    ),
    (
        KeywordOnly,
        "penstock_request_eligible: now would never be given: take its default or the * before it out",
    ),
    (
        First,
        "penstock_task_policy is marked tryfirst; its order is that of the list plugins.task_policies: "
        "take the mark out",
    ),
    (Twice, "also and penstock_run_started implement penstock_run_started; one of them must go"),
    (Nothing, "it has no hook; mark a function with @hookimpl (from penstock import hookimpl)"),
]


@pytest.mark.parametrize(("plugin", "reported"), REFUSED, ids=[plugin.__name__ for plugin, _ in REFUSED])
def test_a_mistake_is_reported_with_what_would_be_right(plugin: type, reported: str) -> None:
    assert check_hooks(plugin) == [reported]
    assert check_hooks(plugin()) == [reported]


@pytest.mark.parametrize("plugin", [plugin for plugin, _ in REFUSED], ids=lambda plugin: plugin.__name__)
def test_a_mistaken_plugin_is_refused_at_registration_by_its_name(plugin: type) -> None:
    with pytest.raises(PluginError) as caught:
        PluginManager.from_config(PenstockConfig(), extra=[plugin], installed=Installed())
    assert caught.value.plugin == plugin.__name__


def test_two_mistaken_plugins_are_reported_together() -> None:
    with pytest.raises(ConfigError) as caught:
        PluginManager.from_config(PenstockConfig(), extra=[Misspelt, Async], installed=Installed())
    assert sorted(line.split(":")[0] for line in caught.value.problems) == ["plugin 'Async'", "plugin 'Misspelt'"]


def test_a_function_that_a_module_imports_is_not_its_own() -> None:
    module = ModuleType("rules")
    module.penstock_from_elsewhere = hooks_of  # type: ignore[attr-defined]
    assert check_hooks(module) == ["it has no hook; mark a function with @hookimpl (from penstock import hookimpl)"]


def test_functions_set_on_an_object_are_its_hooks_too() -> None:
    class Holder:
        pass

    @hookimpl
    def penstock_run_started(run: Any) -> None: ...

    holder = Holder()
    holder.penstock_run_started = penstock_run_started  # type: ignore[attr-defined]
    assert check_hooks(holder) == []
    assert hooks_of(holder) == ["penstock_run_started"]


def test_the_arguments_of_a_hook_are_those_of_its_specification() -> None:
    assert hook_arguments("penstock_task_eligible") == ("task", "queue", "admission", "now", "settings")
    assert hook_arguments("penstock_run_started") == ("run",)
    assert [hook for hook in HOOKS if not hook_arguments(hook)] == ["penstock_tables"]
