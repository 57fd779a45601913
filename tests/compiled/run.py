"""Compiled wheels: they are built, installed in an environment of their own, tried, and measured beside the pure ones.

Run by `tox -e compiled`; it needs a C compiler, pip and the index, and takes some minutes. What is tried, of the core
and of what else is compiled: all pure, all compiled, the core alone compiled, and the core alone pure. Each goes
through the core's tests, the tests of what is compiled besides, and the naive models of both gates; at the end
`penstock bench` runs with the pure and with the compiled wheels, in turn: of the core, and of the gateway.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tomllib
import venv
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

HOUSE = Path(__file__).parents[2]
PROJECTS = [
    HOUSE / "core",
    *(p.parent for a in ("plugins", "policies", "contrib") for p in sorted(HOUSE.glob(f"{a}/*/pyproject.toml"))),
]
COMBINATIONS = ("all-pure", "all-compiled", "core-compiled", "core-pure")
BENCHES: dict[str, Sequence[str]] = {"dispatch": (), "tasks": (), "requests": (), "gateway": ("plain", "waiting")}
"""With the rows that are measured; none: all. That of the gateway needs nginx and wrk, and is left out without."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="tox -e compiled --", description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=COMBINATIONS, action="append", help="try only these (default: all four)")
    parser.add_argument("--runs", type=int, default=200, help="runs of each naive model (default: 200)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each bench (default: 3; 0: no bench)")
    parser.add_argument("--rows", action="append", default=[], help="measure only this row of a bench")
    parser.add_argument("tests", nargs="*", help="tests to run (default: the core's, and of what else is compiled)")
    given = parser.parse_args()
    compiled = [project for project in PROJECTS if is_listed(project)]
    tests = given.tests or ["core/tests", *(str(each.relative_to(HOUSE)) for each in compiled[1:])]
    with TemporaryDirectory(prefix="penstock-compiled-") as folder:
        place = Place(Path(folder))
        place.build(compiled)
        for combination in given.only or COMBINATIONS:
            place.install(compiled, combination)
            print(f"== {combination}: {place.said_by_the_doctor()}", flush=True)
            place.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", *tests)
            for gate in ("tasks", "requests"):
                place.python("-m", "penstock_model", gate, "--runs", str(given.runs))
        if given.rounds:
            place.measure(compiled, given.rounds, given.rows)
    return 0


def is_listed(project: Path) -> bool:
    """Whether some modules of a distribution are compiled."""
    tables = tomllib.loads(project.joinpath("pyproject.toml").read_text(encoding="utf-8"))
    wheel = tables["tool"]["hatch"]["build"]["targets"]["wheel"]
    return "custom" in wheel.get("hooks", {})


def call(command: Sequence[object], folder: Path = HOUSE, **more: str) -> str:
    surroundings = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(
        [*map(str, command)], cwd=folder, env=surroundings | more, stdout=subprocess.PIPE, encoding="utf-8", check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}")
    return done.stdout


