"""No template holds up the run: whatever it does much of, it is stopped at it, and its row fails."""

from __future__ import annotations

from typing import Any

import pytest

from penstock_batch.pipeline.templates import PromptTemplate, RenderError, TemplateProblem

VALUES: dict[str, Any] = {
    "a": "x",
    "words": ["b", "a"],
    "tree": [{"v": 1, "k": [{"v": 2, "k": []}]}],
    "big": "y" * 1_000_000,
    "many": list(range(100_000)),
}


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{% for w in words %}{{ loop.index }} of {{ loop.length }}: {{ w }}; {% endfor %}", "1 of 2: b; 2 of 2: a; "),
        ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(1) }}{{ m('a' ~ a ~ 2) }}", "<1><ax2>"),
        ("{% for n in tree recursive %}{{ n.v }}({{ loop(n.k) }}){% endfor %}", "1(2())"),
        ("{% if 'a' in words %}yes{% endif %}{% set x %}{{ a }}!{% endset %}{{ x }}", "yesx!"),
        ("{{ '%s-%d'|format(a, 3) }} {{ '{} {:>3}'.format(a, 2) }} {{ '%5.1f' % 2.25 }}", "x-3 x   2   2.2"),
        ("{{ words|map('upper')|sort|join('/') }} {{ [1, 2]|sum }} {{ {'k': [1]}|tojson }}", 'A/B 3 {"k": [1]}'),
        ("{{ 'ab' * 2 }} {{ 3 * 4 }} {{ 2 ** 10 }} {{ 'In 2024, {}'.format(a) }} {{ a.replace('x', 'yy') }}", None),
        ("{{ big|length }} {{ many|length }} {{ 'x'|center(5) }} {{ 'a b'|wordwrap(1) }}", None),
    ],
)
def test_ordinary_templates_are_as_they_were(source: str, text: str | None) -> None:
    rendered = PromptTemplate(source).render(VALUES)
    assert text is None or rendered == text


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{% for b in range(99999) if false %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{% set x = range(99999)|map('string')|list %}{% endfor %}",
        "{% for n in range(300) recursive %}{% if loop.depth < 20 %}{{ loop(range(300)) }}{% endif %}{% endfor %}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(40) }}",
        "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set ns = namespace(x=99999999) %}{% for i in range(60) %}{% set ns.x = ns.x * ns.x %}{% endfor %}",
        "{% set x %}{% for i in range(99999) %}{{ big }}{% endfor %}{% endset %}{{ x|length }}",
        "{% for i in range(99999) %}{% if -1 in many %}{% endif %}{% endfor %}",
        "{% for i in range(99999) %}{% if many == many %}{% endif %}{% endfor %}",
        "{% for i in range(99999) %}{{ many|sort|length }}{% endfor %}",
        "{% for i in range(99999) %}{{ big|wordcount }}{% endfor %}",
        "{{ 'x' * 10 ** 10 }}",
        "{{ many * 100000 }}",
        "{{ [many] * 100000 }}",
        "{{ 10 ** (10 ** 10) }}",
        "{{ 'x'|center(10 ** 10) }}",
        "{{ 'x'.center(10 ** 10) }}",
        "{{ (1).to_bytes(10 ** 10, 'big') }}",
        "{{ '%999999999d' % 1 }}",
        "{{ '%*d' % (999999999, 1) }}",
        "{{ '%999999999d'|format(1) }}",
        "{{ '{:999999999}'.format(1) }}",
        "{{ '{:{}}'.format(1, 999999999) }}",
        "{{ ('{0}' * 100000).format(big) }}",
        "{{ big.replace('y', big) }}",
        "{{ big|replace('y', big) }}",
        "{{ big.join(words * 1000) }}",
        "{{ many|join(big) }}",
        "{{ ('\n' * 1000000)|indent(9999) }}",
        "{{ ('\t' * 1000000).expandtabs(9999) }}",
        "{{ big|wordwrap(1, wrapstring=big) }}",
        "{{ many|tojson(indent=9999) }}",
        "{{ [1]|batch(10 ** 9, 'x')|list }}",
        "{{ 1.5|round(10 ** 9) }}",
        "{{ ([0] * 100000)|map('center', 9999)|join }}",
        "{% for n in [1] recursive %}{{ loop([1]) }}{{ loop([1]) }}{% endfor %}",
    ],
)
def test_what_does_too_much_is_stopped(source: str) -> None:
    with pytest.raises(RenderError, match=r"TooMuch|RecursionError"):
        PromptTemplate(source).render(VALUES)


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("{{ a.upper }}", "brackets"),
        ("{% macro m() %}{% endmacro %}{{ m }}", "brackets"),
        ("{{ 'x' ~ a.upper }}", "brackets"),
        ("{{ words|map('upper') }}", r"\|list or \|join"),
    ],
)
def test_what_has_no_text_but_its_address_is_an_error(source: str, word: str) -> None:
    with pytest.raises(RenderError, match=word):
        PromptTemplate(source).render(VALUES)


def test_what_would_ask_something_else_each_time_is_refused() -> None:
    with pytest.raises(TemplateProblem, match="random"):
        PromptTemplate("{{ words|random }}")
