"""What a message holds beside its text: `image(…)` and `file(…)` in its template become parts of its content.

While a template is filled in it can make nothing but text. So each such call leaves a mark in it, which is unlike
anything that a row could hold, and afterwards the text is parted at its marks. A mark that a filter has changed is
found, and is an error of the row.
"""

from __future__ import annotations

import re
from secrets import randbelow
from typing import Any, Final, Literal

from penstock_batch.pipeline.beside import FileProblem
from penstock_batch.pipeline.row_files import FileUrl, RowFiles

__all__ = ["MOST_ATTACHED", "MOST_TOGETHER", "Attaching"]

MOST_ATTACHED: Final = 100
"""Images and files in one call."""
MOST_TOGETHER: Final = 50 << 20
"""Bytes of all files in one call."""


class Attaching:
    """The images and files of one call. `files` are those that may be named."""

    def __init__(self, files: RowFiles) -> None:
        self._files = files
        self._parts: list[dict[str, Any]] = []
        self._parted = 0
        """How many of the parts have their place in a message."""
        self._bytes = 0
        self._word = f"{randbelow(10**20):020}"
        """In each mark, and digits alone: so no filter for letters changes it."""

    def attach(self, kind: Literal["image", "file"], name: object) -> str:
        """The mark of an image or a file. Raises `FileProblem`."""
        if not isinstance(name, str):
            raise FileProblem(f"{kind}() is given no path{' or URL' if kind == 'image' else ''}: {name!r:.100}")
        if len(self._parts) >= MOST_ATTACHED:
            raise FileProblem(f"there are more than {MOST_ATTACHED} images and files in one call")
        self._parts.append(self._image(name) if kind == "image" else self._file(name))
        if self._bytes > MOST_TOGETHER:
            raise FileProblem(f"the files of one call have more than {MOST_TOGETHER >> 20} MiB together")
        return f"\x02{self._word}:{len(self._parts) - 1}\x03"

    def _image(self, name: str) -> dict[str, Any]:
        url = self._files.image(name)
        self._bytes += url.size if isinstance(url, FileUrl) else len(url)
        return {"type": "image_url", "image_url": {"url": url}}

    def _file(self, name: str) -> dict[str, Any]:
        url = self._files.file(name)
        self._bytes += url.size
        return {"type": "file", "file": {"filename": url.path.name, "file_data": url}}

    def content(self, text: str) -> str | list[dict[str, Any]]:
        """The content of a message whose template became `text`: that, or its parts where it has marks. Raises
        `FileProblem` if one of the marks that were made for it is not in it any more.
        """
        pieces = re.split(f"\x02{self._word}:([0-9]+)\x03", text)
        marks, texts = [int(mark) for mark in pieces[1::2]], pieces[::2]
        lost = set(range(self._parted, len(self._parts))).difference(marks)
        self._parted = len(self._parts)
        if lost or any(self._word in piece for piece in texts):
            raise FileProblem(
                "image() and file() are to be printed as they are, and one was not, or a filter changed it"
            )
        if not marks:
            return text
        content = [{"type": "text", "text": texts[0]}]
        for mark, after in zip(marks, texts[1:], strict=True):
            content += [self._parts[mark], {"type": "text", "text": after}]
        return [part for part in content if part["type"] != "text" or part["text"].strip()]
