"""What a run that is under way answers by its local socket: what it waits for, and another configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from penstock.config.reading import SchedulerConfig, load_config
from penstock.run.explain_protocol import Question
from penstock.run.explanation import answer_about
from penstock.run.health import Health
from penstock.run.parts import RunParts
from penstock.run.reconfiguring import reconfigure
from penstock.words.errors import ConfigError, PluginError

__all__ = ["RunQuestions"]


class RunQuestions:
    """The answers of one run. `health` tells how it is; `on_figures` is given other figures for what watches it."""

    def __init__(
        self, run: RunParts, health: Callable[[], Health], on_figures: Callable[[SchedulerConfig], None]
    ) -> None:
        self._run = run
        self._health = health
        self._on_figures = on_figures

    def answer(self, question: Question) -> Mapping[str, Any]:
        """The answer: `text` or `records`, or `error`, or `refused` with every problem of a configuration."""
        if question.reconfigure is None:
            return answer_about(self._run, question, self._health())
        try:
            config = load_config(Path(question.reconfigure), foreign_tables=True).config
            done = reconfigure(self._run, self._on_figures, config, None)
        except ConfigError as error:
            return {"refused": list(error.problems)}
        except PluginError as error:
            return {"refused": [str(error)]}
        if question.records:
            return {"records": {"run_id": self._run.run_id, **done.as_dict()}}
        return {"text": str(done)}
