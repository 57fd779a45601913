"""The compiled call answers as pluggy would, and fails closed where pluggy would raise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pluggy
import pytest
from hypothesis import given, strategies as st

from penstock import (
    NEVER,
    AdmissionError,
    At,
    ConfigError,
    Denied,
    PenstockConfig,
    PenstockError,
    PluginError,
    PluginManager,
    Problem,
    ProviderKey,
    Released,
    RequestReleaseOutcome,
    ResponseFacts,
    RunInfo,
    RunReport,
    Settings,
    Signal,
    StallError,
    WallClock,
    hookimpl,
    load_config,
)
from penstock.plugins.compiled_hooks import CompiledHooks
from penstock.plugins.discovery import Installed
from penstock.plugins.hook_calls import first_answer
from penstock.plugins.hook_checks import hook_arguments
from penstock.plugins.hookspecs import HOOKS, PenstockSpec

ACME = ProviderKey("acme")
RULES = sorted(hook for hook, facts in HOOKS.items() if facts.kind == "rule")


def hooks_of(*plugins: object, on_failure: Any = None) -> CompiledHooks:
    manager = PluginManager.from_config(PenstockConfig(), extra=plugins, installed=Installed())
    manager.bind(on_failure=on_failure)
    return manager.freeze()


def ask_task(hooks: CompiledHooks, now: float = 1.0) -> Denied | None:
    assert hooks.task_eligible is not None
    return hooks.task_eligible("task", "queue", "admission", now)  # type: ignore[arg-type]


def ask_request(hooks: CompiledHooks, now: float = 1.0) -> Denied | None:
    assert hooks.request_eligible is not None
    return hooks.request_eligible("item", "pressure", now)  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------------- as pluggy would


def implementation(hook: str, arguments: tuple[str, ...], answer: object, asked: list[object], name: str) -> Any:
    """A function that takes exactly these arguments, notes what it was given, and gives this answer."""
    source = f"lambda {', '.join(arguments)}: note(({', '.join(arguments)}))"

    def note(given: object) -> object:
        asked.append((name, given))
        return answer

    return eval(source, {"note": note})


@st.composite
def plugin_sets(draw: st.DrawFn) -> tuple[str, list[tuple[tuple[str, ...], object, dict[str, bool]]]]:
    hook = draw(st.sampled_from(RULES))
    one = st.tuples(
        st.permutations(hook_arguments(hook)).flatmap(
            lambda names: st.integers(0, len(names)).map(lambda count: tuple(names[:count]))
        ),
        st.sampled_from([None, None, "no", 0, ""]),
        st.sampled_from([{}, {"tryfirst": True}, {"trylast": True}]),
    )
    return hook, draw(st.lists(one, max_size=5))


@given(plugin_sets())
def test_a_compiled_rule_asks_and_answers_as_pluggy_does(
    case: tuple[str, list[tuple[tuple[str, ...], object, dict[str, bool]]]],
) -> None:
    hook, implementations = case
    manager = pluggy.PluginManager("penstock")
    manager.add_hookspecs(PenstockSpec)
    asked: list[object] = []
    mark: Any = hookimpl
    for at, (arguments, answer, options) in enumerate(implementations):
        function = implementation(hook, arguments, answer, asked, f"p{at}")
        manager.register(type("Holder", (), {hook: staticmethod(mark(**options)(function))}), f"p{at}")
    given_values = {name: f"<{name}>" for name in hook_arguments(hook)}
    settings: Any = {f"p{at}": given_values.get("settings") for at in range(len(implementations))}
    compiled = first_answer(
        getattr(manager.hook, hook),
        settings=settings,
        check=lambda answer, by, now: ("checked", answer),
        failed=lambda error, by, now, function: pytest.fail(f"{by} raised {error!r}"),
    )
    by_pluggy = getattr(manager.hook, hook)(**given_values)
    asked_by_pluggy, asked[:] = list(asked), []
    first = by_pluggy if HOOKS[hook].first_result else (by_pluggy[0] if by_pluggy else None)
    if compiled is None:
        assert implementations == []
        return
    answer = compiled(*(value for name, value in given_values.items() if name != "settings"))
    assert answer == (None if first is None else ("checked", first))
    # Asked in the same order with the same arguments; it stops at the first answer, where pluggy may go on.
    assert asked == asked_by_pluggy[: len(asked)]
    assert first is not None or len(asked) == len(asked_by_pluggy)


def test_a_rule_that_no_plugin_implements_is_no_call_at_all() -> None:
    hooks = hooks_of()
    assert (hooks.task_eligible, hooks.request_eligible, hooks.classify_outcome) == (None, None, None)


def test_the_first_refusal_wins_in_the_order_of_the_list() -> None:
    asked: list[str] = []

    def rule(name: str, answer: Denied | None) -> object:
        class Rule:
            plugin_name = name

            @hookimpl
            def penstock_task_eligible(self, now: float) -> Denied | None:
                asked.append(name)
                return answer

        return Rule()

    no = Denied("policy_denial", {Signal("x")})
    plugins = [rule("a", no), rule("b", None), rule("c", no)]
    config = load_config({"plugins": {"task_policies": ["b", "c", "a"]}}).config
    hooks = PluginManager.from_config(config, extra=plugins, installed=Installed()).freeze()
    denied = ask_task(hooks)
    assert denied is not None
    assert denied.by == "c"
    assert asked == ["b", "c"]


def test_each_plugin_is_given_its_own_settings() -> None:
    seen: dict[str, Settings] = {}

    class One:
        @hookimpl
        def penstock_task_eligible(self, settings: Settings) -> None:
            seen["One"] = settings

    class Two:
        @hookimpl
        def penstock_task_eligible(self, settings: Settings) -> None:
            seen["Two"] = settings

    manager = PluginManager.from_config(PenstockConfig(), extra=[One(), Two()], installed=Installed())
    clock = WallClock(started_at=3.0)
    manager.bind(clock=clock)
    ask_task(manager.freeze())
    assert {name: settings.plugin for name, settings in seen.items()} == {"One": "One", "Two": "Two"}
    assert seen["One"].clock is clock


# ------------------------------------------------------------------------------------------------------ failing closed


def rule_that(answer: Callable[[], Any]) -> object:
    class Rule:
        @hookimpl
        def penstock_task_eligible(self, task: Any) -> Any:
            return answer()

        @hookimpl
        def penstock_request_eligible(self, item: Any) -> Any:
            return answer()

    return Rule()


def raises() -> Denied:
    raise ValueError("secret words")


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (raises, "raised ValueError at test_compiled_hooks.py:"),
        (lambda: True, "must answer with Denied or None, not bool"),
        (lambda: Denied("shutdown", set()), "refused without saying what would end it"),
        (lambda: Denied("too tired", {Signal("x")}), "raised ConfigError at test_compiled_hooks.py:"),  # type: ignore[arg-type]
        (lambda: Denied("shutdown", {At(1.0)}), "refused until 1.0, which is not after now (1.0)"),
        (lambda: Denied("shutdown", {NEVER, Released("x")}), "NEVER stands alone"),
    ],
)
def test_a_rule_that_fails_refuses_until_reconfigured_and_is_reported_each_time(
    answer: Callable[[], Any], detail: str
) -> None:
    reported: list[tuple[str, str]] = []
    hooks = hooks_of(
        rule_that(answer), on_failure=lambda plugin, hook, error, function: reported.append((plugin, hook))
    )
    for reason, denied in (("policy_denial", ask_task(hooks)), ("hard_policy_denial", ask_request(hooks))):
        assert denied is not None
        assert (denied.reason, denied.by, denied.until) == (reason, "Rule", frozenset({Signal("reconfigured")}))
        assert denied.failed_at == 1.0
        assert denied.detail.startswith(detail)
        assert "secret" not in str(denied)
    ask_task(hooks)
    assert [hook for _, hook in reported] == [
        "penstock_task_eligible",
        "penstock_request_eligible",
        "penstock_task_eligible",
    ]


def test_a_later_rule_that_fails_is_named_and_not_the_first() -> None:
    class Calm:
        @hookimpl
        def penstock_task_eligible(self) -> None: ...

    denied = ask_task(hooks_of(Calm(), rule_that(raises)))
    assert denied is not None
    assert denied.by == "Rule"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_ordinary_exception_fails_closed_too(error: type[BaseException]) -> None:
    def stops() -> None:
        raise error

    denied = ask_task(hooks_of(rule_that(stops)))
    assert denied is not None
    assert denied.detail.startswith(f"raised {error.__name__} at test_compiled_hooks.py:")


# ------------------------------------------------------------------------------------------------------ classification


def classifier_that(answer: Callable[[], Any], name: str = "classifier") -> object:
    class Classifier:
        plugin_name = name

        @hookimpl
        def penstock_classify_outcome(self, response: Any) -> Any:
            return answer()

    return Classifier()


def test_the_first_opinion_on_an_outcome_holds() -> None:
    outcome = RequestReleaseOutcome(kind="rate_limited")
    other = RequestReleaseOutcome(kind="success")
    hooks = hooks_of(
        classifier_that(lambda: None, "a"), classifier_that(lambda: outcome, "b"), classifier_that(lambda: other, "c")
    )
    assert hooks.classify_outcome is not None
    assert hooks.classify_outcome(ResponseFacts(status=200), None) is outcome


@pytest.mark.parametrize("answer", [raises, lambda: "success"])
def test_a_classification_that_fails_is_no_opinion(answer: Callable[[], Any]) -> None:
    reported: list[tuple[str, str]] = []
    hooks = hooks_of(classifier_that(answer), on_failure=lambda plugin, hook, *_: reported.append((plugin, hook)))
    assert hooks.classify_outcome is not None
    assert hooks.classify_outcome(None, ValueError()) is None
    assert reported == [("classifier", "penstock_classify_outcome")]


# ---------------------------------------------------------------------------------------------------------- factories


class AnyLimiter:
    def __init__(self, scope: object) -> None:
        self.scope = scope

    check = acquire = release = observe = set_cap = next_change = snapshot = lambda self, *_: None


def test_factories_are_asked_in_order_and_none_means_not_here() -> None:
    def limiter(name: str, *, applies: bool) -> object:
        class Limiter:
            plugin_name = name

            @hookimpl
            def penstock_request_limiter(self, scope: object, cap: int | None, settings: Settings) -> Any:
                assert (scope, cap, settings.plugin) == (ACME, 3, name)
                return AnyLimiter(scope) if applies else None

        return Limiter()

    hooks = hooks_of(limiter("a", applies=True), limiter("b", applies=False), limiter("c", applies=True))
    assert [name for name, _ in hooks.make_request_limiters(ACME, 3)] == ["a", "c"]


def test_without_a_factory_the_core_serves() -> None:
    hooks = hooks_of()
    assert (hooks.make_ready_queue(), hooks.make_request_waiters(), hooks.make_task_runners()) == (None, None, [])
    assert (hooks.make_task_policies(), hooks.make_request_limiters(ACME, None)) == ([], [])


class RunnerPlugin:
    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make

    @hookimpl
    def penstock_task_runner(self) -> Any:
        return self.make()


class AnyRunner:
    def check(self, fn: Any, args: Any) -> None: ...

    async def run(self, task: Any, lease: Any) -> None: ...


def test_a_runner_has_the_name_of_its_plugin() -> None:
    runner = AnyRunner()
    ((maker, made),) = hooks_of(RunnerPlugin(lambda: runner)).make_task_runners()
    assert (maker.name, made) == ("RunnerPlugin", runner)
    assert hooks_of(RunnerPlugin(lambda: None)).make_task_runners() == []


def test_a_factory_that_raises_ends_the_set_up_by_its_name() -> None:
    with pytest.raises(PluginError) as caught:
        hooks_of(RunnerPlugin(raises)).make_task_runners()
    assert caught.value.plugin == "RunnerPlugin"
    assert "penstock_task_runner failed: ValueError: secret words" in caught.value.message
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_factory_that_finds_the_configuration_wrong_says_so_itself_and_is_named() -> None:
    at_its_table = Problem(("plugins", "RunnerPlugin", "workers"), "must be at most 8", "run.toml")

    def refuses() -> None:
        raise ConfigError(["limits must name gpu", at_its_table])

    with pytest.raises(ConfigError) as caught:
        hooks_of(RunnerPlugin(refuses)).make_task_runners()
    assert caught.value.records == (Problem((), "plugin 'RunnerPlugin': limits must name gpu"), at_its_table)


@pytest.mark.parametrize("error", [StallError("all at rest"), AdmissionError("full")])
def test_whatever_else_a_factory_raises_of_ours_is_the_plugins_error(error: PenstockError) -> None:
    def fails() -> None:
        raise error

    with pytest.raises(PluginError) as caught:
        hooks_of(RunnerPlugin(fails)).make_task_runners()
    assert caught.value.plugin == "RunnerPlugin"
    assert caught.value.__cause__ is error


def test_a_factory_that_makes_something_else_is_reported_what_it_lacks() -> None:
    with pytest.raises(PluginError) as caught:
        hooks_of(RunnerPlugin(lambda: 3)).make_task_runners()
    assert caught.value.message == "penstock_task_runner must make a TaskRunner; int is none, it lacks check, run"


# -------------------------------------------------------------------------------------------------------------- notes


def test_notes_go_to_every_plugin_and_an_error_in_one_is_reported() -> None:
    heard: list[object] = []
    reported: list[tuple[str, str, str]] = []

    class Deaf:
        @hookimpl
        def penstock_run_started(self) -> None:
            raise ValueError("not today")

    class Listener:
        @hookimpl
        def penstock_run_started(self, run: RunInfo) -> None:
            heard.append(run)

        @hookimpl
        def penstock_run_finished(self, report: RunReport) -> None:
            heard.append(report)

    hooks = hooks_of(
        Deaf(), Listener(), on_failure=lambda plugin, hook, error, _: reported.append((plugin, hook, str(error)))
    )
    info = RunInfo(run_id="r", started_at=0.0, seed=0)
    report = RunReport(run_id="r", started_at=0.0, finished_at=1.0)
    hooks.run_started(info)
    hooks.run_finished(report)
    assert heard == [info, report]
    assert reported == [("Deaf", "penstock_run_started", "not today")]
