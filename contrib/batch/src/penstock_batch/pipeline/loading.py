"""A pipeline: the TOML read, its steps compiled, its input surveyed, and all its problems reported at once.

Nothing is called here, and nothing written beside the TOML: `penstock check` is this and no more.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from penstock import ConfigError, PenstockConfig, Problem, load_config
from penstock_batch.pipeline.config import BatchConfig, InputConfig, OutputConfig, StepConfig
from penstock_batch.pipeline.graph import StepNeeds, graph_problems, in_order, step_needs
from penstock_batch.pipeline.steps import Step, compile_step
from penstock_batch.pipeline.templates import ROW
from penstock_batch.providers.endpoints import provider_identity, provider_problems
from penstock_batch.providers.headers import secrets_of
from penstock_batch.providers.models import StepModel
from penstock_batch.rows.failed_rows import FAILED
from penstock_batch.rows.formats import FORMATS, Format
from penstock_batch.rows.own_files import place_problems
from penstock_batch.rows.reader import InputFacts, InputProblem, survey
from penstock_batch.rows.spool import Spool, spooled
from penstock_batch.words.secrets import Secrets

__all__ = ["Pipeline", "load_pipeline", "store_of"]

_RESERVED = {
    ROW: "is the name of the whole row in templates; a step needs another",
    FAILED: "is the name under which a failed row says why; a step needs another",
}
_TABLES = {"input": InputConfig, "output": OutputConfig, "batch": BatchConfig, "steps": list[StepConfig]}


@attrs.frozen(kw_only=True)
class Pipeline:
    """A pipeline that can run. `steps` stand so that each comes after those that it needs; `needs` are each step's
    needs among steps. `input` is the file that is read: the one that was named, or a copy of it.
    """

    path: Path
    config: PenstockConfig
    batch: BatchConfig
    input: Path
    form: Format
    facts: InputFacts
    output: Path
    written_as: Format
    steps: tuple[Step, ...]
    needs: Mapping[str, tuple[str, ...]]
    identity: Mapping[str, Any] = attrs.field(repr=False)
    secrets: Secrets = attrs.field(factory=Secrets, repr=False)
    copy: Spool | None = attrs.field(default=None, repr=False)
    """What keeps `input` where it is, if that is a copy."""

    @property
    def store(self) -> Path:
        """The file of all answers."""
        return store_of(self.output)

    @property
    def journal(self) -> Path:
        """The file in which an earlier release kept finished cells."""
        return self.output.with_name(f"{self.output.name}.journal")

    @property
    def failed(self) -> Path:
        """The file of rows that could not be done."""
        return _failed_of(self.output)

    def record(self, columns: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
        """A row of the output: the input's `columns`, then what the steps make of their `values`."""
        record = dict(columns)
        for step in self.steps:
            if step.criteria.columns:
                record |= step.members(values[step.name])
            else:
                record[step.name] = values[step.name]
        return record

    @property
    def output_names(self) -> list[str]:
        """The columns of the output."""
        return [*self.facts.columns, *(name for step in self.steps for name in step.output_names)]

    @property
    def models(self) -> tuple[StepModel, ...]:
        """The models that the steps call, each as often as it is called."""
        return tuple(step.model for step in self.steps if step.model is not None)


def load_pipeline(path: Path) -> Pipeline:
    """The pipeline that a TOML file describes. Reads the whole input once. Raises `ConfigError` with every
    problem.
    """
    loaded = load_config(path, extra_tables=_TABLES)
    folder = path.parent.resolve()
    config = _with_places(loaded.config, folder)
    source: InputConfig = loaded.extras["input"]
    batch: BatchConfig = loaded.extras["batch"]
    step_configs: list[StepConfig] = loaded.extras["steps"]
    problems: list[Problem] = []

    input_path = folder / source.path
    output_path = folder / loaded.extras["output"].path
    form = source.format or FORMATS.get(input_path.suffix.lower())
    written_as = FORMATS.get(output_path.suffix.lower())
    facts = None
    copy = None
    if form is None:
        what = f'is not known from {source.path.name!r}; say "jsonl" or "csv"'
        problems.append(Problem(("input", "format"), what))
    else:
        try:
            copy = spooled(input_path, always=source.copy)
            facts = survey(input_path if copy is None else copy.path, form)
        except InputProblem as problem:
            problems.append(Problem(("input", "path"), str(problem)))
    if written_as is None:
        what = f"must end in {', '.join(FORMATS)}, which says what is written; {output_path.name!r} does not"
        problems.append(Problem(("output", "path"), what))
    own = {
        "the output": output_path,
        "the store": store_of(output_path),
        "the failed rows": _failed_of(output_path),
    }
    problems += place_problems(own, {"the input": input_path, "the pipeline's TOML": path, **_plugin_files(config)})

    columns = facts.columns if facts is not None else ()
    known = frozenset(columns) | _made_by(step_configs, ())
    steps = [
        compile_step(
            step,
            known=known,
            providers=config.providers,
            folder=folder,
            timeout=batch.request_timeout,
            problems=problems,
        )
        for step in step_configs
    ]
    whole = [step for step in steps if step is not None]
    used = {step.model.provider for step in whole if step.model is not None}
    problems += provider_problems(config.providers, used, os.environ)
    if not step_configs:
        problems.append(Problem(("steps",), "there is none; add at least one [[steps]] table"))
    problems += [
        Problem(("steps", name), what) for name, what in _RESERVED.items() if name in _made_by(step_configs, whole)
    ]
    needs = [StepNeeds(step.name, step.uses, step.criteria.columns) for step in whole]
    if facts is not None and len(whole) == len(step_configs):
        # An input without a single good row has no columns that could be asked for: its rows fail, each for its own
        # reason.
        made = {name for step in needs for name in (step.name, *step.gives)}
        anything = frozenset[str]().union(*(step.uses for step in needs)) - made
        problems += graph_problems(needs, columns or tuple(sorted(anything)))
    if problems or facts is None or form is None or written_as is None:
        raise ConfigError([attrs.evolve(problem, source=str(path)) for problem in problems])

    by_name = {step.name: step for step in whole}
    between = step_needs(needs)
    return Pipeline(
        path=path,
        config=config,
        batch=batch,
        input=input_path if copy is None else copy.path,
        form=form,
        facts=facts,
        output=output_path,
        written_as=written_as,
        steps=tuple(by_name[name] for name in in_order(between)),
        needs=between,
        identity=_identity(config, facts, form, step_configs, by_name),
        secrets=Secrets(secret for name in sorted(used) for secret in secrets_of(config.providers[name], os.environ)),
        copy=copy,
    )


def _made_by(configs: Iterable[StepConfig], steps: Iterable[Step]) -> frozenset[str]:
    """The names of steps and of the columns that they make, as far as that is known."""
    said = (name for step in configs for name in (step.name, *(step.columns or ())))
    return frozenset(said).union(*(step.criteria.columns for step in steps))


def store_of(output: Path) -> Path:
    """The store that lies beside an output."""
    return output.with_name(f"{output.name}.store")


def _failed_of(output: Path) -> Path:
    return output.with_name(f"{output.name}.failed.jsonl")


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
    """The identity that a journal is compared with; see `identity.py` for what counts, and why."""
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
