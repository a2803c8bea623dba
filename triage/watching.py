"""What ``/metrics`` tells of the whole service: how it is now, and what all processes counted.

What somebody may have to act on is read when it is asked for, from indexes of what waits. What grows with the tables is
counted by the schedule (``count``), never by a scrape; how old the counts are is told too.
"""

import math
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from sqlalchemy import func, literal, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from triage import alerts, audit, backlog, metrics, patrol, tallies
from triage.attendance import SILENT_AFTER
from triage.db import Capture, Case, DeadLetter, EventSeal, Post, PostScores, Report, WorkerBeat
from triage.domain import policy
from triage.domain.lifecycle import CaseStatus
from triage.domain.scores import NotAssessed
from triage.domain.taxonomy import Tier
from triage.domain.words import CaptureStatus, Lane, ScoringStatus, Work
from triage.settings import current
from triage.tallies import Key, Told

#: Processes that beat. A lane's name for a worker; the scorer is one that an installation may do without.
PROCESSES = (*map(str, Lane), "capture", "schedule", "scorer")
#: A version that no living process has said again for this long is at work no more.
_FORGET_VERSION_AFTER = timedelta(seconds=60)
#: Counts are this many seconds old before they are taken anew, and longer where counting is slow: never more than a
#: 50th of the schedule's time.
COUNT_SECONDS = 30.0
_TIMES_ITS_COST = 50
#: A transaction may stay open for so long and still be counted: rows older than this are counted once and for all.
_SETTLED_AFTER = timedelta(minutes=10)

_CASES, _UNASSESSED, _COUNTED = "triage_cases", "triage_posts_not_assessed", tallies.key("counted")
_GROWING: tuple[tuple[str, str, Any], ...] = (
    ("triage_reports_accepted_total", "Reports accepted, by whatever way", Report.id),
    ("triage_posts_scored_total", "Posts whose case opened, assessed or not", PostScores.id),
)
_NO_TIER = "none"
_OPEN = Case.status == literal(CaseStatus.OPEN.value, literal_execute=True)


class _Pace:
    """When this process may count again, in seconds of time.monotonic()."""

    until = 0.0


def count(session: Session, *, now: datetime) -> int:
    """Count what grows with the tables, if it is time to; returns 1 if it was."""
    began = time.monotonic()
    if began < _Pace.until:
        return 0
    told = tallies.read(session)
    values = _cases_by_status_and_tier(session) | _unassessed(session)
    for name, _, column in _GROWING:
        values |= _grown(session, told, name, column, now=now)
    tallies.put(session, values | {_COUNTED: 1})
    _Pace.until = time.monotonic() + max(COUNT_SECONDS, _TIMES_ITS_COST * (time.monotonic() - began))
    return 1


def forget_pace() -> None:
    """Count at the next question, however new the last counts are."""
    _Pace.until = 0.0


def _cases_by_status_and_tier(session: Session) -> dict[Key, float]:
    """Read from the index alone. Every pair, so that one which empties goes to 0."""
    found = session.execute(select(Case.status, Case.tier, func.count()).group_by(Case.status, Case.tier))
    counts = {(status, tier or _NO_TIER): number for status, tier, number in found}
    return {
        tallies.key(_CASES, {"status": status, "tier": tier}): counts.get((status, tier), 0)
        for status in map(str, CaseStatus)
        for tier in (*map(str, Tier), _NO_TIER)
    }


def _unassessed(session: Session) -> dict[Key, float]:
    found = session.execute(
        select(PostScores.not_assessed, func.count())
        .where(PostScores.not_assessed.is_not(None))
        .group_by(PostScores.not_assessed)
    )
    counts = dict(found.all())
    return {tallies.key(_UNASSESSED, {"reason": str(kind)}): counts.get(str(kind), 0) for kind in NotAssessed}


def _grown(
    session: Session, told: Mapping[Key, Told], name: str, column: InstrumentedAttribute[uuid.UUID], *, now: datetime
) -> dict[Key, float]:
    """Rows ever stored, counted from where the last count ended: ids of version 7 are in the order of their time."""
    settled, upto = tallies.key(f"{name} settled"), tallies.key(f"{name} upto")
    before = told[settled].value if settled in told else 0.0
    start = told[upto].value if upto in told else 0.0
    end = max(start, math.floor((now - _SETTLED_AFTER).timestamp() * 1000))
    before += session.scalar(select(func.count()).where(column >= _first_id(start), column < _first_id(end))) or 0
    fresh = session.scalar(select(func.count()).where(column >= _first_id(end))) or 0
    return {settled: before, upto: end, tallies.key(name): before + fresh}


