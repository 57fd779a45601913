"""The folder with the sockets of a user's runs: where it may be, and what makes it safe to use.

It lies in `$XDG_RUNTIME_DIR` or in the temporary folder, where everybody may make one of the same name first. So it is
used only if it is a real folder, no link, that belongs to this user and that nobody else may enter, and if nobody else
may put another in its place. It is opened once, checked as it was opened, and what lies in it is looked at and removed
through that open folder: whatever happens to the path meanwhile, no file of anybody else's is touched.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final

import attrs

__all__ = ["LONGEST_FOLDER", "SocketFolder", "UnsafeFolder", "possible_folders", "run_folder", "socket_folder"]

LONGEST_FOLDER: Final = 75
"""Bytes of its path: systems take 104 to 108 for that of a socket, of which 25 are the name in it."""

SOCKETS: Final = re.compile(r"[0-9a-f]{16}\.sock")
"""The names of the sockets, which are random: two runs may have the same name, process id or both."""


class UnsafeFolder(OSError):
    """The folder cannot be trusted with a socket; the text says why, and what to do."""


def possible_folders() -> list[Path]:
    """Where sockets of this user's runs may be, the place that a run prefers first.

    That is `$XDG_RUNTIME_DIR/penstock` if that variable names a folder of this user's that nobody else may enter, and
    `penstock-<uid>` in the temporary folder, or in `/tmp` if the path of the one that is set is too long.
    """
    folders = []
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and _is_private(Path(runtime)):
        folders.append(Path(runtime, "penstock"))
    folders.append(Path(tempfile.gettempdir(), f"penstock-{os.geteuid()}"))
    fitting = [folder for folder in folders if len(os.fsencode(folder)) <= LONGEST_FOLDER]
    return fitting or [Path("/tmp", folders[-1].name)]


@attrs.frozen
class SocketFolder:
    """A folder that was found safe, and is held open as `fd`."""

    path: Path
    fd: int

    def new_name(self) -> str:
        """A name for a socket that no other has."""
        return f"{secrets.token_hex(8)}.sock"

    def sockets(self) -> list[str]:
        """The names of the sockets in it, all of them this user's own."""
        return [name for name in sorted(os.listdir(self.fd)) if SOCKETS.fullmatch(name) and self._is_own(name)]

    def close_to_others(self, name: str) -> None:
        """A socket in it, to which only this user may connect from now on."""
        os.chmod(name, 0o600, dir_fd=self.fd)

    def rename(self, name: str, new_name: str) -> None:
        """Another name for a file in it."""
        os.rename(name, new_name, src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def remove(self, name: str) -> None:
        """The end of a socket in it, if it is there and this user's own."""
        if self._is_own(name):
            os.unlink(name, dir_fd=self.fd)

    def _is_own(self, name: str) -> bool:
        try:
            found = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return stat.S_ISSOCK(found.st_mode) and found.st_uid == os.geteuid()


def run_folder() -> AbstractContextManager[SocketFolder]:
    """The folder for the socket of a new run, made if there is none. Raises `UnsafeFolder`, or another `OSError`."""
    path = possible_folders()[0]
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    return socket_folder(path)


@contextmanager
def socket_folder(path: Path) -> Iterator[SocketFolder]:
    """The folder at `path`, open and checked. Raises `UnsafeFolder`, or another `OSError` if there is none."""
    if wrong := _wrong_with_place(path.parent) or _wrong_with(path.lstat(), path):
        raise UnsafeFolder(wrong)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if wrong := _wrong_with(os.fstat(fd), path):  # it may be another by now
            raise UnsafeFolder(wrong)
        yield SocketFolder(path, fd)
    finally:
        os.close(fd)


def _is_private(path: Path) -> bool:
    try:
        return path.is_absolute() and not _wrong_with(path.lstat(), path)
    except OSError:
        return False


def _wrong_with(found: os.stat_result, path: Path) -> str:
    """Why this is no folder of this user's alone; empty if it is."""
    if stat.S_ISLNK(found.st_mode):
        return f"{path} is a symbolic link, which is not followed; remove it, or set XDG_RUNTIME_DIR"
    if not stat.S_ISDIR(found.st_mode):
        return f"{path} is no folder; remove it, or set XDG_RUNTIME_DIR"
    if found.st_uid != os.geteuid():
        return f"{path} belongs to another user (uid {found.st_uid}); set XDG_RUNTIME_DIR to a folder of your own"
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        return f"{path} can be entered by others (mode {mode:o}); remove it, or `chmod 700` it"
    return ""


def _wrong_with_place(parent: Path) -> str:
    """Why somebody else could exchange what lies in this folder; empty if nobody can."""
    found = parent.stat()
    if found.st_uid not in (0, os.geteuid()):
        return f"{parent} belongs to another user (uid {found.st_uid}); set XDG_RUNTIME_DIR to a folder of your own"
    if found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX:
        return f"others may rename what lies in {parent} (it has no sticky bit); set XDG_RUNTIME_DIR"
    return ""
