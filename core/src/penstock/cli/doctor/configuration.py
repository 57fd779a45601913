"""What is wrong with a TOML file and with what it names, decided from what was looked at: its problems, files that
sinks write, keys in the environment, files that may be open."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping
from os.path import isdir, isfile
from pathlib import Path
from typing import Any, Final

import attrs

from penstock.cli.doctor.findings import Chmod, Finding, edit
from penstock.cli.doctor.installation import reinstall
from penstock.cli.doctor.key_lines import line_of
from penstock.config.reading import PenstockConfig
from penstock.words.problems import PathParts, Problem

__all__ = [
    "KeyFileFacts",
    "PathFacts",
    "disabled_findings",
    "file_findings",
    "key_file_findings",
    "key_files_of",
    "key_findings",
    "keys_of",
    "open_files_findings",
    "path_findings",
    "problem_findings",
    "unreadable_findings",
    "written_paths",
]

OTHER_FILES: Final = 64
"""Files that are open beside the calls: sinks, sockets, libraries."""

OWN_USE: Final = 0o200
OTHERS: Final = 0o077
_KEY_FILE: Final = re.compile(r"(?:.*_)?keys?_file")
_AT_LINE: Final = re.compile(r"\(at line (\d+),")
_VARIABLE: Final = re.compile(r"[A-Z_][A-Z0-9_]*")
_PATHS: Final = re.compile(r"(?:.*_)?(?:path|file|folder)")
_MISSING: Final = re.compile(r"no plugin '([a-z-]+)' is installed")
_OURS: Final = {
    "fair": "penstock-fairqueue",
    **{
        name: f"penstock-{name}"
        for name in (
            "aimd",
            "bounded-borrow",
            "breaker",
            "cooldown",
            "jsonl",
            "latency",
            "otel",
            "processes",
            "ray",
            "sequential",
            "strict-fair",
            "threads",
            "token-budget",
        )
    },
}
"""The plugins of this project by the distributions that bring them. Of others none is guessed: anybody may own it."""


@attrs.frozen(kw_only=True)
class PathFacts:
    """A path that a sink is to write, and what is there. `mode` is that of the file, or of the folder that it would be
    made in; `None` if neither is there. `writable` and `own` are about the same.
    """

    key: PathParts
    path: Path
    exists: bool
    mode: int | None
    writable: bool
    own: bool

    @property
    def folder(self) -> Path:
        return self.path.parent


@attrs.frozen
class KeyFileFacts:
    """A file of keys that is there: its place in the TOML, its mode, and whether it is this user's."""

    key: PathParts
    path: Path
    mode: int
    own: bool


def unreadable_findings(problems: Iterable[Problem], file: Path) -> Iterator[Finding]:
    """Why the TOML file cannot be read, at the line of it, where one is told."""
    for problem in problems:
        told = _AT_LINE.search(problem.what)
        line = int(told[1]) if told else None
        mend = edit(file, line)
        if not isfile(file):  # of os.path: a Path raises for a name that is too long
            mend = f"ls {shlex.quote(str(file if isdir(file) else file.parent))}"
        cause = str(attrs.evolve(problem, source=""))
        yield Finding(kind="unreadable", cause=f"it {cause}", mend=mend, file=str(file), line=line)


def problem_findings(problems: Iterable[Problem], file: Path, text: str) -> Iterator[Finding]:
    """The problems of a configuration, each at its line."""
    for problem in problems:
        line = line_of(text, problem.path) if problem.path else None
        missing = _MISSING.search(problem.what)
        ours = _OURS.get(missing[1]) if missing else None
        mend = f"pip install {ours}" if ours else edit(file, line)
        cause = str(attrs.evolve(problem, source=""))
        yield Finding(kind="configuration", cause=cause, mend=mend, file=str(file), line=line)


def disabled_findings(disabled: Mapping[str, str], distributions: Mapping[str, str], file: Path) -> Iterator[Finding]:
    """Plugins that a run would go on without; `distributions` are those of installed plugins, by the plugin's name."""
    for name, problem in disabled.items():
        of = distributions.get(name)
        mend = reinstall(of) if of else edit(file)
        yield Finding(kind="disabled", cause=f"plugin {name!r} is disabled: {problem}", mend=mend, file=str(file))


def file_findings(owner: str, notes: Iterable[str], file: Path) -> Iterator[Finding]:
    """What the plugin whose file it is says should be seen to."""
    for note in notes:
        yield Finding(
            kind="file", cause=f"{owner}: {note}", mend=f"penstock check {shlex.quote(str(file))}", file=str(file)
        )


