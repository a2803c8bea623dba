"""Light mechanical disguise of training text: what people do to get past filters, and how thumbs type.

It never decides a label: flagged and benign posts are disguised alike.
"""

import random
import re
from collections.abc import Callable

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


def disguised(text: str, kind: str, rng: random.Random) -> str:
    """``text`` in one kind of disguise (``KINDS``), applied thoroughly: for measuring, not for training."""
    return KINDS[kind](text, rng)


def _leet_throughout(text: str, rng: random.Random) -> str:
    return re.sub(r"[A-Za-z]{3,}", lambda m: m[0][0] + "".join(_LEET.get(c, c) for c in m[0][1:-1]) + m[0][-1], text)


def _homoglyphs_throughout(text: str, rng: random.Random) -> str:
    return "".join(_CYRILLIC[c] if c in _CYRILLIC and rng.random() < 0.6 else c for c in text)


def _invisible_throughout(text: str, rng: random.Random) -> str:
    return "".join(c + rng.choice(_INVISIBLE) if rng.random() < 0.3 else c for c in text)


def _space_out_longest(text: str, rng: random.Random) -> str:
    """The two longest words, letter by letter."""
    words = sorted(set(re.findall(r"[A-Za-z]{4,}", text)), key=lambda word: (-len(word), word))[:2]
    for word in words:
        text = re.sub(rf"\b{word}\b", rng.choice((" ", ".", "-", "_")).join(word), text, count=1)
    return text


def _stretch_throughout(text: str, rng: random.Random) -> str:
    return re.sub(r"[A-Za-z]{4,}", lambda m: m[0] + m[0][-1] * rng.randint(2, 5) if rng.random() < 0.4 else m[0], text)


def _emoji_scattered(text: str, rng: random.Random) -> str:
    return "".join(
        f"{word} {rng.choice('😂🔥💀👀🙄')} " if rng.random() < 0.25 else f"{word} " for word in text.split()
    )


def _pad_both_ends(text: str, rng: random.Random) -> str:
    return f"{' '.join(rng.sample(_PADDING, k=3))} {text} {' '.join(rng.sample(_PADDING, k=3))}"


#: What robustness is measured under (docs/evaluation.md).
KINDS: dict[str, Callable[[str, random.Random], str]] = {
    "leetspeak": _leet_throughout,
    "homoglyphs": _homoglyphs_throughout,
    "zero-width": _invisible_throughout,
    "spacing": _space_out_longest,
    "elongation": _stretch_throughout,
    "emoji": _emoji_scattered,
    "padding": _pad_both_ends,
}

_DISGUISES = (
    _leet, _homoglyphs, _invisible, _space_out, _stretch, _emoji_for_word,
    _shorten, _shorten, _pad, _pad, _drop_punctuation, _drop_punctuation, _slip, _slip,
)  # fmt: skip
