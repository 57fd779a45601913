"""The build hook that compiles modules of a distribution by mypyc, into a wheel for one platform.

Each distribution that gains lists its modules in its `pyproject.toml`, in the table of this hook. It is off unless
`HATCH_BUILD_HOOK_ENABLE_CUSTOM=1` is set, so that a checkout and the ordinary wheel need no compiler; an editable
install is never compiled. The wheel has the same sources beside what was compiled of them.

Nothing is written into the checkout: an extension module beside its source would be imported there ever after, whatever
becomes of the source. Why it is not `hatch-mypyc`: `docs/design/compiled.md`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MYPY = ["--config-file=", "--strict", "--ignore-missing-imports", "--follow-imports=silent"]
"""Types alone are looked at here; the rules that the sources are held to are those of `tox -e mypy`."""

DIRECT = ["-fvisibility=hidden"]
"""Functions of one library call each other without a detour, since nobody else may put others in their place."""


class MypycHook(BuildHookInterface[Any]):
    """Compiles the `modules` of its table, paths below `src`. `mypy-path`: where the types of others are found."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add what was compiled to the wheel, which is one for this platform and this Python then."""
        if version == "editable":
            return
        self._folder = TemporaryDirectory(prefix="penstock-mypyc-")
        out = Path(self._folder.name).resolve()
        order = {
            "name": self.metadata.core.name.replace("-", "_"),
            "modules": self.config["modules"],
            "mypy_path": [os.path.join(self.root, path) for path in self.config.get("mypy-path", ())],
            "out": str(out),
        }
        done = subprocess.run(
            [sys.executable, __file__, json.dumps(order)],
            cwd=os.path.join(self.root, "src"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{self.metadata.core.name} could not be compiled:\n{done.stdout}")
        built = out / "lib"
        for file in sorted(each for each in built.rglob("*") if each.suffix in (".so", ".pyd")):
            build_data["force_include"][str(file)] = file.relative_to(built).as_posix()
        build_data["infer_tag"] = True
        build_data["pure_python"] = False

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leave nothing behind."""
        if version != "editable":
            self._folder.cleanup()


def compile_modules(name: str, modules: list[str], mypy_path: list[str], out: str) -> None:
    """Compile these, whose paths are as seen from here, into the folder `lib` of `out`. One shared library holds them
    all, since calls between modules of one library are those of C; it has the `name` of its distribution.
    """
    os.environ["MYPYPATH"] = os.pathsep.join(mypy_path)
    cache = os.environ.get("MYPY_CACHE_DIR") or os.path.join(out, "cache")
    from setuptools import setup  # before mypyc, which goes by what is imported

    from mypyc.build import mypycify  # isort: skip

    sources = Path(out, "c")
    sources.mkdir()
    found = mypycify([*MYPY, f"--cache-dir={cache}", *modules], opt_level="3", target_dir=str(sources), group_name=name)
    for file in sources.rglob("*.c"):
        file.write_text(without_weak_references(file.read_text(encoding="utf-8")), encoding="utf-8")
    if sys.platform != "win32":
        for extension in found:
            extension.extra_compile_args += DIRECT
    arguments = ["build_ext", "--build-lib", os.path.join(out, "lib"), "--build-temp", os.path.join(out, "temp")]
    setup(name=name, packages=[], ext_modules=found, script_args=["--quiet", *arguments])


def without_weak_references(source: str) -> str:
    """The C source with classes that nobody refers to weakly. mypyc lets those be that are generic, or protocols, and
    does not clear the references when an object goes: who follows one reads what is no more.
    """
    return re.sub(r"^\s*\.tp_weaklistoffset = .*,\n", "", source, flags=re.MULTILINE)


if __name__ == "__main__":
    compile_modules(**json.loads(sys.argv[1]))
