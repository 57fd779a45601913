"""Installs nginx from the system's packages where it is missing and that is allowed; says so where it is not."""

from __future__ import annotations

import os
import shutil
import subprocess


def main() -> None:
    """For `tox -e peers`. Raises `subprocess.CalledProcessError` if the package manager fails."""
    if shutil.which("nginx", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin") is not None:
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        print("nginx is not installed, and only root can do so with apt-get: its tests will fail")
        return
    subprocess.run(["apt-get", "update", "-qq"], check=True)
    subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "nginx-light"], check=True)


if __name__ == "__main__":
    main()
