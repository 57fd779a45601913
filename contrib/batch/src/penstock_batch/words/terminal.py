"""What a run says to people: a line each, made safe, on a terminal that may be gone."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from typing import IO, TYPE_CHECKING

import click

from penstock import printable

if TYPE_CHECKING:
    from penstock_batch.words.secrets import Secrets

__all__ = ["hand_out", "say"]


def say(text: str, secrets: Secrets | None = None, *, err: bool = False) -> None:
    """Print a line. Control characters are shown as escapes, keys not at all; a reader that is gone is no error, since
    what the run did does not depend on who reads of it.
    """
    try:
        click.echo(printable(text if secrets is None else secrets.text(text)), err=err)
    except (OSError, ValueError):  # it is gone, cannot say this, or was closed by code
        _close(sys.stderr if err else sys.stdout)


def hand_out(file: IO[bytes]) -> None:
    """Copy a file to standard output. Raises `OSError` if its reader does not take it all."""
    try:
        shutil.copyfileobj(file, sys.stdout.buffer, 1 << 20)
        sys.stdout.buffer.flush()
    except (OSError, ValueError) as error:
        _close(sys.stdout)
        if isinstance(error, ValueError):
            raise OSError("it was closed while the run went on") from None
        raise


def _close(stream: object) -> None:
    # What the stream still holds would fail once more when Python ends, and give the process another exit code.
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # type: ignore[attr-defined]
        os.close(nowhere)
