"""What the mock says: taken from the question, the same for the same question, and plainly no model's work.

Chat: an extract. A prompt is often an instruction and its material ("Summarise in one sentence:", then the
text): the instruction is left out, the first sentence of the material is the answer; or, asked for
keywords, its most salient words. Embedding: feature hashing (Weinberger et al. 2009), each word a signed
count in one of `dimensions` places, scaled to length 1; so texts that share words are near each other,
which is what a pipeline's next step looks at.
"""

from __future__ import annotations

import math
import re
import struct
from collections import Counter
from hashlib import blake2b

__all__ = ["chat_answer", "count_tokens", "cut_to_tokens", "embedding"]

_LONGEST = 240
"""Characters of the longest extract."""
_CHARACTERS_PER_TOKEN = 4

_KEYWORDS = re.compile(r"\bkey[\s-]?words?\b", re.IGNORECASE)
_INSTRUCTION = re.compile(
    r"\b(summar\w+|key[\s-]?words?|describe|explain|extract|list|name|sentences?|words?|text)\b",
    re.IGNORECASE,
)
_END_OF_INSTRUCTION = re.compile(r":\s|\n\s*\n")
_SENTENCE = re.compile(r".+?[.!?](?=\s|$)", re.DOTALL)
_WORD = re.compile(r"[^\W\d_][\w'-]*")
_HOW_MANY = re.compile(r"\b(\d{1,2}|two|three|four|five|six|seven|eight|nine|ten)\b", re.IGNORECASE)
_NUMBER_WORDS = "two three four five six seven eight nine ten"
_NUMBERS = {word: number for number, word in enumerate(_NUMBER_WORDS.split(), start=2)}
_COMMON_WORDS = """
a about after all also an and any are as at be been before but by can could did do does each for from had
has have he her his how if in into is it its may more most must no nor not of on one only or other our out
over own same she should so some such than that the their them then there these they this those through to
under until up upon use used using very was we were what when where whether which while who why will with
within without would you your
"""
_COMMON = frozenset(_COMMON_WORDS.split())


def chat_answer(system: str, prompt: str) -> str:
    """The answer to `prompt`, the last message of the user; `system` may be what asks for keywords."""
    instruction, material = _parted(prompt)
    asked = f"{system}\n{instruction}"
    if _KEYWORDS.search(asked):
        return ", ".join(_salient(material, _how_many(asked)))
    return _first_sentence(material)


def _parted(prompt: str) -> tuple[str, str]:
    """Instruction and material. A prompt that holds no instruction, or nothing else, is its own material."""
    end = _END_OF_INSTRUCTION.search(prompt)
    if end is not None and _INSTRUCTION.search(prompt, 0, end.start()) and prompt[end.end() :].strip():
        return prompt[: end.start()], prompt[end.end() :]
    return prompt, prompt


def _first_sentence(material: str) -> str:
    text = " ".join(material.split())
    found = _SENTENCE.match(text)
    sentence = found[0] if found else text
    return sentence if len(sentence) <= _LONGEST else sentence[: _LONGEST - 1].rstrip() + "…"


def _how_many(asked: str) -> int:
    found = _HOW_MANY.search(asked)
    if found is None:
        return 5
    word = found[1].lower()
    return max(1, int(word)) if word.isdigit() else _NUMBERS[word]


def _salient(material: str, count: int) -> list[str]:
    """The words that come most often, longer ones first among equals, then those that come earlier."""
    words = [word.lower().strip("'-") for word in _WORD.findall(material)]
    kept = [word for word in words if len(word) > 2 and word not in _COMMON and not _KEYWORDS.fullmatch(word)]
    often = Counter(kept)
    return sorted(often, key=lambda word: (-often[word], -len(word)))[:count]


def embedding(text: str, dimensions: int) -> list[float]:
    """A vector of length 1 for `text`, its numbers exact as 32-bit floats."""
    vector = [0.0] * dimensions
    for word in _WORD.findall(text.lower()):
        place, sign = _place(word, dimensions)
        vector[place] += sign
    norm = math.sqrt(sum(x * x for x in vector))
    if norm == 0.0:
        # No words, or words that cancel each other: the text as a whole still has its place.
        place, sign = _place(text, dimensions)
        vector[place], norm = sign, 1.0
    layout = f"<{dimensions}f"
    return list(struct.unpack(layout, struct.pack(layout, *(x / norm for x in vector))))


def _place(word: str, dimensions: int) -> tuple[int, float]:
    number = int.from_bytes(blake2b(word.encode(errors="surrogatepass"), digest_size=8).digest(), "little")
    return (number >> 1) % dimensions, 1.0 if number & 1 else -1.0


def count_tokens(text: str) -> int:
    """A plain estimate, the rule of thumb for English: one token for each four characters begun."""
    return -(-len(text) // _CHARACTERS_PER_TOKEN)


def cut_to_tokens(text: str, most: int) -> str:
    """The part of `text` that has at most `most` tokens."""
    return text[: most * _CHARACTERS_PER_TOKEN]
