"""The command `penstock doctor`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import attrs
import click

from penstock.cli.command_line import CommandLine
from penstock.cli.doctor.configuration import unreadable_findings
from penstock.cli.doctor.examination import Examination, examine_file, examine_installation
from penstock.cli.doctor.findings import Finding
from penstock.cli.doctor.looking import carry_out
from penstock.words.errors import ConfigError
from penstock.words.printable import printable

__all__ = ["doctor"]

TO_MEND = 1


@click.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="[FILE]", required=False)
@click.option("--import", "importing", is_flag=True, help="Import every plugin, not only those that FILE uses.")
@click.option("--json", "as_json", is_flag=True, help="Records, for programs.")
@click.option("--fix", is_flag=True, help="Change permissions and remove dead sockets where that mends it; no more.")
@click.pass_obj
def doctor(line: CommandLine, file: Path | None, importing: bool, as_json: bool, fix: bool) -> None:
    """Look for what is wrong with this installation, and with the TOML file FILE, and name the command that mends it.

    The plugins that FILE uses are imported and made, and their factories tried, as when a run is opened; no provider is
    called and nothing is written. Keys are looked for, and never shown.

    Exit code: 0 nothing found, 1 something to mend, 2 FILE cannot be read.
    """
    seen = examine_installation(importing=importing)
    unreadable: ConfigError | None = None
    if file is not None:
        try:
            seen = examine_file(seen, file, line.plugins)
        except ConfigError as error:  # what else was seen is told all the same
            unreadable = error
            told = (*unreadable_findings(error.records, file), *seen.findings)
            seen = attrs.evolve(seen, file=str(file), findings=told)
    if fix:
        seen = attrs.evolve(seen, findings=tuple(map(_mended, seen.findings)))
    if as_json:
        click.echo(json.dumps(seen.as_dict(), indent=2))
    else:
        for text in _lines(seen):
            click.echo(printable(text))
    if unreadable is not None:
        raise unreadable
    if not all(finding.mended for finding in seen.findings):
        raise SystemExit(TO_MEND)


def _mended(finding: Finding) -> Finding:
    if finding.fix is None:
        return finding
    problem = carry_out(finding.fix)
    if problem is None:
        return attrs.evolve(finding, mended=True)
    return attrs.evolve(finding, cause=f"{finding.cause}; it could not be mended: {problem}")


def _lines(seen: Examination) -> Iterator[str]:
    plugins = f"{len(seen.plugins):,} plugins installed"
    yield f"Python {seen.python}, penstock-core {seen.core or '(not installed)'}, {plugins}"
    compiled = [name for name, build in seen.builds.items() if build == "compiled"]
    yield f"compiled: {', '.join(compiled) or 'nothing, all is pure Python'}"
    if seen.file:
        whose = f", a file of {seen.owner}" if seen.owner else ""
        keys = ", ".join(seen.keys) or "none"
        yield f"{seen.file}{whose}: plugins {', '.join(seen.active) or 'none'}; keys set: {keys}"
    for number, finding in enumerate(seen.findings, 1):
        yield ""
        yield f"{number}. {finding.cause}"
        if finding.file:
            yield f"   at {finding.file}{f':{finding.line}' if finding.line else ''}"
        yield f"   {'mended by' if finding.mended else 'mend it by'}: {finding.mend}"
    left = sum(not finding.mended for finding in seen.findings)
    yield ""
    yield f"{left:,} to mend" if left else "nothing to mend"
