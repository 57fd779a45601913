"""What is wrong with the folders in which runs answer `penstock explain`, decided from what was looked at."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from penstock.cli.doctor.findings import Chmod, Finding, RemoveSockets

__all__ = ["socket_findings"]

PRIVATE = 0o700


def socket_findings(dead: Iterable[Path], notes: Iterable[str], open_folders: Mapping[Path, int]) -> Iterator[Finding]:
    """Sockets of runs that have died; folders of this user's that others can enter, with their mode; and the `notes` of
    looking for runs on anything else."""
    by_folder: dict[Path, list[str]] = {}
    for path in dead:
        by_folder.setdefault(path.parent, []).append(path.name)
    for folder, names in by_folder.items():
        yield Finding(
            kind="socket",
            cause=f"{len(names):,} of the runs that answered in {folder} have died, and left their sockets",
            mend="penstock doctor --fix",
            file=str(folder),
            fix=RemoveSockets(folder, tuple(names)),
        )
    for folder, mode in open_folders.items():
        yield Finding(
            kind="socket-folder",
            cause=f"{folder} can be entered by others (mode {mode:o}), so no run answers there",
            mend=f"chmod 700 {shlex.quote(str(folder))}",
            file=str(folder),
            fix=Chmod(folder, PRIVATE),
        )
    for note in notes:
        if not any(note.startswith(f"{folder} ") for folder in open_folders):
            yield Finding(kind="socket-folder", cause=note, mend="export XDG_RUNTIME_DIR=...  # a folder of your own")
