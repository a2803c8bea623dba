"""The schedule process: once a second it sweeps up what rang and was not heard, and keeps the house in order.

Every task runs in its own transaction and may run twice, or in two processes, without harm.
"""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from annotations import copies, drafts, source_records, wellbeing
from annotations.figures import counting
from triage import (
    accounts,
    alerts,
    assessment,
    attendance,
    audit,
    capture,
    cases,
    idempotency,
    leases,
    metrics,
    patrol,
    queue,
    routing,
    watching,
)
from triage.db import clock
from triage.db.session import transaction
from triage.queue import Bell
from workers import beats, on_call

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 1.0
#: Events are sealed when so many wait, or when one has waited so long: a seal for each second would be a seal
#: for each event, and as many to verify.
SEAL_EVENTS = 1000
SEAL_AFTER = timedelta(seconds=10)
_SELF = audit.system("schedule")


def sweep(session: Session, now: datetime) -> int:
    """Ring for every lane with work that nobody holds."""
    bells = [Bell(str(lane)) for lane in assessment.lanes_with_work(session)]
    if capture.has_work(session, now=now):
        bells.append(Bell.CAPTURE)
    for bell in bells:
        queue.ring(bell)
    return len(bells)


def give_up(session: Session, now: datetime) -> int:
    return assessment.give_up(session, _SELF, now=now)


def open_unattended(session: Session, now: datetime) -> int:
    """Cases of lanes that nobody scores go to a person, without scores."""
    return sum(
        assessment.open_unattended(session, _SELF, lane, most=attendance.room_for_unassessed(session, lane))
        for lane in attendance.without_worker(session)
    )


def seal(session: Session, now: datetime) -> int:
    return audit.seal(session, at_least=SEAL_EVENTS, unless_older_than=SEAL_AFTER)


def lift_overdue(session: Session, now: datetime) -> int:
    return cases.lift_overdue(session, now=now)


def shorten_leases(session: Session, now: datetime) -> int:
    return leases.shorten(session)


def renew_queues(session: Session, now: datetime) -> int:
    return routing.renew(session)


def call_next(session: Session, now: datetime) -> int:
    return alerts.raise_next(session, now=now)


def forget_sessions(session: Session, now: datetime) -> int:
    return accounts.purge_expired_sessions(session, now=now)


def forget_answers(session: Session, now: datetime) -> int:
    return idempotency.forget_old(session, now=now)


def count(session: Session, now: datetime) -> int:
    return watching.count(session, now=now)


def walk_chain(session: Session, now: datetime) -> int:
    return patrol.walk(session)


def forget_beats(session: Session, now: datetime) -> int:
    return beats.forget(session, now=now)


def count_figures(session: Session, now: datetime) -> int:
    """Every five minutes, and soon after the first start."""
    return counting.count(session, now=now)


def forget_exposure(session: Session, now: datetime) -> int:
    return wellbeing.forget(session, now=now)


def remember_copies(session: Session, now: datetime) -> int:
    return copies.remember(session)


def count_sources(session: Session, now: datetime) -> int:
    return source_records.recount(session, now=now)


def forget_drafts(session: Session, now: datetime) -> int:
    return drafts.forget_stray(session)


#: (every how many seconds, task)
TASKS: tuple[tuple[int, Callable[[Session, datetime], int]], ...] = (
    (1, sweep),
    (1, seal),
    (5, give_up),
    (5, count),
    (60, walk_chain),
    (5, open_unattended),
    (2, renew_queues),
    (5, call_next),
    (30, lift_overdue),
    (30, shorten_leases),
    (600, forget_sessions),
    (600, forget_answers),
    (600, forget_beats),
    (2, remember_copies),
    (600, forget_drafts),
    (3600, count_sources),
    (600, forget_exposure),
    (20, count_figures),
)


def run(stop: threading.Event) -> None:
    """Work until ``stop`` is set. A task that fails is logged and tried again at its next turn."""
    # Apart from the tasks: whoever is called may take seconds to answer.
    calls = threading.Thread(target=on_call.run, args=(stop,), name="on-call")
    calls.start()
    with beats.beating("schedule", "schedule"):
        tick = 0
        while not stop.wait(SWEEP_SECONDS):
            tick += 1
            for every, task in TASKS:
                if tick % every == 0:
                    _run_one(task)
    calls.join()


def _run_one(task: Callable[[Session, datetime], int]) -> None:
    try:
        with transaction() as session:
            done = task(session, clock.now())
    except SQLAlchemyError as error:  # the database is away or busy; the next tick tries again
        metrics.task_failures.inc()
        logger.warning("task failed", extra={"task": task.__name__, "reason": type(error).__name__})
        return
    if done and task not in (sweep, seal, count, walk_chain, remember_copies):  # those have something to do always
        logger.info("task done", extra={"task": task.__name__, "count": done})
