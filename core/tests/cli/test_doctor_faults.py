"""What authors and operators honestly get wrong, each with what the doctor finds: cause, place, and what mends it."""

from __future__ import annotations

import json
import os
import resource
import tempfile
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest
from click.testing import CliRunner

from penstock.cli.main import cli

if TYPE_CHECKING:
    from core.tests.conftest import MakeDistribution, WriteFile

REINSTALL: Final = "pip install --upgrade --force-reinstall d"
RULE: Final = "@hookimpl\ndef penstock_task_eligible(task): ...\n"
CLASS: Final = """
import attrs

@attrs.frozen
class Config:
    n: int = 1

class Mine:
    Config = Config
    def __init__(self, config): ...
    @hookimpl
    def penstock_task_eligible(self, task): ...
"""
SINK: Final = """
import attrs

@attrs.frozen
class Config:
    path: str = "events.txt"

class Mine:
    Config = Config
    def __init__(self, config): ...
    @hookimpl
    def penstock_scheduler_event(self, event): ...
"""
TIME_OUT: Final = "import signal\ndef time_out(): signal.setitimer(signal.ITIMER_REAL, 0.001)\n"
"""What hangs has the guard's own timer go off: no test waits for it."""
THREAD: Final = """
import threading
thread = threading.Thread(target=threading.Event().wait, args=[0.2], name="endless")
thread.start()
"""
USES: Final = '[plugins]\ntask_policies = ["mine"]\n'
LOADS: Final = '[plugins]\nload = ["mine.py"]\n'
PROVIDER: Final = '[providers.p]\napi_key_env = "P_KEY"\n[providers.p.models.m]\nmax_parallel_requests = 200\n'


@attrs.frozen
class World:
    """What a fault is made of: `plugin` installs one, `project` as an editable, `file` writes a file."""

    folder: Path
    install: MakeDistribution
    write: WriteFile
    patch: pytest.MonkeyPatch

    def plugin(self, source: str | None, value: str = "a_x", **more: Any) -> None:
        modules = {} if source is None else {"a_x.py": source}
        self.install("d", modules, plugins={"mine": value}, **more)

    def project(self, source: str, value: str = "a_x", name: str = "mine") -> None:
        head = '[project]\nname = "d"\nversion = "1.0"\n[project.entry-points."penstock.plugins"]\n'
        file = self.write("project/pyproject.toml", f'{head}{name} = "{value}"\n')
        self.install("d", {"a_x.py": source}, plugins={"mine": value}, project=file.parent)

    def uses(self, source: str, text: str = USES, value: str = "a_x:Mine") -> Path:
        self.plugin(source, value)
        return self.write("run.toml", text)

    def loads(self, source: str) -> Path:
        self.write("mine.py", source)
        return self.write("run.toml", LOADS)

    def misspelt_group(self) -> None:
        self.plugin(RULE)
        file = self.folder / "site/d/d-1.0.dist-info/entry_points.txt"
        file.write_text(
            file.read_text(encoding="utf-8").replace("penstock.plugins", "penstock.plugin"), encoding="utf-8"
        )

    def twice(self) -> None:
        self.plugin(RULE)
        self.plugin(RULE, version="2.0", copy="2")

    def clash(self) -> None:
        self.plugin(RULE)
        self.install("e", {"b_x.py": RULE}, plugins={"mine": "b_x"})

    def circle(self) -> None:
        files = {"a_x/__init__.py": "from a_x.b import one\n", "a_x/b.py": "from a_x import two\none = two\n"}
        self.install("d", files, plugins={"mine": "a_x"})

    def dash(self) -> Path:
        self.write("my_rule.py", RULE)
        return self.write("run.toml", '[plugins]\nload = ["my_rule.py"]\ntask_policies = ["my-rule"]\n')

    def hangs(self, source: str) -> Path:
        return self.uses(source, '[plugins]\nready_queue = "mine"\n', "a_x")

    def unwritable(self) -> Path:
        # The superuser may write everywhere: what may be written is told from the mode, as for anybody else.
        self.patch.setattr(os, "access", lambda path, mode: bool(Path(path).stat().st_mode & 0o200))
        self.write("events.txt", "").chmod(0o400)
        return self.sink("events.txt")

    def sink(self, path: str) -> Path:
        return self.uses(SINK, f'[plugins]\nsinks = ["mine"]\n[plugins.mine]\npath = "{self.folder / path}"\n')

    def open_folder(self) -> None:
        folder = Path(tempfile.gettempdir(), f"penstock-{os.geteuid()}")
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)

    def few_files(self) -> Path:
        self.patch.setenv("P_KEY", "k")
        self.patch.setattr(resource, "getrlimit", lambda of: (100, 100))
        return self.write("run.toml", PROVIDER)

    def raw(self, content: bytes) -> Path:
        file = self.write("run.toml", "")
        file.write_bytes(content)
        return file

    def open_keys(self) -> Path:
        self.write("keys.json", "{}").chmod(0o644)
        return self.write("run.toml", '[gateway]\nkeys_file = "keys.json"\n')


