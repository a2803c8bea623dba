"""How far the reports of an organisation were borne out, as a bounded figure and in words.

The model is Discourse's bonus for the accuracy of flags (docs/decisions/0015-case-page.md): nothing below six decided
cases, a pivot at seven of ten, and weight that grows with the logarithm of how many were decided. It is about an
organisation and its reports. There is none for a private person.
"""

import math

FEWEST = 6
PIVOT = 0.7
_SCALE = 5.0


def bonus(upheld: int, not_upheld: int) -> float:
    """Above 0 for a source that is mostly right, below for one mostly wrong; 0 while too little is known.

    It grows without a sudden step: some 10 after 16 cases all upheld, some 25 after 1,000.
    """
    total = upheld + not_upheld
    if total < FEWEST:
        return 0.0
    share = upheld / total
    distance = (share - PIVOT) / ((1.0 - PIVOT) if share >= PIVOT else PIVOT)
    return round(distance * math.log(total, 4) * _SCALE, 2)


def in_words(upheld: int, not_upheld: int) -> str:
    """One sentence for a reader: counts, and no figure that looks more exact than it is."""
    total = upheld + not_upheld
    if total < FEWEST:
        return "Too few of its reports were decided to say how reliable it is."
    return f"Of {total:,} cases that it reported and people decided, {upheld:,} were upheld."
