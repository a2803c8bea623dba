"""Words with a harmful sense, found in a post and shown with their benign senses. Never a reason by themselves."""

from classifiers.lexicon.entries import Entry, Lexicon, LexiconError, parse_lexicon, read_lexicon
from classifiers.lexicon.matching import Hit, LexiconMatcher

__all__ = ["Entry", "Hit", "Lexicon", "LexiconError", "LexiconMatcher", "parse_lexicon", "read_lexicon"]
