"""The filters of the queue, as the page's address and a saved view hold them."""

from collections.abc import Callable, Sequence
from urllib.parse import urlencode

from triage.domain.routing import CURRENT
from triage.domain.taxonomy import Tier
from triage.new_report import storable
from triage.queries_queue import Filters

WAITING_HOURS = {1: "1 hour", 4: "4 hours", 8: "8 hours", 24: "1 day", 72: "3 days"}
REPORTS = {2: "2 or more", 5: "5 or more", 20: "20 or more"}
_YES_NO = {"yes": True, "no": False}
_LONGEST_PLATFORM = 200


def read(values: Callable[[str], Sequence[str]]) -> Filters:
    """Filters from an address. What is unknown is left out: an old link opens the queue, not an error."""

    def one(name: str) -> str:
        return str(storable(next(iter(values(name)), ""))).strip()

    def number(name: str, known: dict[int, str]) -> int:
        return int(one(name)) if one(name) in [str(value) for value in known] else 0

    return Filters(
        queue=one("queue") if one("queue") in CURRENT.by_name else None,
        tiers=tuple(tier for tier in values("tier") if tier in [str(each) for each in Tier]),
        platform=one("platform")[:_LONGEST_PLATFORM],
        waiting_hours=number("waiting", WAITING_HOURS),
        reports=number("reports", REPORTS),
        assessed=_YES_NO.get(one("assessed")),
        unseen=one("unseen") == "yes",
        mine=one("mine") == "yes",
    )


def params(filters: Filters) -> dict[str, list[str]]:
    """The same as names and values; what is not asked for is left out."""
    values = {
        "queue": [filters.queue] if filters.queue else [],
        "tier": list(filters.tiers),
        "platform": [filters.platform] if filters.platform else [],
        "waiting": [str(filters.waiting_hours)] if filters.waiting_hours else [],
        "reports": [str(filters.reports)] if filters.reports else [],
        "assessed": [] if filters.assessed is None else ["yes" if filters.assessed else "no"],
        "unseen": ["yes"] if filters.unseen else [],
        "mine": ["yes"] if filters.mine else [],
    }
    return {name: some for name, some in values.items() if some}


def address(filters: Filters, **more: object) -> str:
    """The address of the queue page with these filters."""
    query = urlencode(params(filters) | {name: [str(value)] for name, value in more.items()}, doseq=True)
    return f"/queue?{query}" if query else "/queue"
