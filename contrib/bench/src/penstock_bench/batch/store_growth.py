"""Whether a store of millions of cells is as quick as an empty one: commits at its end beside those at its beginning.

    python -m penstock_bench.batch.store_growth CELLS

in a process of its own prints `{"first": seconds, "last": seconds, "peak": bytes}`: the mean time of a commit among the
first and among the last hundredth, and the memory at most. Cells come as a run makes them: each is looked for before it
is asked, and added when it is answered; a commit takes those of twenty milliseconds at some thousand calls a second.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from functools import cache
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import attrs

from penstock import Usage
from penstock_batch.store.answer import Answer
from penstock_batch.store.store import Store

__all__ = ["IN_A_COMMIT", "Growth", "grown"]

IN_A_COMMIT: Final = 64


@attrs.frozen
class Growth:
    """The mean time of a commit in the first and in the last hundredth, in seconds, and the memory at most, in
    bytes.
    """

    first: float
    last: float
    peak: float


@cache
def grown(cells: int) -> Growth:
    """The growth of a store to so many cells, in a process of its own. Raises `subprocess.CalledProcessError`."""
    command = [sys.executable, "-m", "penstock_bench.batch.store_growth", str(cells)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return Growth(**json.loads(answer))


def _grow(cells: int, path: Path) -> Growth:
    commits = max(cells // IN_A_COMMIT, 2)
    part = max(commits // 100, 1)
    first = last = 0.0
    usage = Usage(input_tokens=40, output_tokens=20)
    with Store(path) as store:
        for commit in range(commits):
            numbers = range(commit * IN_A_COMMIT, (commit + 1) * IN_A_COMMIT)
            keys = [blake2b(number.to_bytes(8), digest_size=16).digest() for number in numbers]
            started = time.perf_counter()
            assert not store.find(keys)
            for number, key in zip(numbers, keys, strict=True):
                text = f"The answer to call {number}, as long as a short sentence is."
                store.add(key, "step", Answer(value=text, text=text, ended="stop", usage=usage, by="p/m", row=number))
            store.commit()
            took = time.perf_counter() - started
            first += took if commit < part else 0.0
            last += took if commit >= commits - part else 0.0
    scale = 1 if sys.platform == "darwin" else 1024
    return Growth(first / part, last / part, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale)


def main(cells: int) -> None:
    """Grow a store in a folder that is gone afterwards, and print what that took."""
    with TemporaryDirectory() as folder:
        print(json.dumps(attrs.asdict(_grow(cells, Path(folder, "store")))))


if __name__ == "__main__":
    main(int(sys.argv[1]))
