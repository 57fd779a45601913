"""What the first process of a gateway with several workers makes ready before it forks."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock import ConfigError, PluginError, PluginManager, PreparedRun
from penstock_gateway.loading import Serving, load_gateway
from penstock_gateway.prepared import prepare

THREAD = """
import threading
from penstock import hookimpl

END = threading.Event()

class Plugin:
    plugin_name = "watcher"

    def __init__(self):
        self.thread = threading.Thread(target=END.wait, args=(10.0,), name="the watcher", daemon=True)
        self.thread.start()

    @hookimpl
    def penstock_run_started(self):
        END.set()
"""


def serving(folder: Path, plugin: str, more: str = "", key: str = "") -> Serving:
    (folder / "own.py").write_text(plugin, encoding="utf-8")
    path = folder / "gateway.toml"
    path.write_text(
        f"""
        [providers.acme]
        base_url = "http://127.0.0.1:9/v1"
        {key}
        [providers.acme.models.small]
        max_parallel_requests = 4
        [plugins]
        load = ["own.py"]
        {more}
        """,
        encoding="utf-8",
    )
    return load_gateway(path, {"A": "a123456789abcdefghijklmnopqrstuv"})


RULE = "from penstock import hookimpl\n@hookimpl\ndef penstock_run_started(): pass\n"


def test_the_coordinators_run_is_put_together_before_it_forks(tmp_path: Path) -> None:
    prepared = prepare(serving(tmp_path, RULE))
    assert isinstance(prepared.run, PreparedRun)
    assert prepared.number == 0


def test_a_factory_that_needs_a_loop_is_left_to_the_coordinator(tmp_path: Path) -> None:
    now = "import trio\nfrom penstock import hookimpl\n@hookimpl\ndef penstock_task_policy(): trio.current_time()\n"
    assert isinstance(prepare(serving(tmp_path, now)).run, PluginManager)


def test_with_a_ledger_which_the_coordinator_opens_only_the_plugins_are_made(tmp_path: Path) -> None:
    ledger = 'ledger = "used.sqlite"\n[gateway.keys.a]\nenv = "A"\n'
    prepared = prepare(serving(tmp_path, RULE, f"[gateway]\n{ledger}"))
    assert isinstance(prepared.run, PluginManager)
    assert "own" in prepared.run.active


def test_a_provider_that_cannot_be_called_is_told_before_it_forks(tmp_path: Path) -> None:
    other = '[providers.other]\nbase_url = "http://u:p@127.0.0.1:9"\n'
    more = f"{other}[providers.other.models.x]\nmax_parallel_requests = 1\n"
    acme = serving(tmp_path, RULE, more, key='api_key_env = "NO_SUCH_VARIABLE"')
    with pytest.raises(ConfigError, match="NO_SUCH_VARIABLE") as refused:
        prepare(acme)
    assert [each.path for each in refused.value.records] == [
        ("providers", "acme", "api_key_env"),
        ("providers", "other"),
    ]


def test_no_key_is_shown_with_what_is_prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_KEY", "sk-never-shown")
    prepared = prepare(serving(tmp_path, RULE, key='api_key_env = "ACME_KEY"'))
    assert prepared.upstreams["acme"].secrets == (b"sk-never-shown",)
    assert "never-shown" not in repr(prepared)


def test_after_a_plan_a_coordinator_makes_its_own(tmp_path: Path) -> None:
    first = serving(tmp_path, RULE)
    later = prepare(first).replaced(first).replaced(first)
    assert (later.run, later.number) == (None, 2)


def test_a_plugin_that_starts_a_thread_where_it_is_made_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the watcher") as refused:
        prepare(serving(tmp_path, THREAD))
    assert [each.path for each in refused.value.records] == [("gateway", "workers")]


def test_a_plugin_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="own"):
        prepare(serving(tmp_path, "raise RuntimeError"))
