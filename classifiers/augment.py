"""Light mechanical disguise of training text: what people do to get past filters, and how thumbs type.

It never decides a label: flagged and benign posts are disguised alike.
"""

import random
import re
from collections.abc import Sequence

_LEET = {"a": "4", "e": "3", "i": "1", "o": "0", "s": "5", "t": "7"}
_CYRILLIC = {"a": "а", "e": "е", "o": "о", "c": "с", "p": "р", "x": "х", "i": "і"}
_INVISIBLE = "\u200b\u200c\u2060\u00ad"
_FOR_WORD = {"knife": "🔪", "gun": "🔫", "phone": "📱", "fire": "🔥", "money": "💰", "dead": "💀", "eyes": "👀"}
_SHORT = {"you": "u", "are": "r", "your": "ur", "to": "2", "for": "4", "because": "cos", "please": "pls"}
_PADDING = ("lol", "😂", "fr", "💀", "ngl", "🙄", "tbh", "...", "x", "🔥", "👀", "ffs")


def augment(text: str, rng: random.Random) -> str:
    """Return ``text`` with one or two disguises of ``rng``'s choice."""
    for disguise in rng.sample(_DISGUISES, k=rng.choice((1, 1, 2))):
        text = disguise(text, rng)
    return text


def bury(text: str, harmless: Sequence[str], rng: random.Random) -> str:
    """Put harmless text before, after or around ``text``: a long post is as serious as its worst line."""
    where = rng.choice(("before", "after", "around"))
    before = f"{rng.choice(harmless)} " if where != "after" else ""
    after = f" {rng.choice(harmless)}" if where != "before" else ""
    return before + text + after if len(text) < 250 else text


def _words(text: str, rng: random.Random, share: float) -> list[str]:
    """A few distinct longer words of ``text``."""
    words = sorted(set(re.findall(r"[A-Za-z]{4,}", text)))
    return [word for word in words if rng.random() < share]


def _leet(text: str, rng: random.Random) -> str:
    for word in _words(text, rng, 0.25):
        inner = "".join(_LEET.get(c, c) if rng.random() < 0.6 else c for c in word[1:-1])
        text = text.replace(word, word[0] + inner + word[-1])
    return text


def _homoglyphs(text: str, rng: random.Random) -> str:
    return "".join(_CYRILLIC[c] if c in _CYRILLIC and rng.random() < 0.3 else c for c in text)


def _invisible(text: str, rng: random.Random) -> str:
    return "".join(c + rng.choice(_INVISIBLE) if rng.random() < 0.1 else c for c in text)


def _space_out(text: str, rng: random.Random) -> str:
    for word in _words(text, rng, 0.1)[:1]:
        text = text.replace(word, rng.choice((" ", ".", "-")).join(word), 1)
    return text


def _stretch(text: str, rng: random.Random) -> str:
    for word in _words(text, rng, 0.15)[:2]:
        text = text.replace(word, word + word[-1] * rng.randint(2, 4), 1)
    return text


def _emoji_for_word(text: str, rng: random.Random) -> str:
    return re.sub(r"[A-Za-z]+", lambda match: _FOR_WORD.get(match[0].lower(), match[0]), text)


def _shorten(text: str, rng: random.Random) -> str:
    return re.sub(
        r"[A-Za-z]+", lambda match: _SHORT.get(match[0].lower(), match[0]) if rng.random() < 0.7 else match[0], text
    )


def _pad(text: str, rng: random.Random) -> str:
    padding = " ".join(rng.sample(_PADDING, k=rng.randint(1, 2)))
    return f"{text} {padding}" if rng.random() < 0.7 else f"{padding} {text}"


def _drop_punctuation(text: str, rng: random.Random) -> str:
    return re.sub(r"[.,;:!?'\"]", "", text)


def _slip(text: str, rng: random.Random) -> str:
    """Swap or lose letters as a thumb does."""
    for word in _words(text, rng, 0.15)[:3]:
        at = rng.randrange(1, len(word) - 1)
        swapped, lost = word[:at] + word[at + 1] + word[at] + word[at + 2 :], word[:at] + word[at + 1 :]
        slipped = swapped if rng.random() < 0.5 else lost
        text = text.replace(word, slipped, 1)
    return text


_DISGUISES = (
    _leet, _homoglyphs, _invisible, _space_out, _stretch, _emoji_for_word,
    _shorten, _shorten, _pad, _pad, _drop_punctuation, _drop_punctuation, _slip, _slip,
)  # fmt: skip