@attrs.frozen
class Fault:
    """Something that is wrong: what makes it, and what is found. `file` and `mend` are what they end with."""

    make: Callable[[World], Path | None]
    kind: str
    cause: str
    file: str
    line: int | None
    mend: str
    importing: bool = False
    code: int = 1


PERMISSIONS: Final = {"path", "key-file", "socket-folder"}
"""The kinds of which `--fix` mends some."""
INFO: Final = "d-1.0.dist-info/entry_points.txt"
FAULTS: Final = {
    # what is installed
    "misspelt group": Fault(World.misspelt_group, "group", "did you mean 'penstock.plugins'?", INFO, None, INFO),
    "no such module": Fault(
        lambda w: w.plugin(None, "gone_x"), "plugin", "No module named 'gone_x'", INFO, 2, REINSTALL
    ),
    "dot for a colon": Fault(
        lambda w: w.project(CLASS, "a_x.Mine"), "plugin", "'a_x:Mine', with a colon", "pyproject.toml", 5, "+5 *.toml"
    ),
    "no such class": Fault(
        lambda w: w.plugin(CLASS, "a_x:Mien"), "plugin", "did you mean 'Mine'?", "a_x.py", None, REINSTALL
    ),
    "missing dependency": Fault(
        lambda w: w.plugin("import none_x\n" + RULE), "plugin", "'none_x'", "a_x.py", 2, REINSTALL, importing=True
    ),
    "syntax error": Fault(lambda w: w.project("def f(:\n"), "plugin", "is no Python", "a_x.py", 2, "+2 *a_x.py"),
    "raises at import": Fault(
        lambda w: w.project("1 / 0\n"), "plugin", "ZeroDivisionError", "a_x.py", 2, "+2 *a_x.py", importing=True
    ),
    "exits at import": Fault(
        lambda w: w.project("import sys\nsys.exit(3)\n"),
        *("plugin", "SystemExit: 3", "a_x.py", 3, "+3 *a_x.py"),
        importing=True,
    ),
    "raises KeyboardInterrupt at import": Fault(
        lambda w: w.project("raise KeyboardInterrupt\n"),
        *("plugin", "KeyboardInterrupt", "a_x.py", 2, "+2 *a_x.py"),
        importing=True,
    ),
    "attributes that raise": Fault(
        lambda w: w.project(RULE + "def __getattr__(name): raise RuntimeError(name)\n"),
        *("plugin", "cannot be looked at: RuntimeError", "a_x.py", 4, "+4 *a_x.py"),
        importing=True,
    ),
    "entry point that names nothing": Fault(
        lambda w: w.plugin(RULE, "a_x:Mine:Other"), "plugin", "must be 'module' or 'module:name'", INFO, 2, REINSTALL
    ),
    "NUL in its source": Fault(
        lambda w: w.plugin("x = '\0'\n"), "plugin", "null bytes", "a_x.py", None, REINSTALL, importing=True
    ),
    "Config that is no attrs class": Fault(
        lambda w: w.project(CLASS.replace("@attrs.frozen\n", ""), "a_x:Mine"),
        *("plugin", "must be an attrs class", "a_x.py", 5, "+5 *a_x.py"),
        importing=True,
    ),
    "works in another folder": Fault(
        lambda w: w.plugin(RULE + "import os\nos.chdir('/')\n"),
        *("leaves", "changes the folder", "a_x.py", None, "*a_x.py"),
        importing=True,
    ),
    "starts a thread": Fault(
        lambda w: w.plugin(RULE + THREAD),
        *("leaves", "starts the thread 'endless'", "a_x.py", None, "*a_x.py"),
        importing=True,
    ),
    "prints by a child": Fault(
        lambda w: w.plugin(RULE + "import os\nos.write(1, b'hello')\n"),
        *("leaves", "writes to the standard output of the process: 'hello'", "a_x.py", None, "*a_x.py"),
        importing=True,
    ),
    "prints at import": Fault(
        lambda w: w.plugin(RULE + "print('hello')\n"),
        *("prints", "prints while it is imported", "a_x.py", 4, "+4 *a_x.py"),
        importing=True,
    ),
    "imports in a circle": Fault(World.circle, "plugin", "circular import", "b.py", 2, REINSTALL, importing=True),
    "named like one of Python's": Fault(
        lambda w: w.plugin(None, "queue:Mine"), "plugin", "one of Python's own", INFO, 2, REINSTALL
    ),
    "newer contract": Fault(
        lambda w: w.plugin(RULE, contract="2.0"),
        *("plugin", "for version 2.0", INFO, 2, "pip install --upgrade penstock-core"),
    ),
    "misspelt hook": Fault(
        lambda w: w.project("@hookimpl\ndef penstock_task_eligibel(task): ...\n"),
        *("plugin", "did you mean 'penstock_task_eligible'?", "a_x.py", 2, "+2 *a_x.py"),
        importing=True,
    ),
    "unknown argument": Fault(
        lambda w: w.project("@hookimpl\ndef penstock_task_eligible(tsk): ...\n"),
        *("plugin", "did you mean 'task'?", "a_x.py", 2, "+2 *a_x.py"),
        importing=True,
    ),
    "no mark": Fault(
        lambda w: w.project("def penstock_task_eligible(task): ...\n"),
        *("plugin", "lacks its mark", "a_x.py", 2, "+2 *a_x.py"),
        importing=True,
    ),
    "stale editable": Fault(
        lambda w: w.project(RULE, name="more"), "stale", "more = 'a_x'", "pyproject.toml", 5, "pip install -e *project"
    ),
    "installed twice": Fault(World.twice, "twice", "installed 2 times", "d-1.0.dist-info", None, "pip uninstall d *"),
    "one name for two plugins": Fault(
        World.clash, "clash", "'mine' is claimed", "e-1.0.dist-info", None, "uninstall e"
    ),
    "folder of sockets open": Fault(World.open_folder, "socket-folder", "(mode 755)", "*", None, "chmod 700 *"),
    # what a file uses
    "Config that cannot be read": Fault(
        lambda w: w.uses(CLASS.replace("n: int", "n: 'Nope'"), USES + "[plugins.mine]\nn = 1\n"),
        *("configuration", "name 'Nope' is not defined", "a_x.py", 5, REINSTALL),
    ),
    "default that raises": Fault(
        lambda w: w.uses(CLASS.replace("int = 1", "int = attrs.field(factory=lambda: 1 / 0)")),
        *("configuration", "ZeroDivisionError", "a_x.py", 7, REINSTALL),
    ),
    "no Config for its __init__": Fault(
        lambda w: w.uses(CLASS.replace("    Config = Config\n", "")),
        *("configuration", "it has no Config", "run.toml", 2, REINSTALL),
    ),
    "factory that raises": Fault(
        lambda w: w.uses("@hookimpl\ndef penstock_task_policy(): 1 / 0\n", value="a_x"),
        *("configuration", "penstock_task_policy failed", "a_x.py", 3, REINSTALL),
    ),
    "factory that raises KeyboardInterrupt": Fault(
        lambda w: w.uses("@hookimpl\ndef penstock_task_policy(): raise KeyboardInterrupt\n", value="a_x"),
        *("configuration", "penstock_task_policy failed: KeyboardInterrupt", "a_x.py", 3, REINSTALL),
    ),
    "factory that calls itself": Fault(
        lambda w: w.uses("@hookimpl\ndef penstock_task_policy(): penstock_task_policy()\n", value="a_x"),
        *("configuration", "RecursionError", "a_x.py", 3, REINSTALL),
    ),
    "Config of a type that TOML has not": Fault(
        lambda w: w.uses(CLASS.replace("n: int = 1", "n: complex = 1j"), USES + "[plugins.mine]\nn = 1\n"),
        *("configuration", "cannot hold complex", "a_x.py", 5, REINSTALL),
    ),
    "property that raises": Fault(
        lambda w: w.uses(f"{SINK}    flush = property(lambda self: 1 / 0)\n", '[plugins]\nsinks = ["mine"]\n'),
        *("configuration", "cannot be looked at: ZeroDivisionError", "a_x.py", 14, REINSTALL),
    ),
    "file that prints by a child": Fault(
        lambda w: w.loads(f"import os\nos.write(1, b'hello')\n{RULE}"),
        *("leaves", "writes to the standard output", "run.toml", None, "*run.toml"),
    ),
    "factory that hangs": Fault(
        lambda w: w.hangs(f"{TIME_OUT}@hookimpl\ndef penstock_ready_queue():\n    time_out()\n    while True: ...\n"),
        *("*", "took longer than 60 s", "a_x.py", 7, "*"),
    ),
    "import that hangs": Fault(
        lambda w: w.hangs(f"{TIME_OUT}time_out()\nwhile True: ...\n"),
        *("hang", "took longer than 60 s", "a_x.py", 5, "+5 *a_x.py"),
    ),
    "misspelt hook in a file": Fault(
        lambda w: w.loads("@hookimpl\ndef penstock_task_eligibel(task): ...\n"),
        *("configuration", "did you mean", "mine.py", 2, "+2 *mine.py"),
    ),
    "syntax error in a file": Fault(
        lambda w: w.loads("def f(:\n"), "configuration", "SyntaxError", "mine.py", 2, "+2 *mine.py"
    ),
    "no such plugin file": Fault(
        lambda w: w.write("run.toml", LOADS), "configuration", "there is no such file", "run.toml", 2, "+2 *run.toml"
    ),
    "dash for an underscore": Fault(
        World.dash,
        *("configuration", "did you mean 'my_rule'?", "run.toml", 3, "+3 *run.toml"),
    ),
    "table of a plugin in no list": Fault(
        lambda w: w.uses(CLASS, "[plugins.mine]\nn = 1\n"), "configuration", "in no list", "run.toml", 1, "+1 *run.toml"
    ),
    # the file itself
    "misspelt key": Fault(
        lambda w: w.write("run.toml", "[scheduler]\nsede = 1\n"),
        *("configuration", "did you mean 'seed'?", "run.toml", 2, "+2 *run.toml"),
    ),
    "misspelt table": Fault(
        lambda w: w.write("run.toml", "[schedular]\n"),
        *("configuration", "did you mean 'scheduler'?", "run.toml", 1, "+1 *run.toml"),
    ),
    "wrong type": Fault(
        lambda w: w.write("run.toml", '[scheduler]\nseed = "1"\n'),
        *("configuration", "must be a whole number", "run.toml", 2, "+2 *run.toml"),
    ),
    "key that stands twice": Fault(
        lambda w: w.write("run.toml", "[scheduler]\nseed = 1\nseed = 2\n"),
        *("unreadable", "that has a value already", "run.toml", 3, "+3 *run.toml"),
        code=2,
    ),
    "no TOML": Fault(
        lambda w: w.write("run.toml", "seed =\n"), "unreadable", "is no TOML", "run.toml", 1, "+1 *run.toml", code=2
    ),
    "no UTF-8": Fault(
        lambda w: w.raw(b"\n# \xe4\n"), "unreadable", "is not UTF-8", "run.toml", 2, "+2 *run.toml", code=2
    ),
    "a folder": Fault(
        lambda w: w.write("folder/a", "").parent, "unreadable", "Is a directory", "folder", None, "ls *folder", code=2
    ),
    "not there": Fault(
        lambda w: w.folder / "none.toml", "unreadable", "No such file", "none.toml", None, "ls *", code=2
    ),
    "too long a name": Fault(
        lambda w: w.folder / f"{'x' * 300}.toml", "unreadable", "File name too long", "x.toml", None, "ls *", code=2
    ),
    # what surrounds it
    "unset key": Fault(
        lambda w: w.write("run.toml", PROVIDER), "key", "P_KEY is not set", "run.toml", 2, "export P_KEY=..."
    ),
    "too few open files": Fault(World.few_files, "open-files", "264 open files; 100", "run.toml", 4, "ulimit -n 264"),
    "unwritable sink": Fault(World.unwritable, "path", "may not be written to", "run.toml", 4, "chmod u+w *events.txt"),
    "sink in no folder": Fault(
        lambda w: w.sink("none/events.txt"), "path", "there is no folder", "run.toml", 4, "mkdir -p *none"
    ),
    "trace in no folder": Fault(
        lambda w: w.write("run.toml", f'[plugins]\ntrace = 0.1\ntrace_file = "{w.folder}/none/t"\n'),
        *("path", "there is no folder", "run.toml", 3, "mkdir -p *none"),
    ),
    "keys that others may read": Fault(
        World.open_keys, "key-file", "(mode 644)", "run.toml", 2, "chmod go= *keys.json"
    ),
}


