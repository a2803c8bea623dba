"""Incident mode: something is going on, and everybody who reads should know what. It ends by itself.

A note says what happened, where it was reported and what to expect; it changes no threshold and no tier. It is shown
with the queue, and with the cases it concerns: those of a queue, of a platform, or all, received while it lasts.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from triage import accounts, audit
from triage.audit import Entry
from triage.db import Case, Incident, User
from triage.domain.errors import Conflict, InvalidInput, NotFound
from triage.domain.routing import CURRENT
from triage.domain.words import Operation, Role

LONGEST = timedelta(hours=72)
#: What is going on is reported before anybody opens an incident for it.
EARLIER = timedelta(hours=1)
_LONGEST_TITLE, _LONGEST_NOTE = 100, 1000
_MAY_OPEN = (Role.APPROVER, Role.ADMIN)


def open_incident(
    session: Session,
    user: User,
    *,
    title: str,
    note: str,
    hours: int,
    queue: str | None,
    platform: str | None,
    now: datetime,
) -> Incident:
    """Tell everybody who reads, for so many hours.

    Raises:
        Forbidden: the user is neither approver nor administrator.
        InvalidInput: title or note are missing or too long, the queue does not exist, or it would last too long.
    """
    accounts.require(user, *_MAY_OPEN)
    _check("title", "Say in a few words what happened", title, _LONGEST_TITLE)
    _check("note", "Say what readers should know", note, _LONGEST_NOTE)
    if not timedelta(0) < timedelta(hours=hours) <= LONGEST:
        raise InvalidInput("An incident lasts 1 to 72 hours; open another one if it goes on", field="hours")
    if queue is not None and queue not in CURRENT.by_name:
        raise InvalidInput("There is no such queue", field="queue")
    incident = Incident(
        title=title.strip(),
        note=note.strip(),
        queue=queue,
        platform=platform.strip().lower() if platform else None,
        starts_at=now,
        ends_at=now + timedelta(hours=hours),
        opened_by=user.id,
    )
    session.add(incident)
    session.flush()
    data = {"hours": hours, "queue": queue, "platform": incident.platform}
    audit.record(session, accounts.actor_of(user), _entry("incident.opened", incident, data))
    return incident


def close_incident(session: Session, user: User, incident_id: uuid.UUID, *, now: datetime) -> None:
    """End it now.

    Raises:
        NotFound: there is none.
        Conflict: it has ended.
    """
    accounts.require(user, *_MAY_OPEN)
    incident = session.scalar(select(Incident).where(Incident.id == incident_id).with_for_update())
    if incident is None:
        raise NotFound("There is no such incident")
    if incident.closed_at is not None or incident.ends_at <= now:
        raise Conflict("This incident has ended already")
    incident.closed_at, incident.closed_by = now, user.id
    audit.record(session, accounts.actor_of(user), _entry("incident.closed", incident, {}))


def running(session: Session, *, now: datetime) -> Sequence[Incident]:
    """What goes on now, the newest first."""
    return session.scalars(
        select(Incident)
        .where(Incident.ends_at > now, Incident.closed_at.is_(None))
        .order_by(Incident.starts_at.desc(), Incident.id)
        .limit(20)
    ).all()


def recent(session: Session) -> Sequence[Incident]:
    """The newest incidents, running or ended."""
    return session.scalars(select(Incident).order_by(Incident.starts_at.desc(), Incident.id).limit(50)).all()


def concerning(session: Session, case: Case, platform: str, *, now: datetime) -> list[Incident]:
    """What goes on now and concerns a case."""
    return [
        incident
        for incident in running(session, now=now)
        if incident.queue in (None, case.queue)
        and incident.platform in (None, platform)
        and case.received_at >= incident.starts_at - EARLIER
    ]


def _check(field: str, missing: str, value: str, longest: int) -> None:
    if not value.strip():
        raise InvalidInput(missing, field=field)
    if len(value.strip()) > longest:
        raise InvalidInput(f"Use {longest} characters at most", field=field)


def _entry(kind: str, incident: Incident, data: Mapping[str, object]) -> Entry:
    return Entry(Operation.SYSTEM, kind, "incident", str(incident.id), data=data)
