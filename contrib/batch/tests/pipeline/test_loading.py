"""Bad input: each gives its message, with all problems at once, and nothing is written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from penstock import ConfigError
from penstock_batch.pipeline.loading import load_pipeline

if TYPE_CHECKING:
    from contrib.batch.tests.conftest import Folder

WRITER = "[providers.p.models.writer]\nmax_parallel_requests = 16"


def problems(folder: Folder, *replaced: tuple[str, str], more: str = "") -> list[str]:
    """The problems of the pipeline with some of its text replaced."""
    folder.write(*replaced, more=more)
    with pytest.raises(ConfigError) as caught:
        load_pipeline(folder.toml)
    assert not folder.store.parent.exists()
    prefix = f"{folder.toml}: "
    assert all(problem.startswith(prefix) for problem in caught.value.problems)
    return [problem.removeprefix(prefix) for problem in caught.value.problems]


def test_a_pipeline_without_faults_has_its_steps_in_order(folder: Folder) -> None:
    folder.write()
    pipeline = load_pipeline(folder.toml)
    assert [step.name for step in pipeline.steps] == ["summary", "vector", "length"]
    assert pipeline.needs == {"summary": (), "vector": ("summary",), "length": ("summary", "vector")}
    assert pipeline.facts.rows == 5


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (
            'kind = "chat"',
            'kind = "chta"',
            r'steps\[0\].kind: must be "chat" or "embedding" or .* or "gather", not "chta"',
        ),
        ('path = "rows.jsonl"', "", r"input.path: is missing"),
        ("[output]", "[outputs]", r"outputs: unknown table"),
        ('prompt = "Summarise', 'promt = "Summarise', r"steps\[0\].promt: unknown key; did you mean 'prompt'"),
        ('needs = ["summary", "vector"]', 'needs = "summary"', r"steps\[2\].needs: must be a list"),
        (
            "max_parallel_requests = 16",
            'max_parallel_requests = "16"',
            r"providers.p.models.writer.max_parallel_requests: must be a whole number",
        ),
        ("[requests]", "[batch]\nrow_group_size = 0\n[requests]", r"batch.row_group_size: must be at least 1, not 0"),
        ("[requests]", "[batch]\nrequest_timeout = 0.0\n[requests]", r"batch.request_timeout: must be above 0"),
        ("[requests]", "[requests", r"is no TOML: .*at line \d+, column \d+"),
    ],
)
def test_what_does_not_fit_is_reported_with_its_key(folder: Folder, old: str, new: str, complaint: str) -> None:
    reported = problems(folder, (old, new))
    assert any(re.match(complaint, problem) for problem in reported), reported


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (
            "{{ text }}",
            "{{ txt }}",
            "steps.summary: 'txt' is neither a column of the input nor a step; did you mean 'text'?",
        ),
        ("{{ text }}", "{{ text", "steps.summary.prompt: line 1: unexpected end of template"),
        ("{{ text }}", "{% include 'x' %}", "steps.summary.prompt: line 1: include is not allowed"),
        (
            "{{ text }}",
            "{{ text }} {{ vector }}",
            "steps: summary needs vector needs summary: such a cycle can never start",
        ),
        (
            '"p/writer"',
            '"p/writter"',
            "steps.summary.model: there is no [providers.p.models.writter]; did you mean 'writer'?",
        ),
        ('"p/writer"', '"q/writer"', "steps.summary.model: there is no [providers.q]; there are p"),
        ('"p/writer"', '"writer"', "steps.summary.model: must be written provider/model"),
        ('input = "{{ summary }}"', "", "steps.vector.input: a embedding step must have it"),
        ('needs = ["summary", "vector"]', "", "steps.length.needs: a python step must have it"),
        (
            'needs = ["summary", "vector"]',
            'needs = ["summary", "summary"]',
            "steps.length.needs: names 'summary' twice",
        ),
        ('needs = ["summary", "vector"]', 'needs = ["summary"]', "steps.length.function: "),
        ("PYTHON_STEPS:length", "no_such_module:f", "steps.length.function: there is no module 'no_such_module'"),
        ("PYTHON_STEPS:length", "PYTHON_STEPS:lenght", "has no 'lenght'"),
        ("PYTHON_STEPS:length", "PYTHON_STEPS:constant", "is no function"),
        (
            "PYTHON_STEPS:length",
            "length",
            "steps.length.function: 'length' is neither module:function nor an entry point",
        ),
        ('name = "vector"', 'name = "text"', "steps.text: the input has a column of this name"),
        ('prompt = "Sum', 'thread = false\nprompt = "Sum', "steps.summary.thread: means nothing in a chat step"),
        (
            'prompt = "Sum',
            'params = { model = "x" }\nprompt = "Sum',
            "steps.summary.params.model: is set by the step itself",
        ),
        (
            'prompt = "Sum',
            'params = { max_tokens = "5" }\nprompt = "Sum',
            'steps.summary.params.max_tokens: must be a number of tokens, 1 to 1,000,000,000, not "5"',
        ),
        (
            'prompt = "Sum',
            'params = { max_completion_tokens = -1 }\nprompt = "Sum',
            "steps.summary.params.max_completion_tokens: must be a number of tokens, 1 to 1,000,000,000, not -1",
        ),
        (
            'prompt = "Sum',
            'params = { when = 2020-01-01 }\nprompt = "Sum',
            "steps.summary.params: cannot be sent as JSON",
        ),
        ('path = "rows.jsonl"', 'path = "missing.jsonl"', "missing.jsonl: No such file or directory"),
        ('path = "rows.jsonl"', 'path = "rows.txt"', "input.format: is not known from 'rows.txt'"),
        ('path = "out/answers.jsonl"', 'path = "rows.jsonl"', "is the input"),
        ('path = "out/answers.jsonl"', 'path = "."', "is a folder"),
        (
            "BASE_URL",
            "nowhere",
            'providers.p.base_url: must begin with http:// or https:// and a host, not be "nowhere"',
        ),
        ("BASE_URL", "http://me:secret@h/v1", "providers.p.base_url: holds a user or password"),
        ("BASE_URL", "me:secret@h/v1", "providers.p.base_url: holds a user or password"),
        ("BASE_URL", "http://me:secret@[h/v1", "providers.p.base_url: holds a user or password"),
        ("BASE_URL", "http://h/v1?api-version=1", "providers.p.base_url: holds a query or a fragment"),
        ("BASE_URL", "http://h:99999/v1", "providers.p.base_url: has port 99999"),
        ("BASE_URL", "http://h:0/v1", "providers.p.base_url: has port 0"),
        ('base_url = "BASE_URL"', "", "providers.p.base_url: is missing"),
        (
            "[providers.p]",
            '[providers.p]\nkind = "opnai"',
            "providers.p.kind: 'opnai' is no kind of provider; did you mean 'openai'?",
        ),
        ("[providers.p]", '[providers.p]\nkind = "mock"', "providers.p.base_url: means nothing for a mock"),
        (
            "[providers.p]",
            '[providers.p]\napi_key_env = "NO_SUCH_KEY"',
            "the environment variable NO_SUCH_KEY is not set",
        ),
        (
            "[providers.p]",
            '[providers.p]\napi_key_env = "sk-live"',
            "providers.p.api_key_env: must name an environment",
        ),
        (
            "[requests]",
            "[providers.p.options]\nslots = 3\n[requests]",
            "providers.p.options: means nothing for an openai provider",
        ),
    ],
)
def test_what_makes_no_sense_together_is_reported(folder: Folder, old: str, new: str, complaint: str) -> None:
    reported = problems(folder, (old, new))
    assert any(complaint in problem for problem in reported), reported


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        ('["p/slwo"]', "steps.summary.fallback: there is no [providers.p.models.slwo]; did you mean 'slow'?"),
        ('["slow"]', "steps.summary.fallback: must be written provider/model, not 'slow'"),
        ('["p/slow", "p/writer"]', "steps.summary.fallback: names 'p/writer' again"),
        ('"p/slow"', "steps[0].fallback: must be a list"),
    ],
)
def test_a_fallback_is_a_model_that_is_there(folder: Folder, names: str, complaint: str) -> None:
    (reported,) = problems(folder, ('prompt = "Sum', f'fallback = {names}\nprompt = "Sum'))
    assert complaint in reported


NATIVE = """[providers.native]
kind = "KIND"
api_key_env = "NATIVE_KEY"
models.m = { max_parallel_requests = 1 }
[requests]"""
TOOLS = 'tools = [{ type = "function", function = { name = "f" } }]\ntool_choice = "required"\n'


def test_a_fallback_can_be_told_what_the_step_says(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATIVE_KEY", "sk-native-123456")
    said = f'fallback = ["native/m"]\nparams = {{ seed = 1 }}\n{TOOLS}prompt = "Sum'
    (reported,) = problems(folder, ('prompt = "Sum', said), ("[requests]", NATIVE.replace("KIND", "anthropic")))
    assert "steps.summary.fallback: native/m cannot be asked this; params.seed: has no place in a call" in reported


def test_tools_that_a_provider_cannot_be_told_are_told_where_they_stand(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NATIVE_KEY", "sk-native-123456")
    said = f'params = {{ toolConfig = 1 }}\n{TOOLS}prompt = "Sum'
    of_native = ('model = "p/writer"', 'model = "native/m"')
    (reported,) = problems(folder, ('prompt = "Sum', said), of_native, ("[requests]", NATIVE.replace("KIND", "gemini")))
    assert "steps.summary.tool_choice: says the same as toolConfig" in reported


def test_a_fallback_needs_its_key_and_its_price(folder: Folder) -> None:
    models = "models = { m = { max_parallel_requests = 1 } }"
    other = f'[providers.other]\nkind = "mock"\napi_key_env = "NO_SUCH_KEY"\n{models}\n'
    reported = problems(
        folder,
        ('prompt = "Sum', 'fallback = ["other/m"]\nprompt = "Sum'),
        ("[requests]", "[batch]\nbudget = 1\n[requests]"),
        more=other,
    )
    assert any("providers.other.models.m.price: is missing" in problem for problem in reported), reported
    assert any("NO_SUCH_KEY is not set" in problem for problem in reported), reported


def test_everything_that_is_wrong_is_reported_at_once(folder: Folder) -> None:
    reported = problems(
        folder,
        ("{{ text }}", "{% include 'x' %}"),
        ("PYTHON_STEPS:length", "no_such_module:f"),
        ('"p/embedder"', '"p/nobody"'),
        ('path = "rows.jsonl"', 'path = "missing.jsonl"'),
        ("BASE_URL", "nowhere"),
    )
    assert len(reported) == 5


def test_the_limits_of_a_mock_are_checked_with_their_path(folder: Folder) -> None:
    (reported,) = problems(
        folder,
        ('base_url = "BASE_URL"', 'kind = "mock"'),
        more="[providers.p.options.models.writer]\nslots = 0\n",
    )
    assert reported == "providers.p.options.models.writer.slots: must be a whole number from 1 on, not 0"


def test_only_the_providers_that_a_step_calls_need_their_key(folder: Folder) -> None:
    folder.write(more='[providers.other]\nbase_url = "https://other.example/v1"\napi_key_env = "NO_SUCH_KEY"\n')
    assert {model.provider for model in load_pipeline(folder.toml).models} == {"p"}


def test_a_module_that_fails_when_imported_is_the_steps_fault(folder: Folder) -> None:
    folder.write(("PYTHON_STEPS:length", f"broken_{folder.path.name.replace('-', '_')}:f"))
    (folder.path / f"broken_{folder.path.name.replace('-', '_')}.py").write_text("1 / 0", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_pipeline(folder.toml)
    (problem,) = caught.value.records
    assert problem.path == ("steps", "length", "function")
    assert "ZeroDivisionError: division by zero" in problem.what


def test_a_pipeline_without_steps_is_no_pipeline(folder: Folder) -> None:
    folder.write(toml='[input]\npath = "rows.jsonl"\n[output]\npath = "out/answers.jsonl"\n')
    with pytest.raises(ConfigError) as caught:
        load_pipeline(folder.toml)
    assert [problem.path for problem in caught.value.records] == [("steps",)]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_pipeline(tmp_path / "nothing.toml")
    assert [problem.source for problem in caught.value.records] == [str(tmp_path / "nothing.toml")]


def test_an_input_without_a_readable_row_is_no_fault_of_the_pipeline(folder: Folder) -> None:
    folder.lines("oops", "[1]")
    folder.write()
    assert load_pipeline(folder.toml).facts.bad_count == 2


def test_a_column_that_only_some_rows_have_is_known(folder: Folder) -> None:
    folder.lines('{"id": 1}', '{"text": "x"}')
    folder.write()
    assert load_pipeline(folder.toml).facts.columns == ("id", "text")


def test_limits_and_caps_are_no_part_of_a_runs_identity(folder: Folder) -> None:
    folder.write()
    before = load_pipeline(folder.toml).identity
    folder.write(
        (WRITER, WRITER.replace("16", "3")),
        ("initial_limit = 4", "initial_limit = 2"),
        ("[requests]", "[batch]\nrow_group_size = 7\n[requests]"),
    )
    assert load_pipeline(folder.toml).identity == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Summarise in one", "Summarise in two"),
        ('"p/writer"', '"p/slow"'),
        ('model = "p/writer"', 'model = "p/writer"\nparams = { temperature = 1 }'),
        ('"PYTHON_STEPS:length"', '"PYTHON_STEPS:picky"'),
        ("http://127.0.0.1:9/", "http://127.0.0.1:10/"),
        ('name = "length"', 'name = "size"'),
    ],
)
def test_what_decides_an_answer_is_part_of_a_runs_identity(folder: Folder, old: str, new: str) -> None:
    folder.write(("BASE_URL", folder.provider_url))
    before = load_pipeline(folder.toml).identity
    folder.write(("BASE_URL", folder.provider_url), (old, new))
    assert load_pipeline(folder.toml).identity != before
