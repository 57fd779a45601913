"""What is configured of a worker, and by whom."""

from __future__ import annotations

from typing import Any

import pytest

from penstock import ConfigError
from penstock_worker.handlers import Handlers
from penstock_worker.settings import WorkerSettings, worker_settings, workers_wanted


@pytest.fixture
def handlers() -> Handlers:
    made = Handlers()
    made.task(lambda payload: payload)
    return made


def settings(handlers: Handlers, config: Any = None, workers: Any = 1, **environ: str) -> WorkerSettings:
    return worker_settings(config, workers, environ, handlers)


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, 3),
        ({"RUNQY_PYTHON_WORKERS": "5"}, 5),
        ({"PENSTOCK_WORKERS": "7", "RUNQY_PYTHON_WORKERS": "5"}, 7),
        ({"PENSTOCK_WORKERS": " ", "RUNQY_PYTHON_WORKERS": " 5 "}, 5),
    ],
)
def test_the_environment_overrides_the_number_of_workers(environ: dict[str, str], wanted: int) -> None:
    assert workers_wanted(3, environ) == wanted


@pytest.mark.parametrize("text", ["0", "-1", "many", "2.5", "1e3", "٣", "9" * 5000, "10001"])
def test_a_variable_that_is_no_number_of_workers_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match="RUNQY_PYTHON_WORKERS must be a whole number from 1"):
        workers_wanted(1, {"RUNQY_PYTHON_WORKERS": text})


@pytest.mark.parametrize("given", [0, -1, True, 2.5, "2", None, 10_001])
def test_what_is_no_number_of_workers_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError, match="workers must be"):
        workers_wanted(given, {})


def test_so_many_tasks_run_as_there_are_workers_whatever_the_configuration_says(handlers: Handlers) -> None:
    config = {"scheduler": {"submission_capacity": 64}}

    assert settings(handlers, config, 8).config.scheduler.submission_capacity == 8
    assert settings(handlers, config, 1).sequential


def test_a_configuration_may_ask_for_less(handlers: Handlers) -> None:
    config = {"scheduler": {"submission_capacity": 2}}

    assert settings(handlers, config, 8).config.scheduler.submission_capacity == 2


def test_the_grace_of_the_worker_is_that_of_its_run(handlers: Handlers) -> None:
    assert settings(handlers).config.scheduler.shutdown_grace == 8.0
    assert settings(handlers, {"worker": {"grace": 3.0}}).config.scheduler.shutdown_grace == 3.0


@pytest.mark.parametrize(
    ("table", "path"),
    [
        ({"time_limit": 0}, "worker.time_limit"),
        ({"grace": -1}, "worker.grace"),
        ({"weights": {"q": 0}}, "worker.weights.q"),
        ({"backlog": 0}, "worker.backlog"),
        ({"longest_answer": 10}, "worker.longest_answer"),
        ({"workers": 8}, "worker.workers"),
    ],
)
def test_a_wrong_key_is_named(handlers: Handlers, table: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError) as raised:
        settings(handlers, {"worker": table})
    (problem,) = raised.value.records
    assert ".".join(map(str, problem.path)) == path


def test_a_worker_without_a_task_is_refused() -> None:
    with pytest.raises(ConfigError, match="@task"):
        settings(Handlers())


def test_what_a_task_needs_must_be_there_before_it_starts(handlers: Handlers) -> None:
    handlers.task(name="embed", needs={"gpu": 2})(lambda payload: payload)

    with pytest.raises(ConfigError, match="lacks"):
        settings(handlers)
    with pytest.raises(ConfigError, match="of which there are 1"):
        settings(handlers, {"scheduler": {"resources": {"gpu": 1}}})
    settings(handlers, {"scheduler": {"resources": {"gpu": 2}}})


def test_what_means_nothing_to_a_worker_is_told(handlers: Handlers, caplog: pytest.LogCaptureFixture) -> None:
    settings(handlers, {"scheduler": {"shutdown_grace": 60.0}, "worker": {"grace": 3.0}})
    assert caplog.messages == ["scheduler.shutdown_grace has no effect on a worker: write grace under [worker]"]
