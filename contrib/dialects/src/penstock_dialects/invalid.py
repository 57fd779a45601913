"""What stands among the values of a body in the place of one that cannot be read."""

from __future__ import annotations

import attrs

__all__ = ["Invalid"]


@attrs.frozen
class Invalid:
    """What should have been JSON, and is none. `begun`: it begins as JSON does."""

    begun: bool = True
