"""The files that rows name: which they may, how large they may be, and what is known of one without its contents.

A row is foreign data: `../../etc/passwd` is a name like another. So a name is taken from one folder, and where it leads
must lie below that folder when all links have been followed; nothing hidden counts, nothing that is no ordinary file,
and nothing whose contents are not of a known kind. An image is known by its first bytes, whatever its name says, so
that no other file can be sent in its place.

What a call says of a file is a `FileUrl`: a text that identifies the contents by their digest, and stands for them
until the call goes out. So thousands of rows can wait with their images, and those of the calls that are out are in
memory.
"""

from __future__ import annotations

import os
import re
import stat
from base64 import b64encode
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import attrs

from penstock_batch.pipeline.beside import FileProblem

__all__ = ["MOST_BYTES", "FileUrl", "RowFiles", "url_problem", "with_contents"]

MOST_BYTES: Final = 20 << 20
"""Bytes of one file."""
_DIGEST_BYTES: Final = 16
_LONGEST: Final = 200
_TEXTS: Final[Mapping[str, str]] = {
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".csv": "text/csv",
    ".json": "application/json",
    ".html": "text/html",
    ".xml": "application/xml",
}
_URL: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:")
_WEB: Final = re.compile(r"https?://[^\s\x00-\x1f]+", re.I)
_DATA: Final = re.compile(r"data:image/[a-z0-9.+-]+;base64,[a-zA-Z0-9+/=_-]+")


class FileUrl(str):
    """A `data:` URL by the digest of its contents, which stand in the file that `path` names. `media` is their type,
    `size` their number of bytes.
    """

    path: Path
    media: str
    digest: str
    size: int

    @classmethod
    def of(cls, path: Path, media: str, contents: bytes) -> FileUrl:
        """The URL of a file with these contents."""
        digest = _digest(contents)
        made = cls(f"data:{media};blake2b={digest}")
        made.path, made.media, made.digest, made.size = path, media, digest, len(contents)
        return made

    def whole(self) -> str:
        """The URL with its contents. Raises `FileProblem` if they are others now."""
        contents = _read(self.path, self.path.name)
        if _digest(contents) != self.digest:
            raise FileProblem(f"{_shown(self.path.name)} has changed since its row was begun")
        return f"data:{self.media};base64,{b64encode(contents).decode('ascii')}"


@attrs.frozen
class RowFiles:
    """The files below one folder, given without links in its own path."""

    folder: Path

    @classmethod
    def below(cls, folder: Path) -> RowFiles:
        """The files below a folder, wherever the links on the way to it lead."""
        return cls(Path(os.path.realpath(folder)))

    def image(self, name: str) -> str:
        """The URL of an image: a `FileUrl`, or `name` itself if it is a URL. Raises `FileProblem`."""
        if _URL.match(name):
            problem = url_problem(name)
            if problem is not None:
                raise FileProblem(problem)
            return name
        path = self._place(name)
        contents = _read(path, name)
        media = _image_type(contents)
        if media is None:
            raise FileProblem(f"{_shown(name)} is no image of a known kind: PNG, JPEG, GIF or WebP")
        return FileUrl.of(path, media, contents)

    def file(self, name: str) -> FileUrl:
        """The URL of a document. Raises `FileProblem`."""
        if _URL.match(name):
            raise FileProblem(f"{_shown(name)} is a URL, and file() sends along what lies here")
        path = self._place(name)
        contents = _read(path, name)
        if b"%PDF-" in contents[:1024]:
            return FileUrl.of(path, "application/pdf", contents)
        if _image_type(contents) is not None:
            raise FileProblem(f"{_shown(name)} is an image; put it in by image()")
        media = _TEXTS.get(path.suffix.lower())
        if media is None or not _is_text(contents):
            known = ", ".join(_TEXTS)
            raise FileProblem(f"{_shown(name)} is of no known kind: a PDF, or a text in UTF-8 ({known})")
        return FileUrl.of(path, media, contents)

    def _place(self, name: str) -> Path:
        if not name.strip() or "\0" in name:
            raise FileProblem(f"{_shown(name)} is no path")
        try:
            real = Path(os.path.realpath(self.folder / name))
        except ValueError:  # what no file system could hold
            raise FileProblem(f"{_shown(name)} is no path") from None
        if not real.is_relative_to(self.folder):
            raise FileProblem(f"{_shown(name)} does not lie below {self.folder}, where the files of rows are")
        if any(part.startswith(".") for part in real.relative_to(self.folder).parts):
            raise FileProblem(f"{_shown(name)} is hidden, by a name that begins with a dot")
        return real


def url_problem(url: str) -> str | None:
    """What is wrong with the URL of an image, in one line."""
    if _WEB.fullmatch(url):
        return None
    if url[:5].lower() == "data:":
        if len(url) > MOST_BYTES * 4 // 3 + _LONGEST:
            return f"a data: URL holds more than {MOST_BYTES >> 20} MiB"
        return None if _DATA.fullmatch(url) else f"{_shown(url)} is no data: URL of an image in base64"
    return (
        f"{_shown(url)} is a URL that cannot be passed on; http:, https: and data: can, and a file is named by its path"
    )


def with_contents(value: Any) -> Any:
    """A body, or a part of one, with all contents in it. Raises `FileProblem`."""
    if isinstance(value, FileUrl):
        return value.whole()
    if isinstance(value, Mapping):
        return {name: with_contents(each) for name, each in value.items()}
    return [with_contents(each) for each in value] if isinstance(value, list | tuple) else value


def _read(path: Path, name: str) -> bytes:
    flags = os.O_RDONLY
    for flag in ("O_CLOEXEC", "O_BINARY", "O_NOFOLLOW", "O_NONBLOCK"):  # a pipe that nobody writes to holds nothing up
        flags |= getattr(os, flag, 0)
    try:
        number = os.open(path, flags)
        try:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raise FileProblem(f"{_shown(name)} is no ordinary file")
            with open(number, "rb", closefd=False) as file:
                contents = file.read(MOST_BYTES + 1)
        finally:
            os.close(number)
    except FileNotFoundError:
        raise FileProblem(f"{_shown(name)} is not there: {path}") from None
    except OSError as error:
        raise FileProblem(f"{_shown(name)} cannot be read: {error.strerror or error}") from None
    if len(contents) > MOST_BYTES:
        raise FileProblem(f"{_shown(name)} has more than {MOST_BYTES >> 20} MiB")
    if not contents:
        raise FileProblem(f"{_shown(name)} is empty")
    return contents


def _digest(contents: bytes) -> str:
    return blake2b(contents, digest_size=_DIGEST_BYTES).hexdigest()


def _image_type(contents: bytes) -> str | None:
    if contents.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if contents.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if contents.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    return "image/webp" if contents[:4] == b"RIFF" and contents[8:12] == b"WEBP" else None


def _is_text(contents: bytes) -> bool:
    try:
        contents.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\0" not in contents


def _shown(name: str) -> str:
    return repr(name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…")
