"""Whatever a plugin raises where it is imported, made or asked before a run is its own error; a real Ctrl+C is not."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from penstock import ConfigError, PenstockConfig, PluginError, PluginManager, hookimpl
from penstock.plugins.discovery import installed
from penstock.plugins.foreign_code import TookTooLong, foreign_code, interruptible
from penstock.plugins.loading import PluginUnusable, import_plugin, load_file

if TYPE_CHECKING:
    from core.tests.conftest import MakeDistribution, WriteFile
    from core.tests.plugins.conftest import Managed

INTERRUPT = "import signal\nsignal.raise_signal(signal.SIGINT)\n"
SWALLOWED = "try:\n    import signal; signal.raise_signal(signal.SIGINT)\nexcept BaseException: ...\n"
RAISED = ["KeyboardInterrupt", "SystemExit(3)", "GeneratorExit", "type('Own', (BaseException,), {})()", "ValueError"]


@pytest.mark.parametrize("what", RAISED)
def test_what_is_raised_at_import_is_the_plugins_error(
    distribution: MakeDistribution, write: WriteFile, what: str
) -> None:
    distribution("d", {"a_x.py": f"raise {what}\n"}, plugins={"mine": "a_x"})
    with pytest.raises(PluginUnusable, match=r"'mine'.*a_x\.py:2"):
        import_plugin(installed().plugins["mine"])
    with pytest.raises(PluginUnusable, match=r"'other'.*other\.py:2"):
        load_file(write("other.py", f"raise {what}\n"))


@pytest.mark.parametrize("source", [INTERRUPT, SWALLOWED])
def test_a_real_interrupt_ends_the_import_even_if_it_was_swallowed(write: WriteFile, source: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        load_file(write("mine.py", source))


def test_of_what_is_passing_nothing_is_made_nor_of_what_took_too_long() -> None:
    for error in (TookTooLong(), ConfigError("mine")):
        with pytest.raises(type(error)) as caught, foreign_code("p", "failed", passing=(ConfigError,)):
            raise error
        assert caught.value is error


def test_a_nested_block_passes_a_real_interrupt_on() -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        interruptible(),
        foreign_code("outer", "failed"),
        foreign_code("inner", "failed"),
    ):
        signal.raise_signal(signal.SIGINT)


def test_the_handler_is_as_before_afterwards() -> None:
    before = signal.getsignal(signal.SIGINT)
    with foreign_code("p", "failed"):
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_a_handler_that_the_code_has_set_stays() -> None:
    before = signal.getsignal(signal.SIGINT)
    try:
        with interruptible():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        with interruptible():  # and is not wrapped: nothing comes
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_no_interrupt_is_real() -> None:
    found: list[BaseException] = []

    def run() -> None:
        try:
            with foreign_code("p", "failed"):
                raise KeyboardInterrupt
        except PluginError as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert [str(each).partition(" (")[0] for each in found] == ["plugin 'p': failed: KeyboardInterrupt"]


class Policy:
    plugin_name = "odd"

    @hookimpl
    def penstock_task_eligible(self, task: Any) -> None: ...


class Raising:
    plugin_name = "odd"

    @property
    def flush(self) -> int:
        raise KeyboardInterrupt

    @hookimpl
    def penstock_scheduler_event(self, event: Any) -> None: ...


class HidesWhatItHas(type):
    def __dir__(cls) -> list[str]:
        raise RuntimeError


class Hidden(Policy, metaclass=HidesWhatItHas): ...


class OddlySigned(Policy):
    @hookimpl
    def penstock_task_eligible(self, task: Any) -> None: ...

    penstock_task_eligible.__signature__ = 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("plugin", [Raising(), Hidden, OddlySigned()])
def test_a_plugin_that_cannot_be_looked_at_is_named(alone: Managed, plugin: object) -> None:
    with pytest.raises(PluginError, match="cannot be looked at") as caught:
        alone({"plugins": {"sinks": ["odd"]}} if isinstance(plugin, Raising) else None, plugin).freeze()
    assert caught.value.plugin in ("odd", "HidesWhatItHas")


class Elusive:
    def __getattr__(self, name: str) -> object:
        raise KeyboardInterrupt


class MakesWhatCannotBeLookedAt:
    plugin_name = "maker"

    @hookimpl
    def penstock_ready_queue(self) -> Any:
        return Elusive()


def test_what_a_factory_makes_and_cannot_be_looked_at_is_its_plugins_error() -> None:
    config = PenstockConfig()
    hooks = PluginManager.from_config(config, extra=[MakesWhatCannotBeLookedAt()]).freeze()
    with pytest.raises(PluginError) as caught:
        hooks.make_ready_queue()
    assert caught.value.plugin == "maker"


@pytest.mark.parametrize("value", ["", "a x", "a_x:Mine:Other", "a..x", ":Mine"])
def test_an_entry_point_that_names_nothing_is_told_by_its_plugin_alone(
    distribution: MakeDistribution, value: str
) -> None:
    distribution("d", {}, plugins={"mine": value})
    owner = installed().plugins["mine"]
    with pytest.raises(PluginUnusable, match="must be 'module' or 'module:name'"):
        import_plugin(owner)
