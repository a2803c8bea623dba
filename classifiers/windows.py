"""Cut a text into overlapping windows of tokens that the encoder can read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

WINDOW = 126  # tokens, the two special ones not counted
OVERLAP = 32


@dataclass(frozen=True, slots=True)
class Word:
    """``text[start:end]``, made of the tokens ``first`` to ``last`` (exclusive) of its window."""

    start: int
    end: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Window:
    """Token ids with the special ones, and the words they make up."""

    ids: tuple[int, ...]
    words: tuple[Word, ...]


def cut_windows(tokenizer: Tokenizer, special_tokens: tuple[int, int], text: str) -> tuple[Window, ...]:
    """All of ``text``, in windows that overlap so that no phrase is only ever seen cut in two.

    ``special_tokens`` open and close every window.
    """
    encoded = tokenizer.encode(text, add_special_tokens=False)
    ids, offsets = encoded.ids, encoded.offsets
    opening, closing = special_tokens
    windows = []
    start = 0
    while True:
        end = min(start + WINDOW, len(ids))
        windows.append(Window((opening, *ids[start:end], closing), tuple(_words(text, offsets[start:end]))))
        if end == len(ids):
            return tuple(windows)
        start = end - OVERLAP


def _words(text: str, offsets: Sequence[tuple[int, int]]) -> Iterator[Word]:
    """Tokens that touch belong to one word; marks without a letter or digit are no words."""
    first = 0
    for position in range(1, len(offsets) + 1):
        if position < len(offsets) and offsets[position][0] == offsets[position - 1][1]:
            continue
        start, end = offsets[first][0], offsets[position - 1][1]
        if any(character.isalnum() for character in text[start:end]):
            yield Word(start, end, first + 1, position + 1)  # +1: the first token is [CLS]
        first = position
