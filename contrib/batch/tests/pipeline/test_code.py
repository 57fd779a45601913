"""What a function is known by: a change of anything that it reaches is seen, a remark is not."""

# ruff: noqa: E501  # a module in a line

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from penstock_batch.pipeline.code import UnknownCode, code_of

NUMBERS = count()


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """The code of `f` in a module `steps`, beside which other modules lie."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)

    def known_by(steps: str, name: str = "f", version: str | None = None, **others: str) -> str:
        for loaded in set(sys.modules) - before:
            if loaded.partition(".")[0] in {"steps", "other", "pack"}:
                del sys.modules[loaded]
        folder = tmp_path / str(next(NUMBERS))
        for module, text in {"steps": steps, **others}.items():
            path = folder / f"{module}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(str(folder))
        importlib.invalidate_caches()
        made = importlib.import_module("steps")
        for part in name.split("."):
            made = getattr(made, part)
        return code_of(made, folder, version, f"steps:{name}")  # type: ignore[arg-type]

    yield known_by
    for loaded in set(sys.modules) - before:
        if loaded.partition(".")[0] in {"steps", "other", "pack"}:
            del sys.modules[loaded]


PLAIN = "def f(x):\n    return x + 1\n"


@pytest.mark.parametrize(
    "remarked",
    [
        "def f(x):\n    # a remark\n    return x + 1\n",
        'def f(x):\n    """Says what it does."""\n    return (x\n            + 1)\n',
        "other = 3\n\n\ndef g():\n    return other\n\n\n" + PLAIN,
        "import json\n" + PLAIN,
    ],
    ids=["comment", "docstring", "neighbours", "an import that it does not use"],
)
def test_what_changes_nothing_is_not_seen(code: Callable[..., str], remarked: str) -> None:
    assert code(PLAIN) == code(remarked)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (PLAIN, PLAIN.replace("1", "2")),
        ("def g():\n    return 1\ndef f(x):\n    return g()\n", "def g():\n    return 2\ndef f(x):\n    return g()\n"),
        ("LIMIT = 1\ndef f(x):\n    return LIMIT\n", "LIMIT = 2\ndef f(x):\n    return LIMIT\n"),
        ("LIMIT = 1\ndef f(x, y=LIMIT):\n    return y\n", "LIMIT = 2\ndef f(x, y=LIMIT):\n    return y\n"),
        ("A = 1\nB = A\ndef f(x):\n    return B\n", "A = 2\nB = A\ndef f(x):\n    return B\n"),
        (
            "LIST = []\nLIST.append(1)\ndef f(x):\n    return LIST\n",
            "LIST = []\nLIST.append(2)\ndef f(x):\n    return LIST\n",
        ),
        ("T = {}\nT['a'] = 1\ndef f(x):\n    return T\n", "T = {}\nT['a'] = 2\ndef f(x):\n    return T\n"),
        (
            "class C:\n    def m(self):\n        return 1\ndef f(x):\n    return C().m()\n",
            "class C:\n    def m(self):\n        return 2\ndef f(x):\n    return C().m()\n",
        ),
        (
            "class B:\n    n = 1\nclass C(B):\n    pass\ndef f(x):\n    return C.n\n",
            "class B:\n    n = 2\nclass C(B):\n    pass\ndef f(x):\n    return C.n\n",
        ),
        (
            "import functools\ndef twice(g):\n    @functools.wraps(g)\n    def h(x):\n        return g(x)\n    return h\n@twice\ndef f(x):\n    return x\n",
            "import functools\ndef twice(g):\n    @functools.wraps(g)\n    def h(x):\n        return g(g(x))\n    return h\n@twice\ndef f(x):\n    return x\n",
        ),
        (
            "def made(n):\n    def f(x):\n        return x + n\n    return f\nf = made(1)\n",
            "def made(n):\n    def f(x):\n        return x + n\n    return f\nf = made(2)\n",
        ),
        ("f = lambda x: x + 1\n", "f = lambda x: x + 2\n"),
        (
            "from functools import partial\ndef g(n, x):\n    return n\nf = partial(g, 1)\n",
            "from functools import partial\ndef g(n, x):\n    return n\nf = partial(g, 2)\n",
        ),
        (
            "from functools import partial\ndef g(n, x):\n    return n\nf = partial(g, 1)\n",
            "from functools import partial\ndef g(n, x):\n    return n + 1\nf = partial(g, 1)\n",
        ),
        (
            "def f(x):\n    return g(x)\ndef g(x):\n    return f(x)\n",
            "def f(x):\n    return g(x)\ndef g(x):\n    return f(x + 1)\n",
        ),
        (
            "class C:\n    n = 1\n    def __call__(self, x):\n        return self.n\nf = C()\n",
            "class C:\n    n = 2\n    def __call__(self, x):\n        return self.n\nf = C()\n",
        ),
        (
            "class C:\n    def __init__(self, n):\n        self.n = n\n    def m(self, x):\n        return self.n\nf = C(1).m\n",
            "class C:\n    def __init__(self, n):\n        self.n = n\n    def m(self, x):\n        return self.n\nf = C(2).m\n",
        ),
        (
            "if True:\n    N = 1\nelse:\n    N = 0\ndef f(x):\n    return N\n",
            "if True:\n    N = 2\nelse:\n    N = 0\ndef f(x):\n    return N\n",
        ),
        (
            "M = 1\nif M > 1:\n    N = 1\nelse:\n    N = 0\ndef f(x):\n    return N\n",
            "M = 2\nif M > 1:\n    N = 1\nelse:\n    N = 0\ndef f(x):\n    return N\n",
        ),
    ],
    ids=[
        *("body", "helper", "constant", "default", "constant of a constant", "changed in place", "item set", "method"),
        *(
            "base class",
            "decorator",
            "closure",
            "lambda",
            "partial",
            "what a partial is of",
            "circle",
            "callable object",
        ),
        *("bound method", "within if", "condition"),
    ],
)
def test_what_it_reaches_in_its_module_is_seen(code: Callable[..., str], before: str, after: str) -> None:
    assert code(before) == code(before)
    assert code(before) != code(after)


@pytest.mark.parametrize(
    "steps",
    [
        "import other\ndef f(x):\n    return other.helper(x)\n",
        "import other as o\ndef f(x):\n    return o.helper(x)\n",
        "from other import helper\ndef f(x):\n    return helper(x)\n",
        "from other import helper as h\ndef f(x):\n    return h(x)\n",
        "from other import *\ndef f(x):\n    return helper(x)\n",
        "def f(x):\n    from other import helper\n    return helper(x)\n",
        "def f(x):\n    import other\n    return other.helper(x)\n",
        "def f(x):\n    import other as o\n    return o.helper(x)\n",
        "import other\nhelp_me = other.helper\ndef f(x):\n    return help_me(x)\n",
        "import other\ndef f(x):\n    return getattr(other, 'hel' + 'per')(x)\n",
        "try:\n    import nothing_like_it\nexcept ImportError:\n    from other import helper\ndef f(x):\n    return helper(x)\n",
        "from other import helper as f\n",
    ],
    ids=[
        *("module", "module as", "from", "from as", "star", "from within", "within", "within as", "alias", "getattr"),
        *("try", "imported itself"),
    ],
)
def test_what_it_reaches_in_modules_beside_it_is_seen(code: Callable[..., str], steps: str) -> None:
    one, two = ("N = {}\ndef helper(x):\n    return N\n".replace("{}", number) for number in "12")
    assert code(steps, other=one) == code(steps, other=one)
    assert code(steps, other=one) != code(steps, other=two)


@pytest.mark.parametrize(
    "steps",
    [
        "from pack.deep import helper\ndef f(x):\n    return helper(x)\n",
        "import pack.deep\ndef f(x):\n    return pack.deep.helper(x)\n",
        "import pack.deep as d\ndef f(x):\n    return d.helper(x)\n",
        "from pack import deep\ndef f(x):\n    return deep.helper(x)\n",
        "from pack import told\ndef f(x):\n    return told(x)\n",
    ],
    ids=["from module", "dotted", "dotted as", "module from package", "given on by the package"],
)
def test_what_it_reaches_in_a_package_beside_it_is_seen(code: Callable[..., str], steps: str) -> None:
    told = "from .deep import helper as told\n"
    one, two = ({"pack/__init__": told, "pack/deep": f"def helper(x):\n    return {number}\n"} for number in "12")
    assert code(steps, **one) == code(steps, **one)
    assert code(steps, **one) != code(steps, **two)


def test_an_installed_module_counts_by_its_version(code: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    steps = "import click\ndef f(x):\n    return click.style(x)\n"
    before = code(steps)
    monkeypatch.setattr("penstock_batch.pipeline.code.version_of", lambda name: "99")
    assert code(steps) != before


def test_what_has_no_source_beside_the_toml_says_its_version(code: Callable[..., str]) -> None:
    made = "exec('def f(x): return 1')\n"
    with pytest.raises(UnknownCode, match="is required"):
        code(made)
    assert code(made, version="2") != code(made, version="3")
    assert code(made, version="2") == code(made, version="2")
