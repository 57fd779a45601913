"""A pipeline: the TOML read, its steps compiled, its input surveyed, and all its problems reported at once.

Nothing is called here, and nothing written beside the TOML: `penstock check` is this and no more.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import attrs

from penstock import ConfigError, PenstockConfig, Problem, load_config, read_toml
from penstock_batch.pipeline.config import BatchConfig, InputConfig, OutputConfig, StepConfig
from penstock_batch.pipeline.passing import passed_steps
from penstock_batch.pipeline.places import column_problems, input_place, output_place, step_files
from penstock_batch.pipeline.selection import selected_columns, selection_problems
from penstock_batch.pipeline.stages import Stage, stage_problems, stages_of
from penstock_batch.pipeline.steps import RESPONSE, Step, compile_step
from penstock_batch.pipeline.templates import ROW
from penstock_batch.providers.endpoints import provider_identity, provider_problems
from penstock_batch.providers.headers import secrets_of
from penstock_batch.providers.models import StepModel
from penstock_batch.providers.placing import EndpointTables, expanded, problems_at_places, providers_called, with_places
from penstock_batch.providers.prices import unpriced_problems
from penstock_batch.rows.failed_rows import FAILED
from penstock_batch.rows.reader import BadRow, InputFacts, Row, is_still, read_rows
from penstock_batch.rows.spool import Spool
from penstock_batch.rows.target import RowSource, Target, store_beside
from penstock_batch.words.secrets import Secrets
from penstock_endpoints import EndpointConfig, Expanded

__all__ = ["TABLES", "Pipeline", "load_pipeline", "store_of"]

_RESERVED = {
    ROW: "is the name of the whole row in templates; a step needs another",
    FAILED: "is the name under which a failed row says why; a step needs another",
}
TABLES: Final[Mapping[str, Any]] = {
    "input": InputConfig,
    "output": OutputConfig,
    "batch": BatchConfig,
    "steps": list[StepConfig],
    "endpoints": dict[str, dict[str, EndpointConfig]],
}
"""The tables of a pipeline beside the core's, by name."""


