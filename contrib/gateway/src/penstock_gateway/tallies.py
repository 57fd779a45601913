"""What a worker has counted, told to the coordinator: the fields of `Metrics`, whichever there are. Pure.

Counts are told as differences, so that those of a worker that ends stay in the sum.
"""

from __future__ import annotations

from typing import Any, Final

import attrs
import msgspec

from penstock_gateway.histogram import Histogram
from penstock_gateway.metrics import Metrics

__all__ = ["add", "take", "written"]

_FIELDS: Final = tuple(attrs.fields_dict(Metrics))


def written(metrics: Metrics) -> bytes:
    """All that is counted.

    >>> metrics, total = Metrics(), Metrics()
    >>> metrics.lost_lines += 2
    >>> add(total, written(metrics))
    >>> total.lost_lines
    2
    """
    return msgspec.msgpack.encode([_written(getattr(metrics, name)) for name in _FIELDS])


def take(metrics: Metrics) -> bytes:
    """All that is counted; it begins anew with nothing."""
    data, fresh = written(metrics), Metrics()
    for name in _FIELDS:
        setattr(metrics, name, getattr(fresh, name))
    return data


def add(metrics: Metrics, data: bytes) -> None:
    """Add what another has counted."""
    for name, told in zip(_FIELDS, msgspec.msgpack.decode(data), strict=True):
        own = getattr(metrics, name)
        if isinstance(own, dict):
            for key, more in told:
                _add_to(own, tuple(key) if isinstance(key, list) else key, more)
        else:
            setattr(metrics, name, own + told)


def _add_to(own: dict[Any, Any], key: Any, more: Any) -> None:
    if isinstance(more, list):
        counts, total = more
        histogram = own.setdefault(key, Histogram())
        histogram.counts = [mine + others for mine, others in zip(histogram.counts, counts, strict=True)]
        histogram.total += total
    else:
        own[key] = own.get(key, 0) + more


def _written(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return [(key, (each.counts, each.total) if isinstance(each, Histogram) else each) for key, each in value.items()]