class Place:
    """The wheels, and an environment for them."""

    def __init__(self, folder: Path) -> None:
        self._wheels = {build: folder / build for build in ("pure", "compiled")}
        self._venv = folder / "venv"
        self._cache = folder / "cache"
        self._installed = False

    def build(self, compiled: Sequence[Path]) -> None:
        """All wheels, pure; and those that are compiled. The checkout stays as it is."""
        wheel = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w"]
        call([*wheel, self._wheels["pure"], *PROJECTS])
        alone = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", self._wheels["compiled"]]

        def build(project: Path) -> None:  # not by pip, which would build each twice, the first time for its metadata
            cache = self._cache / project.name
            call(alone, folder=project, HATCH_BUILD_HOOK_ENABLE_CUSTOM="1", MYPY_CACHE_DIR=str(cache))

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(build, compiled))

    def _wheel(self, project: Path, build: str) -> Path:
        name = tomllib.loads(project.joinpath("pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
        (found,) = self._wheels[build].glob(f"{name.replace('-', '_')}-*.whl")
        return found

    def _pip(self, *arguments: object) -> None:
        call([sys.executable, "-m", "pip", "--python", self._python, "-q", "install", *arguments])

    @property
    def _python(self) -> Path:
        return self._venv / ("Scripts" if os.name == "nt" else "bin") / "python"

    def install(self, compiled: Sequence[Path], combination: str) -> None:
        """Wheels of these in this combination, and of all others pure, with what the tests need."""
        if not self._installed:
            venv.create(self._venv, with_pip=False, symlinks=os.name != "nt")
            lines = HOUSE.joinpath("requirements.txt").read_text(encoding="utf-8").splitlines()
            others = [line for line in lines if line and not line.startswith(("#", "-e"))]
            leave_out = ("penstock_ray",)  # Ray is large
            wheels = [w for w in sorted(self._wheels["pure"].glob("*.whl")) if not w.name.startswith(leave_out)]
            self._pip(*wheels, *others)
            self._installed = True
        core, rest = {
            "all-pure": ("pure", "pure"),
            "all-compiled": ("compiled", "compiled"),
            "core-compiled": ("compiled", "pure"),
            "core-pure": ("pure", "compiled"),
        }[combination]
        chosen = [self._wheel(each, core if each.name == "core" else rest) for each in compiled]
        self._pip("--no-deps", "--force-reinstall", *chosen)

    def said_by_the_doctor(self) -> str:
        """Which distributions are compiled, in the words of `penstock doctor`."""
        return call([self._python, "-c", DOCTOR]).strip()

    def python(self, *arguments: str) -> None:
        """Run this with what is installed. Ends the whole if it fails."""
        path = os.pathsep.join([str(HOUSE / "tests/model")])
        command = [str(self._python), *arguments]
        surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONHOME"}
        done = subprocess.run(command, cwd=HOUSE, env=surroundings | {"PYTHONPATH": path}, check=False)
        if done.returncode:
            raise SystemExit(done.returncode)

    def measure(self, compiled: Sequence[Path], rounds: int, rows: Sequence[str]) -> None:
        """Print what each row costs pure and compiled: the medians, and how many times as much it costs pure."""
        found: dict[tuple[str, str], dict[str, list[float]]] = {}
        units: dict[tuple[str, str], str] = {}
        for _ in range(rounds):
            for build in ("pure", "compiled"):
                self.install(compiled, f"all-{build}")
                for bench, usual in BENCHES.items():
                    if bench == "gateway" and not (shutil.which("wrk") and shutil.which("nginx")):
                        continue
                    for row in self._bench(bench, rows or usual):
                        key = bench, str(row["row"])
                        units[key] = str(row["unit"])
                        found.setdefault(key, {}).setdefault(build, []).append(float(row["ours"]["median"]))
        print(f"{'row':<34}{'pure':>12}{'compiled':>12}  {'unit':<14}{'gain':>6}")
        for (bench, name), values in found.items():
            pure, with_c = median(values["pure"]), median(values["compiled"])
            gain = with_c / pure if units[bench, name] == "a second" else pure / with_c
            print(f"{bench + ' ' + name:<34}{pure:>12.4g}{with_c:>12.4g}  {units[bench, name]:<14}{gain:>5.2f}×")

    def _bench(self, bench: str, rows: Sequence[str]) -> list[dict[str, Any]]:
        only = [word for row in rows for word in ("--only", row)]
        with TemporaryDirectory() as out:
            alone = ["--quick", "--without-peer", "--rounds", 1, "--out", out]
            call([self._python, "-m", "penstock", "bench", bench, *alone, *only])
            (file,) = Path(out).glob("*.json")
            rows_found: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["rows"]
            return rows_found


DOCTOR = """
import json
from penstock.cli.doctor.looking import look_at_builds
builds = look_at_builds()
print("compiled:", ", ".join(name for name, (_, build) in builds.items() if build == "compiled") or "nothing")
"""


if __name__ == "__main__":
    sys.exit(main())
