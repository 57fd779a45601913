"""The charts of a report as Vega-Lite, made by Altair, and the scripts that draw them, which lie in the page itself.

Names of models and steps are data here and nowhere a part of a specification's own language, so that it does not
matter what is in them.
"""

from __future__ import annotations

from typing import Any

import altair as alt
import vl_convert

from penstock_batch.report.figures import Points, RunFigures

__all__ = ["charts", "scripts"]

_WIDTH = 920
"""Of a chart with all that stands beside it: what the page has room for."""
_FIT = alt.AutoSizeParams(type="fit-x", contains="padding")
_LINES = ["limit", "in flight"]


def scripts() -> str:
    """The scripts of Vega, Vega-Lite and Vega-Embed as one, for what this Altair writes."""
    version = ".".join(alt.VEGALITE_VERSION.split(".")[:2])
    return vl_convert.javascript_bundle(vl_version=version)  # type: ignore[call-arg] # its stub forgets a default


def charts(figures: RunFigures) -> dict[str, tuple[str, dict[str, Any]]]:
    """The charts that have something to show: a short name to the title and the specification."""
    scale = alt.Scale(domain=[0, figures.seconds], nice=False)
    at = alt.X("at:Q", title="seconds", scale=scale)
    made = {
        "pressure": ("Limits and calls in flight", figures.pressure, _pressure(figures.pressure, at)),
        "refusals": ("429s", figures.refusals, _refusals(figures.refusals, at)),
        "tokens": ("Tokens", figures.tokens, _tokens(figures.tokens, at)),
        "money": ("Cost", figures.money, _money(figures.money, at)),
        "limits": ("Where the time went", _limits(figures), _share_chart(_limits(figures))),
        "held": ("What limited the run", figures.held, _held(figures.held, scale)),
        "waiting": ("Cells that waited", figures.waiting, _waiting(figures.waiting, at)),
        "processor": ("Processors in use", figures.processor, _processor(figures.processor, at)),
    }
    return {name: (title, chart.to_dict()) for name, (title, points, chart) in made.items() if points}


def _legend() -> Any:
    return alt.Legend(orient="bottom", columns=3, labelLimit=260)


def _above() -> Any:
    """A name may be longer than its chart is high, so it stands above it."""
    return alt.Header(labelOrient="top", labelAngle=0, labelAnchor="start", labelLimit=_WIDTH - 60)


def _of(points: Points) -> Any:
    return alt.Chart(alt.InlineData(values=points))


def _pressure(points: Points, at: Any) -> Any:
    lines = _of(points).mark_line(interpolate="step-after").properties(width=_WIDTH - 60, height=140)
    what = alt.Color("what:N", title=None, scale=alt.Scale(domain=_LINES), legend=_legend())
    drawn = lines.encode(x=at, y=alt.Y("count:Q", title=None), color=what)
    return drawn.facet(row=alt.Row("model:N", title=None, header=_above())).resolve_scale(y="independent")


def _refusals(points: Points, at: Any) -> Any:
    bars = _of(points).mark_bar(width=2).properties(width=_WIDTH, autosize=_FIT, height=100)
    return bars.encode(x=at, y=alt.Y("count:Q", title=None), color=alt.Color("model:N", title=None, legend=_legend()))


def _tokens(points: Points, at: Any) -> Any:
    lines = _of(points).mark_line().properties(width=_WIDTH, autosize=_FIT, height=140)
    return lines.encode(
        x=at,
        y=alt.Y("tokens:Q", title=None),
        color=alt.Color("model:N", title=None, legend=_legend()),
        strokeDash=alt.StrokeDash("what:N", title=None, legend=_legend()),
    )


def _money(points: Points, at: Any) -> Any:
    areas = _of(points).mark_area().properties(width=_WIDTH, autosize=_FIT, height=140)
    return areas.encode(x=at, y=alt.Y("cost:Q", title=None), color=alt.Color("model:N", title=None, legend=_legend()))


def _limits(figures: RunFigures) -> Points:
    return [{"what": what, "seconds": seconds} for what, seconds in figures.limits.items()]


def _share_chart(points: Points) -> Any:
    bars = _of(points).mark_bar().properties(width=_WIDTH, autosize=_FIT)
    return bars.encode(
        x=alt.X("seconds:Q", title="seconds"), y=alt.Y("what:N", title=None, sort="-x", axis=alt.Axis(labelLimit=260))
    )


def _held(points: Points, scale: Any) -> Any:
    bars = _of(points).mark_bar().properties(width=_WIDTH, autosize=_FIT, height=30)
    what = alt.Color("what:N", title=None, legend=_legend())
    return bars.encode(x=alt.X("at:Q", title="seconds", scale=scale), x2="until:Q", color=what)


def _waiting(points: Points, at: Any) -> Any:
    areas = _of(points).mark_area(interpolate="step-after").properties(width=_WIDTH, autosize=_FIT, height=140)
    return areas.encode(x=at, y=alt.Y("waiting:Q", title=None), color=alt.Color("step:N", title=None, legend=_legend()))


def _processor(points: Points, at: Any) -> Any:
    lines = _of(points).mark_line().properties(width=_WIDTH, autosize=_FIT, height=80)
    return lines.encode(x=at, y=alt.Y("share:Q", title=None))