@attrs.frozen(kw_only=True)
class Pipeline:
    """A pipeline that can run. `steps` stand so that each comes after those that it needs; `needs` are each step's
    needs among steps. `source` is what is read: the file that was named, or a copy of it. Its `stages` are what is
    between steps that make other rows of rows; `of_stage` is the pipeline as the rows of one of them see it.
    """

    path: Path | None
    config: PenstockConfig
    batch: BatchConfig
    source: RowSource
    facts: InputFacts
    target: Target
    store: Path
    """The file of all answers."""
    failed: Path
    """The file of rows that could not be done."""
    steps: tuple[Step, ...]
    needs: Mapping[str, tuple[str, ...]]
    stages: tuple[Stage, ...]
    listed: tuple[str, ...]
    """The names of the steps as they stand in the TOML, which is how their columns stand in a row."""
    columns: Mapping[str, str] | None
    """The columns of the output, each by the one that it is filled from; `None`: all, as they are."""
    identity: Mapping[str, Any] = attrs.field(repr=False)
    secrets: Secrets = attrs.field(factory=Secrets, repr=False)
    copy: Spool | None = attrs.field(default=None, repr=False)
    """What keeps the source where it is, if that is a copy."""

    @property
    def journal(self) -> Path:
        """The file in which an earlier release kept finished cells."""
        return self.target.path.with_name(f"{self.target.path.name}.journal")

    def record(self, columns: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
        """A row of the output: the input's `columns`, then what the steps make of their `values`."""
        record = dict(columns)
        for name, step in self._filled_by:
            if step is None:
                record[name] = values[name]
            elif step.passed:
                record[RESPONSE] = record.get(RESPONSE) or values[name]
            else:
                record |= step.members(values[name])
        return record

    @cached_property
    def _filled_by(self) -> list[tuple[str, Step | None]]:
        """The steps in the order of their columns, by name; `None` in the place of one whose value is its column."""
        own = (step if step.passed or step.criteria.columns else None for step in self._listed_steps)
        return [(step.name, special) for step, special in zip(self._listed_steps, own, strict=True)]

    @cached_property
    def _listed_steps(self) -> list[Step]:
        by_name = {step.name: step for step in self.steps}
        return [by_name[name] for name in self.listed if name in by_name]

    @property
    def names(self) -> list[str]:
        """The columns of a row of which all steps are done."""
        made = (name for step in self._listed_steps for name in step.output_names)
        return list(dict.fromkeys((*self.facts.columns, *made)))

    @property
    def output_names(self) -> list[str]:
        """The columns of the output, which has the rows of the last stage."""
        return list(self.columns) if self.columns is not None else list(self._last_names)

    @property
    def _last_names(self) -> Sequence[str]:
        return self.names if len(self.stages) == 1 else self.stages[-1].names

    @property
    def changes(self) -> tuple[Step, ...]:
        """The steps that make other rows of rows, in their order."""
        return tuple(stage.change for stage in self.stages if stage.change is not None)

    def of_stage(self, stage: Stage) -> Pipeline:
        """The pipeline as the rows of one of its stages see it."""
        return attrs.evolve(self, steps=stage.in_order, needs=stage.needs)

    def rows(self) -> Iterator[Row | BadRow]:
        """The rows of the input, read anew. Raises `InputProblem`."""
        return read_rows(self.source.path, self.source.form, table=self.source.table)

    def input_is_still(self) -> bool:
        """Whether the input as a whole is what it was, as far as that is seen. Raises `InputProblem`."""
        return is_still(self.source.path, self.source.form, self.facts)

    @property
    def models(self) -> tuple[StepModel, ...]:
        """The models that the steps call, each as often as it is called."""
        return tuple(model for step in self.steps for model in step.models)

    @property
    def places(self) -> dict[str, StepModel]:
        """Where they are called, by name: the places of a model that has endpoints, and the others themselves."""
        return {place.name: place for model in self.models for place in model.served}


def load_pipeline(
    described: Path | Mapping[str, Any], *, source: InputConfig | None = None, output: OutputConfig | None = None
) -> Pipeline:
    """The pipeline that a TOML file describes, or a mapping of its tables, whose paths are taken from the current
    folder. `source` and `output` take the place of `[input]` and of the places in `[output]`. Reads the whole input
    once. Raises `ConfigError` with every problem.
    """
    tables: dict[str, Any] = dict(TABLES)
    if source is not None:
        tables["input"] = InputConfig | None
    if output is not None:
        tables["output"] = OutputConfig | None
    loaded = load_config(described, extra_tables=tables)
    path = described if isinstance(described, Path) else None
    folder = (Path() if path is None else path.parent).resolve()
    config = _with_places(loaded.config, folder)
    batch: BatchConfig = loaded.extras["batch"]
    step_configs: list[StepConfig] = loaded.extras["steps"]
    problems: list[Problem] = []
    endpoints: EndpointTables = loaded.extras["endpoints"]
    served = expanded(config, endpoints, problems)

    source = source or loaded.extras["input"]
    place = input_place(source, folder, problems)
    read = {"the input": folder / source.path, **_plugin_files(config), **step_files(step_configs, folder)}
    if path is not None:
        read["the pipeline's TOML"] = path
    named = None if place is None else place.named
    said: OutputConfig = output or loaded.extras["output"]
    out = output_place(said, folder, problems, read=read, named=named)

    files = None if batch.files is None else folder / batch.files
    if files is not None and not files.is_dir():
        problems.append(Problem(("batch", "files"), f"is no folder: {files}"))
    columns = place.facts.columns if place is not None else ()
    known = frozenset(columns) | _made_by(step_configs, ())
    steps = [
        compile_step(
            step,
            known=known,
            providers=config.providers,
            folder=folder,
            timeout=batch.request_timeout,
            problems=problems,
            files=files,
        )
        for step in step_configs
    ]
    whole = [step for step in steps if step is not None]
    passes = place is not None and place.source.form == "openai-batch" and not step_configs
    if place is not None and passes:
        whole = passed_steps(
            read_rows(place.source.path, place.source.form), config.providers, batch.request_timeout, problems
        )
    whole = [_called_at(step, served) for step in whole]
    used = providers_called(model for step in whole for model in step.models)
    by_endpoints = frozenset(served.provider_of.values())
    called = {name: each for name, each in served.config.providers.items() if name not in by_endpoints}
    found = provider_problems(called, used, os.environ)
    problems += problems_at_places(found, endpoints, served.provider_of)
    if batch.budget is not None:
        problems += unpriced_problems(model for step in whole for model in step.models)
    if not step_configs and not passes:
        problems.append(Problem(("steps",), "there is none; add at least one [[steps]] table"))
    problems += [
        Problem(("steps", name), what) for name, what in _RESERVED.items() if name in _made_by(step_configs, whole)
    ]
    listed: OutputConfig | None = loaded.extras["output"]
    chosen: Sequence[str] | Mapping[str, str] | None = said.columns if listed is None else listed.columns
    if out is not None and out.target.form == "openai-batch" and chosen is not None:
        problems.append(Problem(("output", "columns"), "mean nothing in a file of OpenAI's, whose columns are fixed"))
    if out is not None and out.target.form == "openai-batch" and not passes:
        what = "is for calls that are passed through: from an input of that format too, and without [[steps]]"
        problems.append(Problem(("output", "format"), what))
    stages: tuple[Stage, ...] = ()
    if place is not None and (passes or len(whole) == len(step_configs)):
        # An input without a single good row has no columns that could be asked for: its rows fail, each for its own
        # reason.
        made = {name for step in whole for name in (step.name, *step.criteria.columns)}
        anything = frozenset[str]().union(*(step.uses for step in whole)) - made
        stages = stages_of(whole, columns or tuple(sorted(anything)))
        problems += stages[0].problems_alone() if len(stages) == 1 else stage_problems(stages)
        problems += [problem.below("output") for problem in selection_problems(chosen, stages[-1].names)]
        if out is not None:
            problems += column_problems(out, stages[-1].names if chosen is None else list(chosen))
    if problems or place is None or out is None:
        raise ConfigError([attrs.evolve(problem, source=str(path or "the pipeline")) for problem in problems])

    by_name = {step.name: step for step in whole}
    return Pipeline(
        path=path,
        config=served.config,
        batch=batch,
        source=place.source,
        facts=place.facts,
        target=out.target,
        store=out.store,
        failed=out.failed,
        steps=tuple(step for stage in stages for step in stage.in_order),
        needs={name: needs for stage in stages for name, needs in stage.needs.items()},
        stages=stages,
        listed=tuple(step.name for step in whole),
        columns=selected_columns(chosen),
        identity=_identity(config, place.facts, place.source.form, step_configs, by_name),
        secrets=Secrets(secret for name in sorted(used) for secret in secrets_of(called[name], os.environ)),
        copy=place.copy,
    )


def _called_at(step: Step, served: Expanded) -> Step:
    """A step whose models have the places at which they are called."""
    if step.model is None:
        return step
    fallback = [with_places(model, served) for model in step.fallback]
    return attrs.evolve(step, model=with_places(step.model, served), fallback=fallback)


def _made_by(configs: Iterable[StepConfig], steps: Iterable[Step]) -> frozenset[str]:
    """The names of steps and of the columns that they make, as far as that is known."""
    said = (name for step in configs for name in (step.name, *(step.columns or ())))
    return frozenset(said).union(*(step.criteria.columns for step in steps))


def store_of(path: Path) -> Path:
    """The store of the pipeline in this TOML file, of which nothing else is looked at. Raises `ConfigError`."""
    output = read_toml(path).get("output")
    named = output if isinstance(output, Mapping) else {}
    name, store, folder = named.get("path"), named.get("store"), path.parent.resolve()
    if isinstance(store, str):
        return folder / store
    if not isinstance(name, str):
        raise ConfigError(Problem(("output", "path"), "is missing: it says where the answers lie", str(path)))
    return store_beside(folder / name)


def _with_places(config: PenstockConfig, folder: Path) -> PenstockConfig:
    """The configuration with each plugin's `path` taken from the pipeline's folder, as all paths of the file are."""
    sections = {
        name: {**section, "path": str(folder / path)}
        if isinstance(path := section.get("path"), str) and path
        else section
        for name, section in config.sections.items()
    }
    return attrs.evolve(config, sections=sections)


def _plugin_files(config: PenstockConfig) -> dict[str, Path]:
    """The files that the tables of plugins name by `path`."""
    paths = {name: section.get("path") for name, section in config.sections.items()}
    return {f"the file of [plugins.{name}]": Path(path) for name, path in paths.items() if isinstance(path, str)}


def _identity(
    config: PenstockConfig, facts: InputFacts, form: str, configs: list[StepConfig], steps: Mapping[str, Step]
) -> dict[str, Any]:
    """By what the journal of an earlier release knows its run: the input, and all that decides what an answer says."""
    providers = sorted({step.model.provider for step in steps.values() if step.model is not None})
    described = {}
    for step in configs:
        model = steps[step.name].model
        fields: dict[str, object] = {"kind": step.kind, "model": model and f"{model.provider}/{model.model_id}"}
        fields |= {name: getattr(step, name) for name in ("prompt", "system", "input", "function", "params")}
        fields["needs"] = sorted(step.needs or ()) if step.kind == "python" else None
        described[step.name] = {name: value for name, value in fields.items() if value not in (None, {})}
    return {
        "input": {"format": form, "sha256": facts.sha256},
        "providers": {name: provider_identity(config.providers[name]) for name in providers},
        "steps": described,
    }
