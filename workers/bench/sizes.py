"""What there is to measure, and how much of it."""

from dataclasses import dataclass, fields, replace
from enum import StrEnum


class Part(StrEnum):
    """What there is to measure, in the order in which it runs."""

    FLOW = "flow"
    LIVE = "live"
    INTAKE = "intake"
    GROWTH = "growth"
    QUEUE = "queue"
    SCALE = "scale"
    SWEEP = "sweep"
    ALTERNATIVES = "alternatives"


@dataclass(frozen=True, slots=True)
class Sizes:
    """Numbers of posts, unless the name says otherwise. These defaults take under 20 minutes on two cores."""

    posts: int = 50_000
    #: Scored by the bare model before and after, for comparison.
    raw: int = 1_500
    #: In the bulk import beside which live reports are measured.
    bulk: int = 100_000
    live_seconds: int = 40
    #: One by one, and in batches.
    reports: int = 4_000
    batched: int = 40_000
    #: Cases in the table before the queue is looked at, and before the growth is measured.
    stored: int = 1_000_000
    reviewers: int = 100
    review_seconds: int = 60
    #: Drained for one point of a comparison.
    drained: int = 1_500
    swept: int = 600
    #: (workers, posts in a batch) that are compared.
    combinations: tuple[tuple[int, int], ...] = ((1, 8), (1, 16), (1, 32), (1, 64), (1, 128), (2, 8), (2, 32), (2, 128))
    #: Through each of the alternatives, which are slow.
    naive: int = 200

    def times(self, share: float) -> "Sizes":
        """All of it smaller, or larger; never nothing."""
        numbers = {field.name: getattr(self, field.name) for field in fields(self) if field.type is int}
        return replace(self, **{name: max(4, round(number * share)) for name, number in numbers.items()})
