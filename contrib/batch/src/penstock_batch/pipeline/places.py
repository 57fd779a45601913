"""Where a pipeline's rows come from and go to: `[input]` and `[output]`, checked, with what lies beside the output."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from penstock import Problem
from penstock_batch.pipeline.config import InputConfig, OutputConfig, StepConfig
from penstock_batch.rows.formats import FORMATS, NAMES, Format, table_name_problem
from penstock_batch.rows.own_files import place_problems
from penstock_batch.rows.reader import InputFacts, InputProblem, survey
from penstock_batch.rows.spool import Spool, spooled
from penstock_batch.rows.target import STANDARD, RowSource, Target, store_beside

__all__ = ["InputPlace", "OutputPlace", "column_problems", "input_place", "output_place", "step_files"]

_ALONG: Final = ("-wal", "-shm", ".before")
"""What SQLite keeps beside a store, and `--overwrite`."""
_STANDARD_OUTPUT: Final = frozenset(map(Path, ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")))
"""What systems call the standard output among their files."""


@attrs.frozen
class InputPlace:
    """The input: what was `named`, and what is read, which may be a copy of it that `copy` keeps there."""

    named: RowSource
    source: RowSource
    facts: InputFacts
    copy: Spool | None = None


@attrs.frozen
class OutputPlace:
    """The output, and the run's own files beside it."""

    target: Target
    store: Path
    failed: Path


def input_place(config: InputConfig, folder: Path, problems: list[Problem]) -> InputPlace | None:
    """The input, read once, and copied where it can be read no second time. Adds to `problems` and returns `None` if
    there is none.
    """
    path = _placed(config.path, folder)
    if "\0" in str(path):
        problems.append(Problem(("input", "path"), "holds a NUL, which no path can"))
        return None
    form = _format(path, config.format, config.table, "input", problems)
    if form is None:
        return None
    named = RowSource(path, form, config.table)
    try:
        copy = spooled(path, form, always=config.copy)
        source = named if copy is None else attrs.evolve(named, path=copy.path)
        return InputPlace(named, source, survey(source.path, form, table=source.table), copy)
    except InputProblem as problem:
        problems.append(Problem(("input", "path"), str(problem)))
        return None


def output_place(
    config: OutputConfig, folder: Path, problems: list[Problem], *, read: Mapping[str, Path], named: RowSource | None
) -> OutputPlace | None:
    """The output. `read` are the files that it must not be, what each is to its path; `named` is the input, which it
    may share a database with, but no table. Adds to `problems` and returns `None` if there is none.
    """
    path = _placed(config.path, folder)
    if path in _STANDARD_OUTPUT:
        what = f'{str(path)!r} is standard output, to which rows go by path = "-", with a format and a store'
        problems.append(Problem(("output", "path"), what))
        return None
    form = _format(path, config.format, config.table, "output", problems)
    if path == STANDARD:
        if form == "sqlite":
            problems.append(Problem(("output", "format"), "cannot be written to standard output; name a file"))
        elif sys.stdout is None:
            problems.append(Problem(("output", "path"), "is standard output, which is closed"))
        if config.store is None:
            what = "is missing: answers must be kept somewhere to be resumable, and standard output has no place beside"
            problems.append(Problem(("output", "store"), what))
            return None
    store = store_beside(path) if config.store is None else folder / config.store
    beside = path if config.store is None else store
    failed = beside.with_name(f"{beside.name}.failed.jsonl")
    others = dict(read)
    beside_store = {f"what lies beside the store as {end}": store.with_name(f"{store.name}{end}") for end in _ALONG}
    if path != STANDARD:
        shared = form == "sqlite" and named is not None and named.form == "sqlite" and not _same_table(named, config)
        outside = {what: file for what, file in others.items() if not (shared and named and file == named.path)}
        problems += place_problems({"the output": path}, outside | beside_store)
        others["the output"] = path
    problems += place_problems({"the store": store}, others)
    problems += place_problems({"the failed rows": failed}, {**others, "the store": store, **beside_store})
    return None if form is None else OutputPlace(Target(path, form, config.table), store, failed)


def step_files(configs: Iterable[StepConfig], folder: Path) -> dict[str, Path]:
    """The files that steps name, or in which their functions are found beside the TOML; what each is to its path."""
    found: dict[str, Path] = {}
    for step in configs:
        named = {field: getattr(step, field) for field in ("prompt_file", "system_file", "schema", "tools")}
        for field in ("function", "accept"):
            module = (getattr(step, field) or "").partition(":")[0]
            named[field] = f"{module.replace('.', '/')}.py" if module else None
        found |= {
            f"the {field} of the step {step.name!r}": folder / name
            for field, name in named.items()
            if isinstance(name, str)
        }
    return found


def _same_table(named: RowSource, config: OutputConfig) -> bool:
    return (named.table or "").lower() == (config.table or "").lower()


def column_problems(place: OutputPlace, names: Sequence[str]) -> list[Problem]:
    """The problems of writing rows with these columns in the output's format."""
    what = place.target.problem(names)
    return [] if what is None else [Problem(("output", "format"), what)]


def _placed(path: Path, folder: Path) -> Path:
    return path if path == STANDARD else folder / path


def _format(path: Path, said: Format | None, table: str | None, section: str, problems: list[Problem]) -> Format | None:
    form = said or FORMATS.get(path.suffix.lower())
    if form is None and path == STANDARD:
        problems.append(Problem((section, "format"), f"must be one of {', '.join(NAMES)} where the path is -"))
    elif form is None and section == "input":
        what = f"is not known from {path.name!r}; say one of {', '.join(NAMES)}"
        problems.append(Problem((section, "format"), what))
    elif form is None:
        what = f"must end in {', '.join(FORMATS)}, which says what is written; or say it by format"
        problems.append(Problem((section, "path"), f"{what}; {path.name!r} does not"))
    elif form == "sqlite" and table is None:
        problems.append(Problem((section, "table"), "is missing: a database has tables, and one must be named"))
        return None
    elif form == "sqlite" and table is not None and (wrong := table_name_problem(table)) is not None:
        problems.append(Problem((section, "table"), wrong))
        return None
    elif form != "sqlite" and table is not None:
        problems.append(Problem((section, "table"), f"means nothing in a {form} file"))
    return form
