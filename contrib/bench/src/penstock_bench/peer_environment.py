"""The peer's environment: a virtual environment in a cache folder, made once and used from then on."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Final

from penstock import PenstockError

__all__ = [
    "MADE",
    "PEER",
    "VERSION",
    "PeerUnavailable",
    "cache_folder",
    "install",
    "peer_python",
    "python_of",
    "why_not",
]

PEER: Final = "data-designer-engine"
VERSION: Final = "0.9.6"

MADE: Final = "made"
"""This file is written last: without it an environment was left half made, and is made anew."""


class PeerUnavailable(PenstockError):
    """The peer cannot be measured: it could not be installed, or it ended before its time."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the peer {PEER} {VERSION} {why}; --without-peer measures Penstock alone")


Install = Callable[[Path, Path], None]
"""Makes an environment in a folder with the peer in it, and writes what happens to a log file."""


def cache_folder() -> Path:
    """Where environments are kept: `$XDG_CACHE_HOME/penstock/bench`, or `~/.cache/penstock/bench`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "penstock" / "bench"


def peer_python(cache: Path, tell: Callable[[str], None], install_peer: Install | None = None) -> Path:
    """The Python of the peer's environment, which is made if it is not there. Raises `PeerUnavailable`."""
    folder = cache / f"{PEER}-{VERSION}-py{sys.version_info.major}.{sys.version_info.minor}"
    if not (folder / MADE).exists():
        tell(f"making an environment for {PEER} {VERSION} in {folder}; this is done once, and takes a few minutes")
        log = cache / f"{folder.name}.log"
        try:
            (install_peer or _install)(folder, log)
            (folder / MADE).write_text(f"{PEER}=={VERSION}\n")
        except (OSError, subprocess.CalledProcessError) as error:
            raise PeerUnavailable(f"could not be installed: {why_not(error, log)} (all of it in {log})") from None
    return python_of(folder)


def python_of(folder: Path) -> Path:
    """The Python of an environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _install(folder: Path, log: Path) -> None:
    install(folder, log, f"{PEER}=={VERSION}")


def install(folder: Path, log: Path, *packages: str) -> None:
    """Make an environment with these packages. Raises `OSError`, `subprocess.CalledProcessError`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as out:
        venv.EnvBuilder(clear=True, symlinks=os.name != "nt").create(folder)
        for step in (["ensurepip"], ["pip", "install", "--disable-pip-version-check", *packages]):
            command = [str(python_of(folder)), "-m", *step]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)


def why_not(error: Exception, log: Path) -> str:
    """What went wrong, in one line: the last line of the log that speaks of an error."""
    if isinstance(error, OSError):
        return str(error)
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return next((line for line in reversed(lines) if "error" in line.lower()), lines[-1] if lines else str(error))