@pytest.fixture
def world(
    tmp_path: Path, distribution: MakeDistribution, write: WriteFile, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """Nothing is installed but the core, no key is set, and no run has answered."""
    distribution("penstock-core", version="7.0")
    with TemporaryDirectory(prefix="p", dir="/tmp") as short:
        for name in ("XDG_RUNTIME_DIR", "P_KEY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(tempfile, "tempdir", short)
        yield World(tmp_path, distribution, write, monkeypatch)


def examined(world: World, fault: Fault, *options: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code, and what was found, of what `fault` has made."""
    file = fault.make(world)
    args = ["doctor", "--json", *options, *(["--import"] if fault.importing else []), *([str(file)] if file else [])]
    result = CliRunner().invoke(cli, args, prog_name="penstock")
    findings: list[dict[str, Any]] = json.loads(result.stdout)["findings"]
    return result.exit_code, findings


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_with_its_cause_its_place_and_what_mends_it(name: str, world: World) -> None:
    fault = FAULTS[name]

    code, findings = examined(world, fault)

    assert code == fault.code
    assert [each for each in findings if matches(each, fault)], findings
    assert {each["kind"] for each in findings if each["fix"]} <= PERMISSIONS


def matches(finding: dict[str, Any], fault: Fault) -> bool:
    wanted = {"kind": fault.kind, "file": f"*{fault.file}", "mend": f"*{fault.mend}"}
    found = all(fnmatchcase(finding[key], pattern) for key, pattern in wanted.items())
    return found and fault.cause in finding["cause"] and finding["line"] == fault.line


def test_there_are_enough_of_them() -> None:
    assert len(FAULTS) >= 55


@pytest.mark.parametrize("name", ["unwritable sink", "keys that others may read", "folder of sockets open"])
def test_fix_mends_what_a_change_of_permissions_mends(name: str, world: World) -> None:
    fault = FAULTS[name]

    code, findings = examined(world, fault, "--fix")

    assert [each["mended"] for each in findings if each["kind"] == fault.kind] == [True]
    assert code == 0