def _first_id(milliseconds: float) -> uuid.UUID:
    """The smallest version 7 UUID of a millisecond since 1970."""
    return uuid.UUID(int=int(milliseconds) << 80 | 0x7 << 76 | 0b10 << 62)


def families(session: Session) -> Iterator[Metric]:
    """All of it, as Prometheus wants it. Every series is there from the start: one that vanishes raises no alert.

    Literals, not parameters: a plan kept for all parameters could not use the indexes with conditions.
    """
    now = session.scalars(select(func.clock_timestamp())).one()
    told = tallies.read(session)
    yield from _at_risk(session, now)
    yield from _waiting(session, now)
    yield from _processes(session, now)
    yield from _chain(session, told, now)
    yield from _counted(told, now)
    yield from _disk()
    yield from _versions(told, now)
    yield from tallies.families(told, metrics.WORKERS)


def _gauge(name: str, help: str, label: str | None, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help, labels=[label] if label else [])
    for kind, value in values.items():
        family.add_metric([kind] if label else [], value)
    return family


def _age(now: datetime, since: datetime | None) -> float:
    """Seconds; 0 where there is nothing. Clocks that differ a little make no negative ages."""
    return max(0.0, (now - since).total_seconds()) if since else 0.0


def _at_risk(session: Session, now: datetime) -> Iterator[Metric]:
    """Open cases that nobody has looked at: the age of the first in each tier, from its index."""
    ages = {}
    for tier in Tier:
        first = (
            select(Case.received_at)
            .where(_OPEN, Case.seen_at.is_(None), Case.tier == literal(tier.value, literal_execute=True))
            .order_by(Case.deadline_at)
            .limit(1)
        )
        ages[str(tier)] = _age(now, session.scalar(first))
    help = "Since when the open case that is due first was reported and nobody has looked; 0: there is none"
    yield _gauge("triage_unseen_oldest_seconds", help, "tier", ages)
    help = "Calls about a threat to life that were tried, are still needed and have not arrived"
    yield _gauge("triage_calls_undelivered", help, None, {"": alerts.undelivered(session)})


def _waiting(session: Session, now: datetime) -> Iterator[Metric]:
    wanted = Post.scoring == literal(ScoringStatus.WANTED.value, literal_execute=True)
    posts = dict(session.execute(select(Post.lane, func.count()).where(wanted).group_by(Post.lane)).all())
    lanes = {str(lane): posts.get(str(lane), 0) for lane in Lane}
    yield _gauge("triage_posts_waiting", "Posts that wait for scores", "lane", lanes)
    oldest = {str(lane): _age(now, backlog.waiting_since(session, lane)) for lane in Lane}
    yield _gauge("triage_posts_oldest_seconds", "For how long the oldest of them has waited", "lane", oldest)
    captures = Capture.status == literal(CaptureStatus.WANTED.value, literal_execute=True)
    number, first = session.execute(select(func.count(), func.min(Capture.created_at)).where(captures)).one()
    yield _gauge("triage_captures_waiting", "URLs that wait to be captured", None, {"": number})
    yield _gauge("triage_captures_oldest_seconds", "For how long the oldest has waited", None, {"": _age(now, first)})
    dead = select(DeadLetter.object_type, func.count()).where(DeadLetter.retried_at.is_(None))
    letters = dict(session.execute(dead.group_by(DeadLetter.object_type)).all())
    works = {str(work): letters.get(str(work), 0) for work in Work}
    yield _gauge("triage_dead_letters", "Pieces of work given up, not yet tried again", "work", works)


