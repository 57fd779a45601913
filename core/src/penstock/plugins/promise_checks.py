"""Asking plugins what they promise, and their promises what of a plan would break them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from penstock.plugins.foreign_code import foreign_code
from penstock.plugins.hook_calls import BoundHook
from penstock.plugins.promises import Promise, RunPlan
from penstock.words.checks import shown
from penstock.words.errors import PluginError
from penstock.words.plugin_failures import refuse_coroutine
from penstock.words.problems import Problem
from penstock.words.settings import Settings

__all__ = ["broken", "promises_of", "taken_back"]


def promises_of(hook: BoundHook, settings: Settings) -> tuple[Promise, ...]:
    """What a plugin promises by its `penstock_promises`. Raises `PluginError`."""
    with foreign_code(hook.plugin, "penstock_promises failed"):
        answer = hook(settings=settings)
        refuse_coroutine(answer)
        made = tuple(answer or ())
    for each in made:
        if not isinstance(each, Promise):
            raise PluginError(hook.plugin, f"penstock_promises must return a list of Promise, not of {shown(each)}")
    return made


def broken(plugin: str, promises: Iterable[Promise], plan: RunPlan) -> Iterator[Problem]:
    """What of a plan breaks these promises of a plugin. Raises `PluginError` if one cannot say."""
    for promise in promises:
        with foreign_code(plugin, f"the check of its promise, {promise.text!r}, failed"):
            answer = promise.check(plan)
            refuse_coroutine(answer)
            found: tuple[object, ...] = tuple(answer or ())
        for each in found:
            if not isinstance(each, Problem):
                what = f"the check of its promise, {promise.text!r}, must give a Problem for each thing"
                raise PluginError(plugin, f"{what}, not {shown(each)}")
            what = f"{each.what} ({plugin!r} promises: {promise.text})"
            yield Problem(each.path, what, plan.config.source)


def taken_back(plugin: str, before: Iterable[Promise], now: Iterable[Promise], plan: RunPlan) -> Iterator[Problem]:
    """What a plugin has promised, and would not promise any more."""
    said = {promise.text for promise in now}
    for promise in before:
        if promise.text not in said:
            gone = plugin not in plan.plugins
            fault = f"{plugin!r} cannot be taken out" if gone else "would take back a promise"
            what = f"{fault} while the run goes on: {promise.text}; put it back as it was, or let this run end"
            path = ("plugins",) if gone else ("plugins", plugin)
            yield Problem(path, f"{what} and start another", plan.config.source)
