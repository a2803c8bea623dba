"""A post's text as safe HTML: escaped, invisible characters made visible, handles masked, evidence marked.

The text is hostile input. Nothing in it becomes a link, a tag or a direction override; offsets of evidence
refer to the text as stored.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

from annotations.reasons import Reason
from triage.domain.scores import EvidenceSpan
from triage.domain.taxonomy import CODES

#: Somebody named by a handle. The e-mail address of a shop is not one; what follows an @ with a space is not either.
_HANDLE = re.compile(r"(?<![\w.@])@\w[\w.]*\w")
_ZWNJ, _ZWJ = "\u200c", "\u200d"
_SHORT = {
    "\u200b": "zero-width space",
    _ZWNJ: "zero-width non-joiner",
    _ZWJ: "zero-width joiner",
    "\u00ad": "soft hyphen",
    "\ufeff": "zero-width no-break space",
    "\u202a": "left-to-right embedding",
    "\u202b": "right-to-left embedding",
    "\u202c": "end of direction",
    "\u202d": "left-to-right override",
    "\u202e": "right-to-left override",
    "\u2066": "left-to-right isolate",
    "\u2067": "right-to-left isolate",
    "\u2068": "first-strong isolate",
    "\u2069": "end of isolate",
}


@dataclass(frozen=True, slots=True)
class Footnote:
    """One evidence span with the number under which the text refers to it."""

    number: int
    code: str
    title: str
    source: str
    quote: Markup
    weight: float
    note: str
    region: str
    ambiguity: str
    reason: Reason


def plain(text: str) -> Markup:
    """The text without evidence."""
    return _visible_part(text, 0, len(text))


def mask_handles(text: str) -> str:
    """The text, of the same length, with all but the first letter of each handle covered: other people are named in
    posts, and what they are called is seldom what a decision needs."""
    return _HANDLE.sub(lambda found: found[0][:2] + "\u2022" * (len(found[0]) - 2), text)


def footnotes(text: str, evidence: Sequence[EvidenceSpan]) -> list[Footnote]:
    """The spans that lie in the text, numbered in reading order."""
    return [
        Footnote(
            number=number,
            code=span.code,
            title=CODES[span.code].title if span.code in CODES else span.code,
            source=span.source,
            quote=plain(text[span.start : span.end]),
            weight=span.weight,
            note=span.note,
            region=span.region,
            ambiguity=span.ambiguity,
            reason=Reason.of(span),
        )
        for number, span in enumerate(_ordered(text, evidence), start=1)
    ]


def marked(text: str, evidence: Sequence[EvidenceSpan]) -> Markup:
    """The text with each evidence span marked and numbered. Overlapping spans share a marked piece."""
    spans = _ordered(text, evidence)
    edges = sorted({0, len(text), *(span.start for span in spans), *(span.end for span in spans)})
    pieces = []
    for start, end in pairwise(edges):
        here = [(i, span) for i, span in enumerate(spans, start=1) if span.start <= start and end <= span.end]
        inner = _visible_part(text, start, end)
        pieces.append(_mark(inner, here, end) if here else inner)
    return Markup("").join(pieces)


def _mark(inner: Markup, here: Sequence[tuple[int, EvidenceSpan]], end: int) -> Markup:
    sources = " ".join(sorted({f"app-evidence--{_source(span)}" for _, span in here}))
    ending = [number for number, span in here if span.end == end]
    notes = Markup("").join(
        Markup('<sup class="app-evidence__number"><span class="govuk-visually-hidden"> note </span>{}</sup>').format(n)
        for n in ending
    )
    return Markup('<mark class="app-evidence {}">{}{}</mark>').format(sources, inner, notes)


def _source(span: EvidenceSpan) -> str:
    return "lexicon" if span.source == "lexicon" else "model"


def _ordered(text: str, evidence: Sequence[EvidenceSpan]) -> list[EvidenceSpan]:
    inside = (span for span in evidence if 0 <= span.start < span.end <= len(text))
    return sorted(inside, key=lambda span: (span.start, span.end, span.source, span.code))


def _visible_part(text: str, start: int, end: int) -> Markup:
    """``text[start:end]``, with a visible note wherever an invisible character stands."""
    pieces, done = [], start
    for i in range(start, end):
        char = text[i]
        if " " <= char <= "~" or char in "\n\r\t" or not _is_hidden(text, i):
            continue
        name = _SHORT.get(char) or unicodedata.name(char, "control character").lower()
        note = Markup('<span class="app-invisible" title="U+{:04X} {}">[{}]</span>').format(ord(char), name, name)
        pieces += [escape(text[done:i]), note]
        done = i + 1
    return Markup("").join([*pieces, escape(text[done:end])])


def _is_hidden(text: str, i: int) -> bool:
    char = text[i]
    if unicodedata.category(char) not in ("Cc", "Cf", "Zl", "Zp"):
        return char in "\u115f\u1160\u3164\uffa0"  # fillers: letters that draw nothing
    before = text[i - 1] if i else ""
    if char in (_ZWJ, _ZWNJ):
        # Joiners belong inside emoji and in scripts that join; between Latin letters they hide something.
        return not (before and (unicodedata.category(before) in ("So", "Sk", "Mn") or ord(before) >= 0x590))
    if "\U000e0020" <= char <= "\U000e007f":  # tags: the flags of England, Scotland and Wales are spelt with them
        return not before or not ("\U000e0020" <= before <= "\U000e007f" or before == "\U0001f3f4")
    return True


def defanged(url: str) -> str:
    """An address that nobody opens by mistake."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url.replace(".", "[.]")
    host, slash, path = rest.partition("/")
    return f"{scheme.replace('tt', 'xx')}://{host.replace('.', '[.]')}{slash}{path}"


def masked(handle: str) -> str:
    """A handle of which only the first letter shows: the decision is about the post, not the account."""
    bare = handle.strip().lstrip("@")
    return f"@{bare[:1]}" + "\u2022" * 5 if bare else ""
