"""Promises: what a plugin says of a whole run, checked at the start and for each plan to change the run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
import pytest

from penstock import ConfigError, PluginError, PluginManager, Problem, Promise, RunPlan, Settings, hookimpl, load_config
from penstock.plugins.discovery import Installed

TEXT = "it is always quiet"


@attrs.frozen
class Wish:
    text: str = TEXT


class Promising:
    """Promises what its table says; `check` says what breaks it."""

    plugin_name = "promising"
    Config = Wish
    check: Callable[[RunPlan], Any] = staticmethod(lambda plan: None)

    def __init__(self, config: Wish) -> None:
        self.config = config

    @hookimpl
    def penstock_promises(self, settings: Settings) -> Any:
        return [Promise(self.config.text, self.check)] if self.config.text else None


def promising(check: Callable[[RunPlan], Any]) -> type[Promising]:
    return type("Checked", (Promising,), {"check": staticmethod(check)})


class Answers:
    plugin_name = "answers"

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    @hookimpl
    def penstock_promises(self) -> Any:
        return self.answer() if callable(self.answer) else self.answer


def managed(tables: Mapping[str, Any] | None, *plugins: object) -> PluginManager:
    return PluginManager.from_config(load_config(tables).config, extra=plugins, installed=Installed())


def no_gpu(plan: RunPlan) -> Iterable[Problem]:
    if "gpu" in plan.config.scheduler.resources:
        yield Problem(("scheduler", "resources", "gpu"), "must not be there")


def test_what_breaks_a_promise_is_refused_with_the_promise_and_who_made_it() -> None:
    with pytest.raises(ConfigError) as caught:
        managed({"scheduler": {"resources": {"gpu": 1}}}, promising(no_gpu))
    (line,) = caught.value.problems
    assert line == f"<mapping>: scheduler.resources.gpu: must not be there ('promising' promises: {TEXT})"


def test_what_breaks_a_promise_is_told_with_all_other_problems() -> None:
    tables = {"scheduler": {"resources": {"gpu": 1}}, "plugins": {"task_policies": ["unheard"]}}
    with pytest.raises(ConfigError) as caught:
        managed(tables, promising(no_gpu))
    assert {record.path for record in caught.value.records} == {
        ("scheduler", "resources", "gpu"),
        ("plugins", "task_policies"),
    }


def test_a_promise_that_holds_is_told_in_words() -> None:
    assert managed(None, promising(no_gpu)).promises == {"promising": (TEXT,)}
    assert managed(None, Answers(None)).promises == {}
    assert managed(None, Answers([])).promises == {}


class Runs:
    plugin_name = "runs"

    @hookimpl
    def penstock_task_runner(self) -> None: ...


def test_a_check_sees_the_whole_plan() -> None:
    plans: list[RunPlan] = []
    managed({"scheduler": {"resources": {"gpu": 3}}}, promising(plans.append), Runs())
    managed({"plugins": {"promising": {"text": "x"}}}, promising(plans.append))
    first, second = plans
    assert first.config.scheduler.resources == {"gpu": 3}
    assert first.plugins == {"promising": Wish(), "runs": None}
    assert ("runs",) in first.asked.values()
    assert "runs" in first.runners
    assert second.runners == ("nursery",)
    assert second.plugins == {"promising": Wish("x")}
    assert second.held == {}


def fails(plan: RunPlan) -> None:
    raise ZeroDivisionError


async def waits(plan: RunPlan) -> None: ...


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (fails, f"the check of its promise, {TEXT!r}, failed: ZeroDivisionError"),
        (waits, f"the check of its promise, {TEXT!r}, failed: "),
        (lambda plan: 7, f"the check of its promise, {TEXT!r}, failed: TypeError"),
        (lambda plan: ["no"], f"the check of its promise, {TEXT!r}, must give a Problem for each thing, not 'no'"),
    ],
)  # fmt: skip
def test_an_error_of_a_check_names_the_plugin_and_the_promise(check: Callable[[RunPlan], Any], words: str) -> None:
    with pytest.raises(PluginError) as caught:
        managed(None, promising(check))
    assert caught.value.plugin == "promising"
    assert words in str(caught.value)


def too_much() -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (too_much, "penstock_promises failed: ZeroDivisionError"),
        (5, "penstock_promises failed: TypeError"),
        (["quiet"], "penstock_promises must return a list of Promise, not of 'quiet'"),
        (lambda: [Promise("", fails)], "the text of a promise must be a non-empty string"),
        (lambda: [Promise(TEXT, "check")], "check of a promise must be a function of a RunPlan, not 'check'"),  # type: ignore[arg-type]
    ],
)
def test_an_answer_that_is_no_promise_names_the_plugin(answer: Any, words: str) -> None:
    with pytest.raises(PluginError) as caught:
        managed(None, Answers(answer))
    assert caught.value.plugin == "answers"
    assert words in str(caught.value)


def test_who_promises_cannot_be_in_shadow() -> None:
    with pytest.raises(ConfigError, match="this plugin cannot be in shadow, since it makes promises"):
        managed({"plugins": {"promising": {"shadow": True}}}, promising(no_gpu))


# -- while a run goes on


def refused(manager: PluginManager, tables: Mapping[str, Any] | None, *plugins: object, **held: int) -> list[str]:
    before = manager.promises
    with pytest.raises(ConfigError) as caught:
        manager.plan(load_config(tables).config, extra=plugins, held=held)
    assert manager.promises == before
    return [line.removeprefix("<mapping>: ").removeprefix("<defaults>: ") for line in caught.value.problems]


def test_a_plan_that_breaks_a_promise_is_refused() -> None:
    plugin = promising(no_gpu)
    manager = managed(None, plugin)
    manager.freeze()
    assert refused(manager, {"scheduler": {"resources": {"gpu": 1}}}, plugin)[0].startswith("scheduler.resources.gpu")
    manager.plan(load_config({"scheduler": {"resources": {"disk": 1}}}).config)


@pytest.mark.parametrize("text", ["", "it is mostly quiet"])
def test_what_was_promised_stays_promised(text: str) -> None:
    plugin = promising(no_gpu)
    manager = managed(None, plugin)
    manager.freeze()
    (line,) = refused(manager, {"plugins": {"promising": {"text": text}}}, plugin)
    assert line.startswith(f"plugins.promising: would take back a promise while the run goes on: {TEXT}; put it back")


def test_who_has_promised_cannot_be_taken_out_nor_replaced() -> None:
    manager = managed(None, promising(no_gpu))
    manager.freeze()
    assert refused(manager, None)[0].startswith("plugins: 'promising' cannot be taken out while the run goes on: ")

    class Promising(Runs):
        plugin_name = "promising"

    assert refused(manager, None, Promising())[0].startswith("plugins.promising: would take back a promise")


def test_until_the_run_begins_nothing_is_promised() -> None:
    manager = managed(None, promising(no_gpu))
    assert manager.plan(extra=()).plugins.promises == {}


def test_a_plugin_that_comes_under_way_sees_what_is_held() -> None:
    def nothing_held(plan: RunPlan) -> Iterable[Problem]:
        return [Problem(("scheduler",), f"{resource} is held") for resource, amount in plan.held.items() if amount]

    manager = managed(None)
    manager.freeze()
    plugin = promising(nothing_held)
    assert refused(manager, None, plugin, gpu=1, disk=0)[0].startswith("scheduler: gpu is held")
    manager.carry_out(manager.plan(extra=[plugin], held={"gpu": 0}))
    assert manager.promises == {"promising": (TEXT,)}
    assert refused(manager, None)[0].startswith("plugins: 'promising' cannot be taken out")
