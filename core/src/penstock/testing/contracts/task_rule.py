"""The contract suite of task rules, plugins that have `penstock_task_eligible`: what every one must do, as tests.

Make a subclass in a test file, give it the plugin, and pytest runs the suite:

    class TestMyRule(TaskRuleContract):
        time_based = True
        def make_plugin(self):
            return MyPlugin(MyConfig())

Its qualities are said by class attributes (`GateSuite`); a rule is not asked to leave no place empty unless it says so.
Plain asserts: no test framework is imported.
"""

from __future__ import annotations

from penstock.config.reading import PenstockConfig
from penstock.plugins.discovery import Installed
from penstock.plugins.manager import PluginManager
from penstock.tasks.admission import TaskAdmissionConfig, TaskAdmissionController, TaskRule
from penstock.tasks.queue import FifoTaskQueue
from penstock.testing.contracts.gate_suite import GROUPS, SHAPES, GateSuite, raised
from penstock.testing.task_bench import TaskBench
from penstock.testing.task_making import make_task
from penstock.words.verdicts import TASK_REASONS, check_denied

__all__ = ["TaskRuleContract"]


class TaskRuleContract(GateSuite):
    """The suite of one rule. Subclass it and give it `make_plugin`."""

    work_conserving = False

    def make_plugin(self) -> object:
        """The plugin whose rule it is, which has seen nothing yet."""
        raise NotImplementedError("make_plugin: a fresh plugin")

    def make_rule(self) -> TaskRule:
        """The rule of a fresh plugin, as a run asks it: what it raises fails the test."""
        manager = PluginManager.from_config(PenstockConfig(), extra=[self.make_plugin()], installed=Installed())
        manager.bind(on_failure=raised)
        rule = manager.freeze().task_eligible
        assert rule is not None, "the plugin has no hook penstock_task_eligible"
        return rule

    def make_controller(self, config: TaskAdmissionConfig) -> TaskAdmissionController:
        return TaskAdmissionController(config, rule=self.make_rule(), on_failure=raised)

    def test_asking_is_pure_and_answers_by_the_rules(self) -> None:
        controller = TaskAdmissionController(TaskAdmissionConfig(4, {"gpu": 2, "disk": 1}))
        gate = TaskBench(FifoTaskQueue(), controller, self.begins_at)
        gate.enqueue([make_task(f"{n}", group, shape) for n, shape in enumerate(SHAPES) for group in GROUPS[:1]])
        gate.enqueue([make_task(f"{group.key}", group) for group in GROUPS])
        assert gate.start_one() is not None
        rule, view, admission = self.make_rule(), gate.queue.view(), gate.controller.view()
        before = (view.snapshot(), admission.snapshot())
        for task in gate.queued.values():
            answers = [rule(task, view, admission, gate.now) for _ in range(3)]
            assert len({str(answer) for answer in answers}) == 1, f"asked three times it answered {answers}"
            if answers[0] is not None:
                check_denied(answers[0], by="the rule", now=gate.now, reasons=TASK_REASONS)
        assert (view.snapshot(), admission.snapshot()) == before
