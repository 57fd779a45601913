"""What an answer says, in every dialect: hints and verdict, usage, and the content for who asks. Pure, no I/O."""

from __future__ import annotations

from penstock import Prices
from penstock_dialects.answer import Answer
from penstock_dialects.dialects import ANY, Dialect, dialect_at, dialect_names, find_dialect
from penstock_dialects.model_prices import PRICE_EXAMPLE, cost_of, price_problems, prices_of
from penstock_dialects.prices import prices_from_mapping
from penstock_dialects.reader import MEMORY, AnswerReader
from penstock_dialects.refusals import Refusal
from penstock_dialects.shapes.shape import Shape
from penstock_dialects.tool_call import ToolCall
from penstock_dialects.unpacking import Decoder, Memory

__all__ = [
    "ANY",
    "MEMORY",
    "PRICE_EXAMPLE",
    "Answer",
    "AnswerReader",
    "Decoder",
    "Dialect",
    "Memory",
    "Prices",
    "Refusal",
    "Shape",
    "ToolCall",
    "cost_of",
    "dialect_at",
    "dialect_names",
    "find_dialect",
    "price_problems",
    "prices_from_mapping",
    "prices_of",
]