def _processes(session: Session, now: datetime) -> Iterator[Metric]:
    alive = func.count().filter(WorkerBeat.seen_at > now - SILENT_AFTER)
    busy = func.min(WorkerBeat.busy_since).filter(WorkerBeat.seen_at > now - SILENT_AFTER)
    rows = session.execute(
        select(WorkerBeat.lane, alive, func.max(WorkerBeat.seen_at), busy).group_by(WorkerBeat.lane)
    ).all()
    living = dict.fromkeys(PROCESSES, 0) | {lane: number for lane, number, _, _ in rows}
    yield _gauge("triage_workers_alive", "Processes that beat in the last 30 seconds", "lane", living)
    beats = dict.fromkeys(PROCESSES, math.inf) | {lane: _age(now, last) for lane, _, last, _ in rows}
    yield _gauge("triage_worker_beat_age_seconds", "Since the newest beat; infinite: none is known", "lane", beats)
    longest = dict.fromkeys(PROCESSES, 0.0) | {lane: _age(now, since) for lane, _, _, since in rows}
    yield _gauge("triage_worker_busy_seconds", "The longest that one is busy with its batch", "lane", longest)


def _chain(session: Session, told: Mapping[Key, Told], now: datetime) -> Iterator[Metric]:
    sealed = session.scalar(select(EventSeal.sealed_at).order_by(EventSeal.id.desc()).limit(1))
    yield _gauge("triage_audit_last_seal_age_seconds", "Since the newest seal", None, {"": _age(now, sealed)})
    unsealed = audit.unsealed(session)
    oldest = max(0.0, unsealed.oldest.total_seconds()) if unsealed else 0.0
    yield _gauge("triage_audit_unsealed_seconds", "How long the oldest event waits for a seal", None, {"": oldest})
    parts = (patrol.NEWEST, patrol.ROUND)
    checked = {part: told.get(tallies.key(patrol.HOLDS, {"part": part})) for part in parts}
    holds = {part: one.value for part, one in checked.items() if one}
    yield _gauge(patrol.HOLDS, "Whether the recomputed part of the chain holds", "part", holds)
    ages = {part: _age(now, one.at) if one else math.inf for part, one in checked.items()}
    help = "Since the chain was last recomputed; infinite: never yet"
    yield _gauge("triage_audit_check_age_seconds", help, "part", ages)
    rounds = told.get(patrol.ROUNDS)
    yield CounterMetricFamily(
        "triage_audit_rounds", "Times the whole chain was recomputed", value=rounds.value if rounds else 0
    )


def _counted(told: Mapping[Key, Told], now: datetime) -> Iterator[Metric]:
    last = told.get(_COUNTED)
    help = "Since cases, reports and scored posts were counted; infinite: never yet"
    yield _gauge("triage_counts_age_seconds", help, None, {"": _age(now, last.at) if last else math.inf})
    for name, help, _ in _GROWING:
        one = told.get(tallies.key(name))
        yield CounterMetricFamily(name.removesuffix("_total"), help, value=one.value if one else 0)
    yield _several(told, _CASES, "Cases by status and tier", ("status", "tier"), _all_pairs())
    reasons = [(str(kind),) for kind in NotAssessed]
    yield _several(told, _UNASSESSED, "Posts whose case is open or decided without scores", ("reason",), reasons)


def _all_pairs() -> list[tuple[str, str]]:
    return [(str(status), tier) for status in CaseStatus for tier in (*map(str, Tier), _NO_TIER)]


def _several(
    told: Mapping[Key, Told], name: str, help: str, labels: tuple[str, ...], kinds: Iterable[tuple[str, ...]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help, labels=labels)
    for kind in kinds:
        one = told.get(tallies.key(name, dict(zip(labels, kind, strict=True))))
        family.add_metric(kind, one.value if one else 0)
    return family


def _disk() -> Iterator[Metric]:
    """Of the disk that evidence is written to, as this process sees it."""
    folder = current().data_dir
    usage = shutil.disk_usage(next(place for place in (folder, *folder.parents, Path("/")) if place.exists()))
    yield _gauge("triage_disk_free_bytes", "Free on the disk of the data folder", None, {"": usage.free})
    yield _gauge("triage_disk_size_bytes", "Size of that disk", None, {"": usage.total})


def _versions(told: Mapping[Key, Told], now: datetime) -> Iterator[Metric]:
    policies = GaugeMetricFamily("triage_policy_info", "1 for the policy of this process", labels=["policy"])
    policies.add_metric([policy.CURRENT.version], 1)
    yield policies
    newest = {key: one for key, one in told.items() if now - one.at < _FORGET_VERSION_AFTER}
    yield from tallies.families(newest, metrics.RUNNING, complete=False)
