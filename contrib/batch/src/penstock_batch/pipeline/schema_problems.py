"""What keeps a JSON Schema from being used, or an answer from being judged by it. Known without the library that
judges, which is loaded where a step has a schema.
"""

from __future__ import annotations

__all__ = ["SchemaProblem", "TooMuchToJudge"]


class SchemaProblem(ValueError):
    """A schema that cannot be used, in one line."""


class TooMuchToJudge(ValueError):
    """A schema that asks more of this answer than may be done, in one line."""
