"""A file that is opened at once, or not at all."""

from __future__ import annotations

import os

__all__ = ["opened_without_wait"]


def opened_without_wait(path: str, flags: int) -> int:
    """The opener (see `open`) of a file that may be a pipe: whoever is to read it is not waited for. Where there is
    nobody, that is an `OSError`, as for a socket. Writes wait, as they do of any file.
    """
    without_wait: int = getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags | without_wait, 0o666)
    if without_wait:
        os.set_blocking(descriptor, True)
    return descriptor
