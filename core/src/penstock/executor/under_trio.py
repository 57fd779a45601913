"""The error of who uses Penstock under another event loop than trio's: what it says, and what to do."""

from __future__ import annotations

import sys

import trio

__all__ = ["require_trio"]


def require_trio(what: str) -> None:
    """Raises `RuntimeError` outside of a trio run; `what` is what was to be used there."""
    if trio.lowlevel.in_trio_run():
        return
    if _under_asyncio():
        raise RuntimeError(
            f"{what} runs under trio, and this code runs under asyncio: give Penstock a trio run in a thread of its "
            f"own, `await asyncio.to_thread(trio.run, main)`, or start the program with `trio.run(main)`"
        )
    raise RuntimeError(f"{what} runs under trio: start the program with `trio.run(main)`, and use it inside `main`")


def _under_asyncio() -> bool:
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
