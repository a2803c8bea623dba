"""Cases found by number, platform, host or what a reporter said; and, by few and logged, by the words of the post.

Never by a person: no author, no handle, no name is indexed as such, and nothing here lists one account's posts.
"""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from triage import accounts, audit
from triage.audit import Entry
from triage.db import Case, CaseWords, Post, User
from triage.domain.errors import Forbidden, InvalidInput
from triage.domain.words import Operation, Purpose, Role

MOST = 50
#: More cases than this with the words asked for are too many to look through.
TOO_MANY = 5000
_LONGEST = 200
MAY_SEARCH = (Role.MODERATOR, Role.APPROVER, Role.SAFEGUARDING, Role.AUDITOR)
#: Reading what people wrote without having a case of it in hand is more intrusive.
MAY_SEARCH_WORDS = (Role.APPROVER, Role.SAFEGUARDING)


@dataclass(frozen=True, slots=True)
class Found:
    """One case that was found. No text of it."""

    id: uuid.UUID
    number: int
    tier: str | None
    queue: str
    status: str
    platform: str
    report_count: int
    received_at: datetime


def search(session: Session, user: User, wanted: str, *, in_posts: bool, purpose: Purpose | None) -> Sequence[Found]:
    """The newest cases that fit, at most ``MOST``. The search is an event, with what was found, in this transaction.

    Args:
        in_posts: also look at the words of posts; needs a purpose.

    Raises:
        Forbidden: the user's roles do not allow it.
        InvalidInput: nothing was asked for, or too much, too many cases fit, or the purpose is missing.
    """
    accounts.require(user, *MAY_SEARCH)
    if in_posts and not {str(role) for role in MAY_SEARCH_WORDS} & set(user.roles):
        raise Forbidden(f"To search the words of posts needs the role {' or '.join(MAY_SEARCH_WORDS)}")
    wanted = wanted.strip()
    if not wanted or len(wanted) > _LONGEST:
        raise InvalidInput(f"Write what to look for, {_LONGEST} characters at most", field="q")
    if in_posts and purpose is None:
        raise InvalidInput("Choose the purpose: the search is logged with it", field="purpose")
    found = _find(session, wanted, in_posts=in_posts)
    _log(session, user, wanted, found, in_posts=in_posts, purpose=purpose)
    return found


def _find(session: Session, wanted: str, *, in_posts: bool) -> list[Found]:
    query = select(Case, Post.platform).join(Post, Post.id == Case.post_id).order_by(Case.id.desc()).limit(MOST)
    if wanted.isdecimal() and wanted.isascii() and len(wanted) <= 15:
        query = query.where(Case.number == int(wanted))
    else:
        query = query.where(Case.id.in_(_with_words(session, wanted, in_posts=in_posts)))
    rows = session.execute(query)
    return [
        Found(
            id=case.id,
            number=case.number,
            tier=case.tier,
            queue=case.queue,
            status=case.status,
            platform=platform,
            report_count=case.report_count,
            received_at=case.received_at,
        )
        for case, platform in rows
    ]


def _with_words(session: Session, wanted: str, *, in_posts: bool) -> list[uuid.UUID]:
    """The newest cases with these words. Found first and ordered then: asked for in order, a rare word would be looked
    for case by case through all of them."""
    words = func.websearch_to_tsquery("simple", wanted)
    fits: ColumnElement[bool] = CaseWords.about.op("@@")(words)
    if in_posts:
        fits = or_(fits, CaseWords.post.op("@@")(words))
    ids = session.scalars(select(CaseWords.case_id).where(fits).limit(TOO_MANY + 1)).all()
    if len(ids) > TOO_MANY:
        raise InvalidInput(f"More than {TOO_MANY:,} cases fit: add another word", field="q")
    return sorted(ids, reverse=True)[:MOST]


def _log(
    session: Session, user: User, wanted: str, found: Sequence[Found], *, in_posts: bool, purpose: Purpose | None
) -> None:
    """What was asked for is kept as its SHA-256: enough to check a claim about it, and no new text about anybody."""
    digest = hashlib.sha256(wanted.casefold().encode()).hexdigest()
    data = {
        "in_posts": in_posts,
        "sha256": digest,
        "found": len(found),
        "cases": [case.number for case in found],
    }
    entry = Entry(
        Operation.CONSULTATION,
        "case.searched",
        "search",
        digest,
        purpose=str(purpose) if purpose else None,
        data=data,
    )
    audit.record(session, accounts.actor_of(user), entry)
