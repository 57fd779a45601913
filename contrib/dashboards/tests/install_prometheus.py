"""Installs Prometheus from the system's packages where it is missing and that is allowed; says so where it is not."""

from __future__ import annotations

import os
import shutil
import subprocess


def main() -> None:
    """For `tox -e dashboards`. Raises `subprocess.CalledProcessError` if the package manager fails."""
    if shutil.which("prometheus") is not None and shutil.which("promtool") is not None:
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        print("Prometheus is not installed, and only root can do so with apt-get: its tests are skipped")
        return
    subprocess.run(["apt-get", "update", "-qq"], check=True)
    subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "prometheus"], check=True)


if __name__ == "__main__":
    main()
