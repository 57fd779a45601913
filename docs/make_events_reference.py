"""The generator of `docs/reference/events.md` from the facts on each kind: `python docs/make_events_reference.py`.

A test holds the file against `reference()`, so that the page cannot fall behind the code.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from penstock.events.correlation import NAMES
from penstock.events.kinds import EVENT_FACTS, EventFacts

PAGE = Path(__file__).parent / "reference" / "events.md"

HEAD = f"""\
# The events

<!-- Written by docs/make_events_reference.py from core/src/penstock/events/kinds.py. Change it there. -->

What a [sink](../tutorials/sink.md) is given, and [penstock-jsonl](../../plugins/jsonl/README.md) writes, one a line.
There are two streams, one of each gate; each is in order, and useful without the other.

Every event has these:

| field | what it is |
|---|---|
| `stream` | `scheduler` or `request` |
| `event_kind` | one of the kinds below |
| `captured_at_monotonic` | seconds of the run's clock |
| `sequence` | a whole number that increases strictly within its stream |
| `correlation` | what joins it to others: {", ".join(f"`{name}`" for name in NAMES)}; those that are known |

Others are there where the tables name them, and only if they are known. `reason_or_outcome` is one word, but where the
table says otherwise; `snapshot` and `diagnostics` are mappings. `labels` are those that a caller gave the task or the
call. No event holds prompts, answers, values of rows, secrets, or what an exception said.

In Python an event is a `RuntimeEvent`, a record of `msgspec` that none can write: `event_to_dict` gives what it holds
as plain data, `event_to_json` a line of it, and `events_to_json_lines` those of many in a fraction of the time.
`event_from_dict` makes one of a line's JSON, and `CorrelatedRuntimeView` joins those of a task. `msgspec.structs` has
for events what `attrs` has for other records.
"""

TITLES = {"scheduler": "The stream of the scheduler", "request": "The stream of the requests"}


def reference() -> str:
    """The text of the page."""
    return "\n".join([HEAD, *_lines()])


def _lines() -> Iterator[str]:
    for stream, kinds in EVENT_FACTS.items():
        yield f"## {TITLES[stream]}"
        yield ""
        yield "| kind | says | fields | `reason_or_outcome` | `diagnostics` |"
        yield "|---|---|---|---|---|"
        for kind, facts in kinds.items():
            yield f"| `{kind}` | {facts.says} | {_listed(facts.fields)} | {facts.reason} | {_diagnostics(facts)} |"
        yield ""


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _diagnostics(facts: EventFacts) -> str:
    return "; ".join(f"`{key}`: {what}" for key, what in facts.diagnostics.items())


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
