"""Runs the net for as long as it is told: `tox -e fuzz -- tasks --seconds 600`, or `tox -e fuzz -- small-world`."""

from __future__ import annotations

import argparse
import itertools
import os
import random
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import trio
from trio.testing import MockClock

from penstock_model import small_requests, small_tasks
from penstock_model.failures import failure_of_requests, failure_of_tasks
from penstock_model.gateway_tenants import failure_of_gateway
from penstock_model.request_seeds import ALL_REQUEST_HOLDS
from penstock_model.shell_requests import run_of_requests
from penstock_model.shell_tasks import run_of_tasks
from penstock_model.small_world import SmallWorld, explore
from penstock_model.task_seeds import ALL_HOLDS


def in_virtual_time(run: Callable[..., Awaitable[object]], *args: object) -> str | None:
    """What went wrong in a run with trio's clock of tests; `None` if nothing did."""
    try:
        trio.run(run, *args, clock=MockClock(autojump_threshold=0))
    except Exception as error:
        return f"seed {args[0]}: " + "".join(traceback.format_exception(error))
    return None


RUNS: dict[str, Callable[[int], str | None]] = {
    "tasks": lambda seed: failure_of_tasks(seed, ALL_HOLDS),
    "untrue-tasks": lambda seed: failure_of_tasks(seed, ALL_HOLDS, untrue=True),
    "requests": lambda seed: failure_of_requests(seed, ALL_REQUEST_HOLDS),
    "shell-tasks": lambda seed: in_virtual_time(run_of_tasks, seed, ALL_HOLDS),
    "shell-requests": lambda seed: in_virtual_time(run_of_requests, seed, ALL_REQUEST_HOLDS),
    "gateway": failure_of_gateway,
    "untrue-requests": lambda seed: failure_of_requests(seed, ALL_REQUEST_HOLDS, untrue=True),
}
"""What a seed is run through, by name."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="tox -e fuzz --", description=__doc__)
    parser.add_argument("what", nargs="?", choices=[*RUNS, "small-world"], help="default: all but the small world")
    parser.add_argument("--seconds", type=float, default=60.0, help="for how long, for each (default: 60)")
    parser.add_argument("--runs", type=int, help="how many runs, instead of how long")
    parser.add_argument("--start", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument("--worlds", choices=[*WORLDS], action="append", help="only these small worlds (default: all)")
    parser.add_argument("--depth", type=int, default=2, help="where the small world begins (default: 2)")
    parser.add_argument("--failures", type=int, default=5, help="stop after so many failures (default: 5)")
    given = parser.parse_args()
    if given.what == "small-world":
        small_world(given.seconds, given.worlds or [*WORLDS], given.depth)
        return 0
    return sum(fuzz(name, given) for name in ([given.what] if given.what else RUNS))


def fuzz(name: str, given: argparse.Namespace) -> int:
    """Run seed after seed; returns how many failed."""
    began, failed, run = time.monotonic(), 0, 0
    for run in itertools.count(1):
        failure = RUNS[name](given.start + run - 1)
        if failure is not None:
            failed += 1
            print(f"{name}: {failure}\n", flush=True)
        over = run >= given.runs if given.runs else time.monotonic() - began >= given.seconds
        if over or failed >= given.failures:
            break
    print(f"{name}: {run} runs, seeds {given.start} to {given.start + run - 1}, {failed} failed", flush=True)
    return failed


WORLDS: dict[str, Callable[[], Iterator[SmallWorld]]] = {
    "tasks, one rule": small_tasks.one_rule_each,
    "requests, one rule": small_requests.one_rule_each,
    "tasks, two rules": small_tasks.two_rules_each,
    "requests, two rules": small_requests.two_rules_each,
}


def small_world(seconds: float, names: list[str], first: int) -> None:
    """Explore one step deeper each time, on all cores, until the time is up. Raises `Mismatch`."""
    until = time.monotonic() + seconds
    with ProcessPoolExecutor() as cores:
        for depth in itertools.count(first):
            for what in names:
                here = list(range(len(list(WORLDS[what]()))))
                random.Random(depth).shuffle(here)  # so that one that is cut short has seen some of every kind
                shares = [here[at::PARTS] for at in range(PARTS)]
                told = list(cores.map(partial(explored, what, depth, until), shares))
                worlds, sequences = (sum(each) for each in zip(*told, strict=True))
                print(f"small world, {what}, depth {depth}: {worlds} of {len(here)} worlds, {sequences} sequences")
                sys.stdout.flush()
                if worlds < len(here):
                    return


PARTS = 8 * (os.cpu_count() or 1)
"""In so many shares the worlds are explored, so that no core is idle for long at the end."""


def explored(what: str, depth: int, until: float, share: list[int]) -> tuple[int, int]:
    """How many worlds of a share were explored before the time was up, and how many sequences there were in them."""
    worlds, sequences = list(WORLDS[what]()), 0
    for count, at in enumerate(share):
        if time.monotonic() >= until:
            return count, sequences
        sequences += explore(worlds[at], depth)
    return len(share), sequences


if __name__ == "__main__":
    sys.exit(main())
