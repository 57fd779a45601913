from __future__ import annotations

from typing import Never

import pytest

from penstock_batch.pipeline.templates import PromptTemplate, RenderError, TemplateProblem


def test_what_a_template_needs_is_read_from_its_variables() -> None:
    template = PromptTemplate(
        "{% for word in words %}{{ word }} {{ row['First name'] }}{% endfor %}{{ summary | upper }}"
    )
    assert template.variables == {"words", "row", "summary"}


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("Hi {{ name", "line 1: unexpected end of template"),
        ("Hi\n{{ name | nope }}", "line 2: No filter named 'nope'; there are abs, "),
        ("{{ name | uper }}", r"No filter named 'uper'; did you mean 'upper'\?"),
        ("{{ name is strin }}", r"No test named 'strin'; did you mean 'string'\?"),
        ("{% if name | uper %}x{% endif %}", r"No filter named 'uper'; did you mean 'upper'\?"),
        ("{% if name is strin %}x{% endif %}", r"No test named 'strin'; did you mean 'string'\?"),
        ("{% include 'secrets' %}", "line 1: include is not allowed"),
        ("\n{% import 'x' as x %}", "line 2: import is not allowed"),
        ("{% from 'x' import y %}", "import is not allowed"),
        ("{% extends 'x' %}", "extends is not allowed"),
    ],
)
def test_a_template_that_cannot_work_is_refused_when_it_is_compiled(source: str, complaint: str) -> None:
    with pytest.raises(TemplateProblem, match=complaint):
        PromptTemplate(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ missing }}",
        "{{ name.missing }}",
        "{{ name.__class__ }}",
        "{{ items.append(1) }}",
        "{{ 1 // 0 }}",
    ],
)
def test_what_goes_wrong_for_one_row_is_that_rows_error(source: str) -> None:
    with pytest.raises(RenderError):
        PromptTemplate(source).render({"name": "x", "items": []})


def test_text_is_not_escaped_and_only_the_last_line_feed_is_dropped() -> None:
    assert PromptTemplate("\n<{{ a }}>\n\n").render({"a": "b & c"}) == "\n<b & c>\n"


@pytest.mark.parametrize(
    ("source", "values"),
    [
        ("Summarise: {{ text }}", {"text": "<b>&amp; {{ x }}"}),
        ("{{ a }}{{ b }}\n", {"a": "x\n", "b": ""}),
        ("{{ n }} of {{ a }}", {"n": 3, "a": "x"}),
        ("{{ a }}", {"a": None}),
        ("{{ a }}", {"a": 1.5}),
        ("{# said #}{{ a }} {{- a }}", {"a": "x"}),
        ("only text", {}),
        ("", {}),
        ("{{ range }}", {"range": "a column"}),
        ("{% if a %}{{ a }}{% endif %}", {"a": "x"}),
    ],
)
def test_a_plain_template_says_what_it_says_in_the_sandbox(source: str, values: dict[str, object]) -> None:
    in_the_sandbox = PromptTemplate(source + "{% if true %}{% endif %}").render(values)
    if not source.endswith("\n"):  # one line feed at the very end is not part of a template
        assert PromptTemplate(source).render(values) == in_the_sandbox
    else:
        assert PromptTemplate(source).render(values) == in_the_sandbox[:-1]


def test_a_plain_template_without_its_value_fails_as_any_other() -> None:
    with pytest.raises(RenderError, match="'text' is undefined"):
        PromptTemplate("{{ text }}").render({})


class Lookups(dict[str, str]):
    """Values that can be asked for by name, and not gone through, as the sandbox does."""

    def keys(self) -> Never:
        raise AssertionError("gone through")


def test_a_template_of_text_and_names_is_filled_in_without_the_sandbox() -> None:
    template = PromptTemplate("100 % of {{ text }}, {{ text }}{# twice #}\n")
    assert template.render(Lookups(text="<%s>")) == "100 % of <%s>, <%s>"
    assert template.render({"text": 7}) == "100 % of 7, 7"
    with pytest.raises(RenderError, match="'text' is undefined"):
        template.render({})
