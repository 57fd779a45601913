"""The environment of the libraries that `penstock bench sockets` measures beside us: made once, in a cache folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from penstock import PenstockError
from penstock_bench.peer_environment import MADE, install, python_of, why_not

__all__ = ["LIBRARIES", "LibrariesUnavailable", "libraries_python"]

LIBRARIES: Final = ("aiolimiter==1.3.0", "openai==3.52.0", "tenacity==9.2.1")


class LibrariesUnavailable(PenstockError):
    """The other libraries could not be installed."""


def libraries_python(cache: Path, tell: Callable[[str], None]) -> Path:
    """The Python that has them, made if it is not there. Raises `LibrariesUnavailable`."""
    folder = (
        cache / f"sockets-{'-'.join(LIBRARIES).replace('==', '-')}-py{sys.version_info.major}.{sys.version_info.minor}"
    )
    if not (folder / MADE).exists():
        tell(f"making an environment for {', '.join(LIBRARIES)} in {folder}; this is done once")
        log = cache / f"{folder.name}.log"
        try:
            install(folder, log, *LIBRARIES)
            (folder / MADE).write_text("\n".join(LIBRARIES) + "\n")
        except (OSError, subprocess.CalledProcessError) as error:
            raise LibrariesUnavailable(
                f"{', '.join(LIBRARIES)} could not be installed: {why_not(error, log)} (all of it in {log}); "
                "--contender penstock measures Penstock alone"
            ) from None
    return python_of(folder)
