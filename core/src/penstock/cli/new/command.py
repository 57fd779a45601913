"""The command `penstock new`."""

from __future__ import annotations

from pathlib import Path

import click

from penstock.cli.new.kinds import KINDS
from penstock.cli.new.names import names_of_distribution, names_of_file
from penstock.cli.new.rendering import rendered_file, rendered_project, usage
from penstock.cli.new.writing import write_file, write_project
from penstock.config.words import did_you_mean, value_in_words
from penstock.words.errors import ConfigError
from penstock.words.printable import printable

__all__ = ["new"]


_KINDS = "\n".join(f"  {name:<12}{kind.summary.partition(': ')[2]}" for name, kind in KINDS.items())


@click.command(no_args_is_help=True, epilog=f"\b\nKIND is one of\n{_KINDS}")
@click.argument("kind", metavar="KIND")
@click.argument("name", metavar="NAME")
@click.option("--file", "one_file", is_flag=True, help="One Python file, NAME.py, in place of a distribution.")
@click.option("--distribution", metavar="DISTRIBUTION", help="What pip is to call it, in place of penstock-NAME.")
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    default=Path(),
    metavar="FOLDER",
    help="The folder in which it is made, in place of this one.",
)
def new(kind: str, name: str, one_file: bool, distribution: str | None, into: Path) -> None:
    """Make a plugin that works, with its tests, to be changed into your own.

    NAME is what configurations call it. What pip installs is penstock-NAME (a penstock- before NAME may be written or
    left out), or what --distribution says; it is imported by that name with underscores. With --file, underscores
    stand for hyphens in the name, since a file gives its plugin its name. A name has lower-case letters, digits and
    single hyphens, and is none that is taken.

    Nothing is ever overwritten.
    """
    if kind not in KINDS:
        raise ConfigError(f"{value_in_words(kind)} is no kind of plugin: {did_you_mean(kind, KINDS)}")
    if one_file:
        _new_file(kind, name, distribution, into)
    else:
        _new_project(kind, name, distribution, into)


def _new_project(kind: str, name: str, distribution: str | None, into: Path) -> None:
    names = names_of_distribution(name, distribution, KINDS[kind].group)
    folder = into / names.distribution
    contents = rendered_project(kind, names)
    write_project(folder, contents)
    _say(
        f"Made {folder}, with the {kind} {names.plugin!r}:",
        *(f"  {path}" for path in sorted(contents)),
        "",
        "Next:",
        f"  cd {folder}",
        '  python -m pip install -e ".[test]"',
        "  python -m pytest",
        "  python -m pip wheel --no-deps -w dist .",
    )


def _new_file(kind: str, name: str, distribution: str | None, into: Path) -> None:
    if distribution is not None:
        raise ConfigError("--file makes no distribution; leave out --file or --distribution")
    if not KINDS[kind].fits_in_a_file:
        raise ConfigError(f"a {kind} is found by its entry point, so it needs a distribution; leave out --file")
    names = names_of_file(name, KINDS[kind].group)
    path = into / f"{names.module}.py"
    write_file(path, rendered_file(kind, names))
    _say(
        f"Made {path}, with the {kind} {names.plugin!r}. It takes part by `penstock --plugin {path} ...`,",
        "or by a configuration beside it that says",
        "",
        *(f"  {line}" if line else "" for line in usage(kind, names, load=path.name).splitlines()),
    )


def _say(*lines: str) -> None:
    for line in lines:
        click.echo(printable(line))
