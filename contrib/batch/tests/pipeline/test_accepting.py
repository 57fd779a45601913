from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from penstock_batch.pipeline.accepting import Accept, load_accept
from penstock_batch.pipeline.functions import FunctionProblem

_number = itertools.count()


def loaded(folder: Path, source: str) -> Accept:
    name = f"accepts_{folder.name.replace('-', '_')}_{next(_number)}"
    (folder / f"{name}.py").write_text(source, encoding="utf-8")
    return load_accept(f"{name}:f", folder)


def test_what_a_function_takes_beside_the_value_is_read_from_its_names(tmp_path: Path) -> None:
    accept = loaded(tmp_path, "def f(value, text, row, *rest, limit=10, **others): return [value, text, row, limit]")
    assert (accept.wanted, accept.optional) == (("text", "row"), ("limit",))


def test_a_class_or_a_bound_method_may_judge(tmp_path: Path) -> None:
    accept = loaded(tmp_path, "class Judge:\n    def __call__(self, value, text): return True\nf = Judge()")
    assert accept.wanted == ("text",)
    assert accept.objection(1, {"text": ""}) is None


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("async def f(value): ...", "plain function"),
        ("def f(value): yield", "plain function"),
        ("def f(): ...", "first argument"),
        ("def f(*, value): ...", "first argument"),
        ("def f(**values): ...", "first argument"),
        ("def f(value, text, /): ...", "by position only"),
        ("f = 3", "no function"),
        ("raise ValueError('x')", "importing"),
    ],
)
def test_a_function_that_cannot_judge_is_refused(tmp_path: Path, source: str, said: str) -> None:
    with pytest.raises(FunctionProblem, match=said):
        loaded(tmp_path, source)


def test_a_function_without_a_signature_is_given_the_value_alone(tmp_path: Path) -> None:
    accept = loaded(tmp_path, "f = type('T', (), {'__call__': lambda self, value: None, '__signature__': 3})()")
    assert accept.objection("x", {"text": 1}) is None


def test_what_a_function_says_is_bounded_before_it_goes_to_a_model(tmp_path: Path) -> None:
    objection = loaded(tmp_path, "def f(value): return 'too  long: ' + value").objection("x" * 10**6, {})
    assert objection is not None
    assert objection.reason.startswith("too long: xxx")
    assert len(objection.reason) <= 500
