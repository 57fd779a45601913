"""Fetches Grafana's published types of a dashboard, and TypeScript, into a folder, where there is npm; else says so."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

PACKAGES: Final = ("@grafana/schema@13.2.3", "typescript@5.9")


def main(folder: Path) -> None:
    """For `tox -e dashboards`."""
    npm = shutil.which("npm")
    if npm is None:
        print("npm is not installed: the dashboards are not held against Grafana's types")
        return
    folder.mkdir(parents=True, exist_ok=True)
    command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), *PACKAGES]
    if subprocess.run(command, check=False).returncode:
        print("npm cannot fetch Grafana's types: the dashboards are not held against them")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
