"""The error of who uses Penstock under another event loop than trio's: what it says, and what to do."""

from __future__ import annotations

import sys

import trio

__all__ = ["require_trio", "under_asyncio"]


def require_trio(what: str) -> None:
    """Raises `RuntimeError` outside of a trio run; `what` is what was to be used there."""
    if not trio.lowlevel.in_trio_run():
        raise RuntimeError(
            under_asyncio(what)
            or f"{what} runs under trio: start the program with `trio.run(main)`, and use it inside `main`"
        )


def under_asyncio(what: str) -> str | None:
    """What to say where an event loop of asyncio runs; `None` where none does."""
    loops = sys.modules.get("asyncio")
    if loops is None:
        return None
    try:
        loops.get_running_loop()
    except RuntimeError:
        return None
    return (
        f"{what} runs under trio, and this code runs under asyncio: open a gate for asyncio in its place, "
        f"`async with open_gate(config) as gate`, from penstock-asyncio, or start the program with `trio.run(main)`"
    )
