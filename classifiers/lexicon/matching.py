"""Find lexicon terms in normalised text with spaCy's tokenizer and phrase matcher."""

from collections.abc import Iterator
from dataclasses import dataclass

import spacy
from spacy.matcher import PhraseMatcher
from spacy.tokens import Doc, Span
from spacy.util import filter_spans

from classifiers.lexicon.entries import Ambiguity, Entry, Lexicon


@dataclass(frozen=True, slots=True)
class Hit:
    """``entry`` seen at ``start:end`` of the normalised text."""

    entry: Entry
    start: int
    end: int


class LexiconMatcher:
    """Holds the compiled lexicon; ``find`` may be called for any number of texts."""

    def __init__(self, lexicon: Lexicon) -> None:
        self.lexicon = lexicon
        english = spacy.blank("en")
        self._tokenise = english.tokenizer
        self._matcher = PhraseMatcher(english.vocab)
        self._by_key = {f"{number}": entry for number, entry in enumerate(lexicon.entries)}
        for key, entry in self._by_key.items():
            self._matcher.add(key, [self._tokenise(form) for form in entry.forms])

    def find(self, text: str, *, limit: int = 20) -> list[Hit]:
        """The first ``limit`` hits in ``text``, the longest where several overlap.

        A term of high ambiguity counts only beside a cue: somebody it is aimed at, a time or place, a price.
        """
        document = self._tokenise(text)
        hits = []
        for span in filter_spans(self._matcher(document, as_spans=True)):
            entry = self._by_key[span.label_]
            if entry.ambiguity is Ambiguity.HIGH and not any(self._cues_near(document, span)):
                continue
            hits.append(Hit(entry, span.start_char, span.end_char))
            if len(hits) == limit:
                break
        return hits

    def is_guarded(self, word: str) -> bool:
        """Whether ``word`` is everyday dialect that may never be shown as evidence."""
        return word in self.lexicon.guard

    def _cues_near(self, document: Doc, span: Span) -> Iterator[bool]:
        window = self.lexicon.cue_window
        for token in document[max(0, span.start - window) : span.end + window]:
            outside = not span.start <= token.i < span.end
            yield outside and (token.text in self.lexicon.cues or token.text.startswith("£"))
