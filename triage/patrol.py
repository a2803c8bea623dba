"""Is the log's chain whole? Asked again and again by the schedule, a part at a time, so that a break raises an alert.

Each time the newest seals are recomputed, and the next stretch of the whole chain after the one before; at its end
the patrol begins anew. Where it finds a break it stays, and finds it again, until that is mended.
"""

import logging

from sqlalchemy.orm import Session

from triage import audit, tallies

#: Recomputed each time: the newest seals, and about so many events of the stretch. Some 50 microseconds an event.
NEWEST_SEALS = 5
STRETCH_EVENTS = 10_000

HOLDS = "triage_audit_chain_holds"
ROUNDS = tallies.key("triage_audit_rounds_total")
NEWEST, ROUND = "newest", "round"
_UPTO = tallies.key("audit_patrol_upto")

logger = logging.getLogger(__name__)


def walk(session: Session) -> int:
    """Recompute a part of the chain and tell what was found; returns how many events were read."""
    newest = audit.verify(session, newest=NEWEST_SEALS)
    told = tallies.read(session).get(_UPTO)
    stretch = audit.verify_stretch(session, after=int(told.value) if told else 0, events=STRETCH_EVENTS)
    for problem in (newest.problem, stretch.problem):
        if problem is not None:
            logger.error("the audit chain is broken", extra={"problem": problem})
    holds = {NEWEST: newest.problem is None, ROUND: stretch.problem is None}
    found = {tallies.key(HOLDS, {"part": part}): float(whole) for part, whole in holds.items()}
    tallies.put(session, found | {_UPTO: stretch.upto})
    if stretch.upto == 0 and stretch.problem is None:
        tallies.add(session, {ROUNDS: 1})
    return newest.sealed_events + stretch.events