def written_paths(config: PenstockConfig, settings: Mapping[str, Any]) -> dict[PathParts, Path]:
    """The paths that a run writes to, by their place in the TOML: of the trace of decisions, and those that sinks are
    given, keys called `path`, `file` or `folder`, also at the end of a longer name, of the structured tables
    `settings`, plugin to `Config`.
    """
    found: dict[PathParts, Path] = {}
    if config.plugins.trace and config.plugins.trace_file is not None:
        found["plugins", "trace_file"] = Path(config.plugins.trace_file)
    for name, own in settings.items():
        values = attrs.asdict(own, recurse=False) if attrs.has(type(own)) else config.sections.get(name, {})
        for key, value in values.items():
            if isinstance(value, str | Path) and str(value) not in ("", "-") and _PATHS.fullmatch(key):
                found["plugins", name, key] = Path(value)
    return found


def path_findings(paths: Iterable[PathFacts], file: Path, text: str) -> Iterator[Finding]:
    """Files of sinks that cannot be written."""
    for each in paths:
        if each.writable:
            continue
        where = each.path if each.exists else each.folder
        name, line = ".".join(map(str, each.key)), line_of(text, each.key)
        fix = None
        if each.mode is None:
            cause = f"{name} is {str(each.path)!r}, and there is no folder {str(where)!r}"
            mend = f"mkdir -p {shlex.quote(str(where))}"
        elif each.own:
            cause = f"{name} is {str(each.path)!r}, and {str(where)!r} may not be written to (mode {each.mode:o})"
            mend = f"chmod u+w {shlex.quote(str(where))}"
            fix = Chmod(where, each.mode | OWN_USE)
        else:
            cause = f"{name} is {str(each.path)!r}, and {str(where)!r} is another user's and may not be written to"
            mend = edit(file, line)
        yield Finding(kind="path", cause=cause, mend=mend, file=str(file), line=line, fix=fix)


def key_files_of(tables: Mapping[str, Any], folder: Path, above: PathParts = ()) -> dict[PathParts, Path]:
    """The files of keys that a TOML file names, whoever's tables they stand in, by their place."""
    found: dict[PathParts, Path] = {}
    for name, value in tables.items():
        if isinstance(value, Mapping):
            found |= key_files_of(value, folder, (*above, name))
        elif isinstance(value, str) and _KEY_FILE.fullmatch(name):
            found[(*above, name)] = folder / value
    return found


def key_file_findings(files: Iterable[KeyFileFacts], file: Path, text: str) -> Iterator[Finding]:
    """Files of keys that others than their owner may read or write."""
    for each in files:
        if not each.mode & OTHERS:
            continue
        name, line = ".".join(map(str, each.key)), line_of(text, each.key)
        cause = f"{name} is {str(each.path)!r}, which others than its owner may use (mode {each.mode:o})"
        mend = f"chmod go= {shlex.quote(str(each.path))}" if each.own else edit(file, line)
        fix = Chmod(each.path, each.mode & ~OTHERS) if each.own else None
        yield Finding(kind="key-file", cause=cause, mend=mend, file=str(file), line=line, fix=fix)


def keys_of(config: PenstockConfig) -> dict[PathParts, str]:
    """The environment variables that the configuration takes keys from, by their place in the TOML."""
    found: dict[PathParts, str] = {}
    for name, provider in config.providers.items():
        if provider.api_key_env is not None:
            found["providers", name, "api_key_env"] = provider.api_key_env
        for header, variable in provider.headers.items():
            found["providers", name, "headers", header] = variable
    return found


def key_findings(keys: Mapping[PathParts, str], there: Collection[str], file: Path, text: str) -> Iterator[Finding]:
    """Keys that are not set; `there` are the variables that are, and are not empty. What does not look like the name of
    a variable may be the key itself, and is not shown."""
    for path, variable in keys.items():
        if variable in there:
            continue
        name, line = ".".join(map(str, path)), line_of(text, path)
        if _VARIABLE.fullmatch(variable):
            cause, mend = f"{name}: {variable} is not set, or empty", f"export {variable}=..."
        else:
            cause = (
                f"{name} names no variable that is set; if it is the key itself, put that into one, and its name here"
            )
            mend = edit(file, line)
        yield Finding(kind="key", cause=cause, mend=mend, file=str(file), line=line)


def open_files_findings(config: PenstockConfig, limit: int | None, file: Path, text: str) -> Iterator[Finding]:
    """Too few open files for all calls that may be in flight; `limit` is how many this process may have."""
    caps: dict[PathParts, int] = {
        ("providers", name, "models", alias, "max_parallel_requests"): model.max_parallel_requests
        for name, provider in config.providers.items()
        for alias, model in provider.models.items()
    }
    needed = sum(caps.values()) + OTHER_FILES
    if limit is None or needed <= limit or not caps:
        return
    yield Finding(
        kind="open-files",
        cause=f"up to {sum(caps.values()):,} calls at once need some {needed:,} open files; {limit:,} may be open",
        mend=f"ulimit -n {needed}",
        file=str(file),
        line=line_of(text, max(caps, key=lambda key: caps[key])),
    )
