"""Environments for what is measured beside Penstock: virtual environments in a cache folder, each made once and used
from then on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs

from penstock import PenstockError

__all__ = ["CLOSEST", "CompetitorUnavailable", "Environment", "cache_folder"]

MADE: Final = "made"
"""This file is written last: without it an environment was left half made, and is made anew."""


class CompetitorUnavailable(PenstockError):
    """A competitor cannot be measured: it could not be installed, or it ended before its time."""


Install = Callable[[Path, Path, tuple[str, ...]], None]
"""Makes an environment in a folder with the packages in it, and writes what happens to a log file."""


def cache_folder() -> Path:
    """Where environments are kept: `$XDG_CACHE_HOME/penstock/bench`, or `~/.cache/penstock/bench`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "penstock" / "bench"


def install_packages(folder: Path, log: Path, packages: tuple[str, ...]) -> None:
    """Make an environment with these packages. Raises `OSError`, `subprocess.CalledProcessError`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as out:
        venv.EnvBuilder(clear=True, symlinks=os.name != "nt").create(folder)
        for step in (["ensurepip"], ["pip", "install", "--disable-pip-version-check", *packages]):
            command = [str(_python_in(folder)), "-m", *step]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)


@attrs.frozen(kw_only=True)
class Environment:
    """An environment with these `packages`, each pinned.

    `title` names it to people, `stem` begins the name of its folder, and `without` is the option that does without it.
    """

    title: str
    stem: str
    packages: tuple[str, ...]
    without: str

    def python(self, cache: Path, announce: Callable[[str], None], install: Install = install_packages) -> Path:
        """Its Python; it is made if it is not there. Raises `CompetitorUnavailable`."""
        names = "-".join(self.packages).replace("==", "-")
        folder = cache / f"{self.stem}{names}-py{sys.version_info.major}.{sys.version_info.minor}"
        if not (folder / MADE).exists():
            announce(f"making an environment for {self.title} in {folder}; this is done once, and takes a few minutes")
            log = cache / f"{folder.name}.log"
            try:
                install(folder, log, self.packages)
                (folder / MADE).write_text("\n".join(self.packages) + "\n", encoding="utf-8")
            except (OSError, subprocess.CalledProcessError) as error:
                why = f"could not be installed: {_reason(error, log)} (all of it in {log})"
                raise self.unavailable(why) from None
        return _python_in(folder)

    def unavailable(self, why: str) -> CompetitorUnavailable:
        """The error for what is in it, with what can be done instead."""
        return CompetitorUnavailable(f"{self.title} {why}; {self.without} measures Penstock alone")


CLOSEST: Final = Environment(
    title="the competitor data-designer-engine 0.9.6",
    stem="",
    packages=("data-designer-engine==0.9.6",),
    without="--without-peer",
)
"""That of the closest competitor."""


def _python_in(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _reason(error: Exception, log: Path) -> str:
    """What went wrong, in one line: the last line of the log that speaks of an error."""
    if isinstance(error, OSError):
        return str(error)
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return next((line for line in reversed(lines) if "error" in line.lower()), lines[-1] if lines else str(error))
