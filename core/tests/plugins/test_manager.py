"""Which plugins a run has, why and in which order, and what freezing and reconfiguring them does."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from penstock import ConfigError, PenstockConfig, SinkSpec, WallClock, hookimpl, load_config

if TYPE_CHECKING:
    from core.tests.conftest import MakeDistribution
    from core.tests.plugins.conftest import Managed, Problems, Tabled


RULE = "@hookimpl\ndef penstock_task_eligible(task): ...\n"
LIMITER = "@hookimpl\ndef penstock_request_limiter(scope, cap): ...\n"
QUEUE = "@hookimpl\ndef penstock_ready_queue(settings): ...\n"
WAITERS = "@hookimpl\ndef penstock_request_waiters(settings): ...\n"
SINK = "@hookimpl\ndef penstock_scheduler_event(event): ...\n"
NOTE = "@hookimpl\ndef penstock_run_started(run): ...\n"


class Policy:
    @hookimpl
    def penstock_task_eligible(self, task: Any) -> None: ...


class OtherPolicy:
    @hookimpl
    def penstock_task_eligible(self, task: Any) -> None: ...


def test_the_default_stack_is_active_whatever_else_is_installed(
    distribution: MakeDistribution, managed: Managed
) -> None:
    distribution("d1", {"a_x.py": QUEUE + WAITERS}, plugins={"fair": "a_x"})
    distribution("d2", {"b_x.py": RULE}, plugins={"strict-fair": "b_x"})
    distribution("d3", {"c_x.py": LIMITER, "d_x.py": LIMITER}, plugins={"aimd": "c_x", "cooldown": "d_x"})
    distribution("d4", {"e_x.py": "raise RuntimeError('imported')"}, plugins={"other": "e_x"})
    manager = managed()
    assert manager.active == ("fair", "strict-fair", "cooldown", "aimd")
    assert manager.chosen.asked == {
        "ready_queue": ("fair",),
        "task_policies": ("strict-fair",),
        "task_runners": (),
        "request_waiters": ("fair",),
        "request_limiters": ("cooldown", "aimd"),
        "sinks": (),
    }
    assert manager.chosen.why("fair") == "default for ready_queue; default for request_waiters"
    assert manager.problems == {}


def test_a_default_that_is_not_installed_is_left_out(distribution: MakeDistribution, managed: Managed) -> None:
    distribution("d", {"c_x.py": LIMITER}, plugins={"aimd": "c_x"})
    manager = managed()
    assert manager.active == ("aimd",)
    assert manager.chosen.missing["cooldown"] == "default for request_limiters, not installed"


def test_the_order_of_a_list_is_the_order(distribution: MakeDistribution, managed: Managed) -> None:
    source = RULE + SINK
    distribution("d", {f"{n}_x.py": source for n in "abc"}, plugins={n: f"{n}_x" for n in "abc"})
    manager = managed({"plugins": {"task_policies": ["c", "a"], "sinks": ["a", "b", "c"]}})
    assert manager.chosen.asked["task_policies"] == ("c", "a")
    assert [sink.name for sink in manager.freeze().sinks] == ["a", "b", "c"]
    assert manager.chosen.places("c") == {"task_policies": 1, "sinks": 3}


def test_a_plugin_is_asked_only_for_what_its_lists_say(distribution: MakeDistribution, managed: Managed) -> None:
    distribution("d", {"a_x.py": RULE + SINK + NOTE}, plugins={"both": "a_x"})
    hooks = managed({"plugins": {"sinks": ["both"]}}).freeze()
    assert hooks.task_eligible is None
    assert [sink.name for sink in hooks.sinks] == ["both"]


def test_empty_lists_and_the_cores_own_names_switch_the_defaults_off(
    distribution: MakeDistribution, managed: Managed
) -> None:
    distribution("d", {"a_x.py": QUEUE + WAITERS + LIMITER}, plugins={"fair": "a_x", "aimd": "a_x"})
    manager = managed(
        {
            "plugins": {
                "ready_queue": "fifo",
                "request_waiters": "fifo",
                "task_runners": ["nursery"],
                "request_limiters": [],
            }
        }
    )
    assert manager.active == ()


def test_what_is_required_is_active_without_a_list(distribution: MakeDistribution, managed: Managed) -> None:
    distribution("d", {"a_x.py": NOTE}, plugins={"note": "a_x"})
    assert managed({"plugins": {"required": ["note"]}}).active == ("note",)
    assert managed().active == ()


@pytest.mark.parametrize(
    ("tables", "reported"),
    [
        ({"sinks": ["jsnl"]}, "plugins.sinks: no plugin 'jsnl' is installed or loaded; did you mean 'jsonl'?"),
        ({"ready_queue": "fif"}, "plugins.ready_queue: no plugin 'fif' is installed or loaded; did you mean 'fifo'?"),
        ({"required": ["zz"]}, "plugins.required: no plugin 'zz' is installed or loaded; available are jsonl"),
        ({"zz": {"a": 1}}, "plugins.zz: no plugin 'zz' is installed or loaded; available are"),
        ({"snks": {"a": 1}}, "plugins.snks: no plugin 'snks' is installed or loaded; did you mean 'sinks'?"),
    ],
)
def test_a_plugin_that_is_not_there_is_reported_with_what_there_is(
    distribution: MakeDistribution, tables: dict[str, Any], reported: str, problems: Problems
) -> None:
    distribution("d", {"a_x.py": SINK}, plugins={"jsonl": "a_x"})
    (line,) = problems({"plugins": tables})
    assert line.startswith(reported)


def test_a_list_that_names_a_plugin_without_its_hooks_is_reported(problems: Problems) -> None:
    (line,) = problems({"plugins": {"sinks": ["Policy"]}}, Policy())
    assert line == (
        "plugins.sinks: 'Policy' has none of the hooks that this list is for (penstock_scheduler_event, "
        "penstock_request_event); it has penstock_task_eligible"
    )


def test_two_distributions_with_one_name_stop_everything(distribution: MakeDistribution, problems: Problems) -> None:
    distribution("one", plugins={"x": "a:A"})
    distribution("two", plugins={"x": "b:B"})
    assert problems({}) == ["the plugin name 'x' is claimed by one 1.0 and two 1.0; uninstall all but one of them"]


def test_settings_carry_limits_seed_and_clock(alone: Managed) -> None:
    manager = alone({"scheduler": {"submission_capacity": 4, "resources": {"gpu": 1}, "seed": 3}}, Policy())
    settings = manager.settings_for("Policy")
    assert (settings.plugin, settings.limits, settings.seed) == ("Policy", {"submission": 4, "gpu": 1}, 3)
    clock = WallClock(started_at=5.0)
    manager.bind(limits=MappingProxyType({"submission": 9}), seed=4, clock=clock)
    settings = manager.settings_for("Policy")
    assert (settings.limits, settings.seed, settings.clock) == ({"submission": 9}, 4, clock)


def test_a_plugin_can_be_registered_until_the_plugins_are_frozen(alone: Managed) -> None:
    manager = alone()
    manager.register(Policy())
    assert manager.active == ("Policy",)
    manager.freeze()
    with pytest.raises(ConfigError, match="frozen; they cannot be given more plugins"):
        manager.register(OtherPolicy())
    with pytest.raises(ConfigError):
        manager.bind(seed=1)
    with pytest.raises(ConfigError):
        manager.freeze()
    assert manager.active == ("Policy",)


def test_a_registration_that_is_refused_changes_nothing(alone: Managed) -> None:
    manager = alone(None, Policy())
    with pytest.raises(ConfigError):
        manager.register(Policy())
    assert manager.active == ("Policy",)


def test_a_reconfiguration_keeps_what_did_not_change_and_makes_the_rest_anew(alone: Managed, tabled: Tabled) -> None:
    configured, other = tabled("configured"), tabled("other")
    manager = alone({"plugins": {"configured": {"size": 2}}}, configured, other)
    assert manager.freeze().generation == 1
    before = {name: manager.plugin(name).plugin for name in manager.active}
    tables = {"plugins": {"configured": {"size": 3}, "task_policies": ["other", "configured", "Policy"]}}
    hooks = manager.reconfigure(load_config(tables).config, extra=[configured, other, Policy()])
    assert hooks.generation == 2
    assert manager.active == ("other", "configured", "Policy")
    assert manager.plugin("other").plugin is before["other"]
    assert manager.plugin("configured").plugin is not before["configured"]
    assert manager.settings_for("configured").section.size == 3


def test_a_reconfiguration_that_is_refused_changes_nothing(alone: Managed, tabled: Tabled) -> None:
    manager = alone(None, tabled("configured"))
    manager.freeze()
    with pytest.raises(ConfigError):
        manager.reconfigure(load_config({"plugins": {"configured": {"size": 0}}}).config)
    assert manager.active == ("configured",)
    assert manager.config == PenstockConfig()
    assert manager.reconfigure().generation == 2


def test_a_sink_is_bound_as_it_declares_itself(alone: Managed) -> None:
    class Buffered:
        sink = SinkSpec(mode="buffered", on_full="wait", buffer=5)

        def __init__(self) -> None:
            self.seen: list[Any] = []

        @hookimpl
        def penstock_request_event(self, event: Any) -> None:
            self.seen.append(event)

        def flush(self) -> None:
            self.seen.append("flushed")

    class Inline:
        @hookimpl
        def penstock_scheduler_event(self, event: Any) -> None: ...

    buffered = Buffered()
    first, second = alone(None, buffered, Inline()).freeze().sinks
    assert (first.name, first.spec, first.scheduler_event) == (
        "Buffered",
        SinkSpec(mode="buffered", on_full="wait", buffer=5),
        None,
    )
    assert first.request_event is not None
    assert first.flush is not None
    first.request_event("event")  # type: ignore[arg-type]
    first.flush()
    assert buffered.seen == ["event", "flushed"]
    assert (second.spec, second.request_event, second.flush) == (SinkSpec(), None, None)


def test_asking_for_a_plugin_that_is_not_active_says_which_are(alone: Managed) -> None:
    with pytest.raises(ConfigError) as caught:
        alone(None, Policy()).plugin("x")
    assert caught.value.problems == ("no plugin 'x' is active; active are Policy",)
