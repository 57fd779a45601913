"""Puts each defect of `table.toml` into a copy of the tree, one at a time, and sees whether the tests find it.

    tox -e mutants                 all of them
    tox -e mutants -- aimd retry   those with one of these words in their name or file

A defect is *killed* if a named test fails, or if they do not end within 60 s, nor within twice that, in which they do
without it. One that survives is a statement that the tests do not make. One whose old text is not there, or is there
twice, is an error: the code has moved, and the table has not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

TREE: Final = Path(__file__).parents[2]
TABLE: Final = Path(__file__).with_name("table.toml")
COPIED: Final = ("conftest.py", "pyproject.toml", "docs", "core", "plugins", "policies", "contrib", "tests")
SECONDS: Final = 60
WORKERS: Final = 2

Mutant = dict[str, Any]


def main(words: list[str]) -> int:
    mutants = tomllib.loads(TABLE.read_text(encoding="utf-8"))["mutant"]
    mutants = [m for m in mutants if not words or any(word in m["name"] or word in m["file"] for word in words)]
    wrong = [line for mutant in mutants for line in problems(mutant)]
    if wrong or not mutants:
        print("\n".join(wrong) or "no such mutant", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        copies: SimpleQueue[Path] = SimpleQueue()
        for n in range(WORKERS):
            copies.put(copy_of_the_tree(Path(folder) / f"{n}"))
        named = sorted({test for mutant in mutants for test in mutant["tests"]})
        sound = copies.get()
        code, output = tested(sound, named, seconds=20 * SECONDS)
        copies.put(sound)
        if code != 0:
            print(f"the tests fail without any defect:\n{output}", file=sys.stderr)
            return 2
        with ThreadPoolExecutor(WORKERS) as pool:
            fates = list(pool.map(lambda mutant: fate(mutant, copies), mutants))
    survivors = [mutant["name"] for mutant, killed in zip(mutants, fates, strict=True) if not killed]
    print(f"{len(mutants) - len(survivors)} of {len(mutants)} killed")
    for name in survivors:
        print(f"SURVIVED: {name}")
    return 1 if survivors else 0


def problems(mutant: Mutant) -> list[str]:
    """What is wrong with an entry of the table, in words."""
    file = TREE / mutant["file"]
    if not file.is_file():
        return [f"{mutant['name']}: there is no {mutant['file']}"]
    found = file.read_text(encoding="utf-8").count(mutant["old"])
    wrong = [] if found == 1 else [f"{mutant['name']}: its old text stands {found} times in {mutant['file']}, not once"]
    if mutant["old"] == mutant["new"]:
        wrong.append(f"{mutant['name']}: old and new are the same")
    return wrong + [f"{mutant['name']}: there is no {test}" for test in mutant["tests"] if not is_there(test)]


def is_there(test: str) -> bool:
    """Whether there is such a file or folder of tests, and in it a function of that name, where one is named."""
    path, _, name = test.partition("::")
    file, function = TREE / path, name.rpartition("::")[2].partition("[")[0]
    return file.exists() and (not function or f"def {function}(" in file.read_text(encoding="utf-8"))


def copy_of_the_tree(folder: Path) -> Path:
    skipped = shutil.ignore_patterns("__pycache__", ".*", "*.egg-info")
    folder.mkdir()
    for name in COPIED:
        source = TREE / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=skipped)
        else:
            shutil.copy(source, folder / name)
    return folder


def fate(mutant: Mutant, copies: SimpleQueue[Path]) -> bool:
    """Whether the mutant is killed; one line tells of it."""
    copy, tests = copies.get(), mutant["tests"]
    file = copy / mutant["file"]
    sound = file.read_text(encoding="utf-8")
    began = time.monotonic()
    try:
        file.write_text(sound.replace(mutant["old"], mutant["new"]), encoding="utf-8")
        try:
            code, output = tested(copy, tests, seconds=SECONDS)
            if code is None:  # it may be the machine that is slow
                code, output = tested(copy, tests, seconds=2 * SECONDS)
        finally:
            file.write_text(sound, encoding="utf-8")
        if code is None and tested(copy, tests, seconds=2 * SECONDS)[0] is None:
            raise SystemExit(f"{mutant['name']}: its tests take more than {2 * SECONDS} s without it too; name fewer")
    finally:
        copies.put(copy)
    seconds = time.monotonic() - began
    by = "by the clock" if code is None else "by " + (killer(output) or "an error")
    print(
        f"{'killed' if code != 0 else 'SURVIVED':8} {seconds:5.1f} s  {mutant['name']}  {by if code != 0 else ''}",
        flush=True,
    )
    if code not in (None, 0, 1):
        raise SystemExit(f"{mutant['name']}: the tests did not run (exit code {code}):\n{output}")
    return code != 0


def tested(copy: Path, tests: list[str], *, seconds: int) -> tuple[int | None, str]:
    """The exit code of the tests of a copy, `None` if they did not end in time; and what they wrote."""
    sources = [str(path) for path in sorted(copy.glob("*/src")) + sorted(copy.glob("*/*/src"))]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sources), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider"]
    command += ["--hypothesis-profile", "mutants", *tests]
    try:
        done = subprocess.run(
            command, cwd=copy, env=env, capture_output=True, encoding="utf-8", timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return None, ""
    return done.returncode, done.stdout + done.stderr


def killer(output: str) -> str | None:
    """The test that failed."""
    lines = [line for line in output.splitlines() if line.startswith("FAILED ")]
    return lines[0].removeprefix("FAILED ").partition(" - ")[0] if lines else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
