"""Undo disguises in a post's text and keep a way back to the original.

People hide words from filters with look-alike letters, invisible characters, leetspeak, spacing and repeated
letters, and say with one emoji what others say in a word. The model and the lexicon read the normalised text;
evidence is shown in the original, so every character here knows which part of the original it came from.

Every step is linear in the length of the text and accepts any ``str``, lone surrogates and NUL included.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from classifiers.lookalikes import EMOJI_WORDS, HOMOGLYPHS, LEET

VERSION = "2"

_INVISIBLE = frozenset({"Cf", "Cs", "Co", "Cn", "Mn", "Me", "Mc"})
_REGIONAL_INDICATORS = range(0x1F1E6, 0x1F200)
_NEGATIVE_LETTERS = ((0x1F150, 26), (0x1F170, 26))  # negative circled and squared A to Z, which NFKC leaves alone
_WORD_WITH_FOREIGN_LETTER = re.compile(r"[^\W\d_]+")
_URL = re.compile(r"(?:https?://|www\.)\S+", re.ASCII)
_MENTION = re.compile(r"(?<![\w@])@\w+")
_SPACED_LETTERS = re.compile(
    r"(?<![\w.\-*·])[a-z](?:([ .\-_*·])[a-z0134578@$](?![^\W_]|['’]))(?:\1[a-z0134578@$](?![^\W_]|['’])){2,}"
)
_LEET_WORD = re.compile(r"(?<![\w@$#£])[a-z0-9@$|]{3,}+(?!\w)")
_LEET_INSIDE = re.compile(r"(?<=[a-z])[0134578@$|]{1,2}(?=[a-z])")
_LEET_AT_END = re.compile(r"(?<=[a-z])[0134578@$|]$")
_LEET_DOLLAR = re.compile(r"(?<![\w$])\$(?=[a-z]{2})|(?<=[a-z]{2})\$(?![\w$])")
_REPEATED_LETTER = re.compile(r"([a-z])\1{2,}")
_REPEATED_MARK = re.compile(r"([^\w\s])\1{3,}")
_REPEATED_EMOJI = re.compile(r"( :[a-z ]{1,40}: )\1+")
_SPACES = re.compile(r"\s{2,}|[^\S ]")


@dataclass(frozen=True, slots=True)
class Normalised:
    """``text`` in lower case; character ``i`` stands for ``original[starts[i]:ends[i]]``."""

    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def original_span(self, start: int, end: int) -> tuple[int, int]:
        """Offsets in the original of ``text[start:end]``.

        Raises:
            ValueError: the span is empty or lies outside the text.
        """
        if not 0 <= start < end <= len(self.text):
            raise ValueError(f"span {start}:{end} is not inside a text of {len(self.text)} characters")
        return min(self.starts[start:end]), max(self.ends[start:end])

    @property
    def has_words(self) -> bool:
        """Whether anything is left that could be read: a letter, or an emoji we have a word for."""
        return any(character.isalpha() for character in self.text)


def normalise(text: str) -> Normalised:
    """Return ``text`` as the model reads it, with its way back."""
    step = _fold(text)
    step = _substitute(step, _URL, lambda _: " url ")
    step = _substitute(step, _MENTION, lambda _: "@user")
    step = _substitute(step, _REPEATED_EMOJI, lambda match: match[1])
    step = _substitute(step, _SPACED_LETTERS, lambda match: match[0].replace(match[1], ""))
    step = _substitute(step, _LEET_DOLLAR, lambda _: "s")
    step = _substitute(step, _LEET_WORD, _read_leet)
    step = _substitute(step, _REPEATED_LETTER, lambda match: match[1] * 2)
    step = _substitute(step, _REPEATED_MARK, lambda match: match[1] * 3)
    return _strip(_substitute(step, _SPACES, lambda _: " "))


def _fold(text: str) -> Normalised:
    """Character by character: compatibility forms, invisible characters, case, emoji; then look-alikes by word."""
    characters: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for index, character in enumerate(text):
        folded = character.lower() if character.isascii() and character.isprintable() else _fold_one(character)
        if not folded:
            if ends and unicodedata.category(character)[0] == "M":
                ends[-1] = index + 1  # an accent belongs to its letter
            continue
        characters.extend(folded)
        starts.extend([index] * len(folded))
        ends.extend([index + 1] * len(folded))
    folded_text = "".join(characters)
    if not folded_text.isascii():
        latin = sum("a" <= character <= "z" for character in folded_text)
        letters = sum(character.isalpha() for character in folded_text)
        # In a text mostly of another alphabet, a word of that alphabet is just a word.
        read = _latin_word if latin > letters / 2 else _latin_mixed_word
        folded_text = _WORD_WITH_FOREIGN_LETTER.sub(read, folded_text)
    return Normalised(folded_text, tuple(starts), tuple(ends))


@lru_cache(maxsize=8192)
def _fold_one(character: str) -> str:
    if character.isspace():
        return " "
    point = ord(character)
    if character in EMOJI_WORDS:
        return f" :{EMOJI_WORDS[character]}: "
    for first, count in _NEGATIVE_LETTERS:
        if first <= point < first + count:
            return chr(ord("a") + point - first)
    category = unicodedata.category(character)
    # Flags and skin tones say where somebody is from or looks like, never what the post does.
    if category in _INVISIBLE or category == "Cc" or point in _REGIONAL_INDICATORS or 0x1F3FB <= point <= 0x1F3FF:
        return ""
    if category == "So" and point >= 0x2600:
        return _named_symbol(character)
    decomposed = unicodedata.normalize("NFKD", character).lower()
    return "".join(part for part in decomposed if unicodedata.category(part) not in _INVISIBLE)


def _named_symbol(character: str) -> str:
    """An emoji outside our table by its Unicode name, cut short, or nothing if it has none."""
    words = re.sub(r"[^a-z ]", " ", unicodedata.name(character, "").lower()).split()
    return f" :{' '.join(words[:3])[:40]}: " if words else " "


def _latin_word(match: re.Match[str]) -> str:
    """Read look-alike letters as Latin in a mixed word, or in one made of look-alikes only; same length."""
    mapped = "".join(HOMOGLYPHS.get(character, character) for character in match[0])
    return mapped if mapped.isascii() else _latin_mixed_word(match)


def _latin_mixed_word(match: re.Match[str]) -> str:
    word = match[0]
    if word.isascii() or not any("a" <= character <= "z" for character in word):
        return word
    return "".join(HOMOGLYPHS.get(character, character) for character in word)


def _read_leet(match: re.Match[str]) -> str:
    word = match[0]
    if sum("a" <= character <= "z" for character in word) < 2:
        return word
    read = _LEET_INSIDE.sub(_leet_letters, word)
    return _LEET_AT_END.sub(_leet_letters, read) if read != word else word


def _leet_letters(match: re.Match[str]) -> str:
    letters = "".join(LEET[character] for character in match[0])
    if "1" not in match[0]:
        return letters
    # A one is an i (k1ll), but an l after i (ki1l) and between b, c, f, g, p or s and a vowel (b1ade).
    before, after = match.string[match.start() - 1], match.string[match.end() : match.end() + 1]
    is_l = before == "i" or (before in "bcfgps" and after in tuple("aeou"))
    return letters.replace("i", "l") if is_l else letters


def _substitute(step: Normalised, pattern: re.Pattern[str], replace: Callable[[re.Match[str]], str]) -> Normalised:
    """Apply ``replace`` to every match.

    A replacement of the same length keeps the way back of each character; any other stands as a whole for the
    whole of what it replaces.
    """
    pieces: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    done = 0
    for match in pattern.finditer(step.text):
        new = replace(match)
        if new == match[0]:
            continue
        begin, end = match.span()
        pieces += (step.text[done:begin], new)
        starts += step.starts[done:begin]
        ends += step.ends[done:begin]
        if len(new) == end - begin:
            starts += step.starts[begin:end]
            ends += step.ends[begin:end]
        else:
            first, last = step.original_span(begin, end)
            starts += [first] * len(new)
            ends += [last] * len(new)
        done = end
    if not pieces:
        return step
    pieces.append(step.text[done:])
    return Normalised("".join(pieces), (*starts, *step.starts[done:]), (*ends, *step.ends[done:]))


def _strip(step: Normalised) -> Normalised:
    begin = len(step.text) - len(step.text.lstrip())
    end = max(begin, len(step.text.rstrip()))
    return Normalised(step.text[begin:end], step.starts[begin:end], step.ends[begin:end])
