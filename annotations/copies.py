"""Posts of the same words, and of nearly the same: found, shown with what became of them, and decided together.

Who wrote them is neither asked nor shown: this is about words that go round, never about accounts.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Text,
    any_,
    bindparam,
    column,
    func,
    literal,
    or_,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, UUID
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from annotations import review
from annotations.review import View
from triage import accounts, audit
from triage.audit import Entry
from triage.db import Case, Decision, Post, PostWords, User
from triage.domain import copies
from triage.domain.errors import Conflict, Forbidden, GateClosed
from triage.domain.lifecycle import CaseStatus, Outcome
from triage.domain.words import Operation, ScoringStatus

#: Copies looked at for one page, and decided at once; a flood of them is told as "more than".
MOST_COPIES = 50
MOST_SIMILAR = 10
#: Posts that share a run of words with this one, of which the most similar are chosen. A bound for the worst day.
_CANDIDATES = 1000
_KNOWN = (ScoringStatus.DONE.value, ScoringStatus.FAILED.value)
#: A referral is about one post and an escalation about one call: each copy gets its own.
TOGETHER = (Outcome.NO_VIOLATION, Outcome.SAFEGUARD, Outcome.ROUTE_OUT)


@dataclass(frozen=True, slots=True)
class Copy:
    """Another case with the same words, or nearly the same. No handle, no address, no text."""

    case_id: uuid.UUID
    number: int
    platform: str
    received_at: datetime
    status: str
    outcome: str | None
    codes: tuple[str, ...]
    decided_at: datetime | None
    #: 1 for the same words.
    resemblance: float
    free: bool


@dataclass(frozen=True, slots=True)
class Copies:
    """What resembles one post. ``more``: there are more exact copies than are listed."""

    exact: tuple[Copy, ...] = ()
    similar: tuple[Copy, ...] = ()
    more: bool = False

    @property
    def open(self) -> tuple[Copy, ...]:
        """Exact copies that wait and that nobody is reading."""
        return tuple(copy for copy in self.exact if copy.free)


def remember(session: Session, *, limit: int = 500) -> int:
    """Make scored posts findable as copies; returns how many. The schedule calls it; twice does no harm."""
    rows = session.execute(
        select(Post.id, Post.text)
        .where(~Post.words_known, Post.scoring.in_([literal(kind, literal_execute=True) for kind in _KNOWN]))
        .order_by(Post.id)
        .limit(limit)
        .with_for_update(skip_locked=True, key_share=True)
    ).all()
    found = [_words_row(post_id, text) for post_id, text in rows if text]
    if found:
        store = upsert(PostWords)
        values = {"copy_sha256": store.excluded.copy_sha256, "sketch": store.excluded.sketch}
        session.execute(store.on_conflict_do_update(index_elements=[PostWords.post_id], set_=values), found)
    if rows:
        known = update(Post).where(Post.id.in_([post_id for post_id, _ in rows])).values(words_known=True)
        session.execute(known, execution_options={"synchronize_session": False})
    return len(rows)


def _words_row(post_id: uuid.UUID, text: str) -> dict[str, Any]:
    return {"post_id": post_id, "copy_sha256": copies.copy_sha256(text), "sketch": copies.sketch(text)}


def like(session: Session, post_id: uuid.UUID, text: str | None, *, now: datetime) -> Copies:
    """The newest exact copies of a post and the posts most like it, in one query."""
    if not text:
        return Copies()
    same, sketch = copies.copy_sha256(text), copies.sketch(text)
    found = [_exact(post_id, same), *([_similar(post_id, same, sketch)] if sketch else [])]
    near = union_all(*found).subquery()
    decision = (
        select(Decision.codes, Decision.created_at)
        .where(Decision.case_id == Case.id)
        .order_by(Decision.id.desc())
        .limit(1)
        .lateral()
    )
    free = (Case.status == CaseStatus.OPEN.value) & _nobody_reads(now)
    rows = session.execute(
        select(Case, Post.platform, near.c.copy_sha256, near.c.sketch, decision.c.codes, decision.c.created_at, free)
        .join(Case, Case.post_id == near.c.post_id)
        .join(Post, Post.id == near.c.post_id)
        .outerjoin(decision, true())
        .order_by(Case.id.desc())
    ).all()
    listed = [
        _copy(case, platform, 1.0 if sha == same else copies.resemblance(sketch, other or ()), codes, at, is_free)
        for case, platform, sha, other, codes, at, is_free in rows
    ]
    exact = [copy for copy in listed if copy.resemblance == 1.0]
    similar = [copy for copy in listed if copies.RESEMBLES_FROM <= copy.resemblance < 1.0]
    similar.sort(key=lambda copy: (-copy.resemblance, -copy.number))
    return Copies(tuple(exact[:MOST_COPIES]), tuple(similar[:MOST_SIMILAR]), len(exact) > MOST_COPIES)


def _exact(post_id: uuid.UUID, same: str) -> Select[Any]:
    newest = (
        select(PostWords.post_id, PostWords.copy_sha256, PostWords.sketch)
        .where(PostWords.copy_sha256 == same, PostWords.post_id != post_id)
        .order_by(PostWords.copy_sha256, PostWords.post_id.desc())
        .limit(MOST_COPIES + 1)
        .subquery()
    )
    return select(newest)


def _similar(post_id: uuid.UUID, same: str, sketch: Sequence[int]) -> Select[Any]:
    """Those that share most of the hashes, of a bounded number that share any."""
    wanted = bindparam("sketch", list(sketch), type_=ARRAY(BigInteger))
    found = func.posts_sharing_runs(wanted, _CANDIDATES).table_valued(
        column("post_id", UUID(as_uuid=True)), column("copy_sha256", Text), column("sketch", ARRAY(BigInteger))
    )
    sharing = select(found).where(found.c.copy_sha256 != same, found.c.post_id != post_id).subquery()
    value = func.unnest(sharing.c.sketch).table_valued("value").render_derived()
    mine = value.c.value == any_(wanted)
    shared = select(func.count()).select_from(value).where(mine).correlate(sharing).scalar_subquery()
    return select(select(sharing).order_by(shared.desc(), sharing.c.post_id.desc()).limit(2 * MOST_SIMILAR).subquery())


def _nobody_reads(now: datetime) -> ColumnElement[bool]:
    return or_(Case.lease_until.is_(None), Case.lease_until < now)


def _copy(
    case: Case,
    platform: str,
    resemblance: float,
    codes: Sequence[str] | None,
    decided_at: datetime | None,
    free: bool,
) -> Copy:
    return Copy(
        case_id=case.id,
        number=case.number,
        platform=platform,
        received_at=case.received_at,
        status=case.status,
        outcome=case.outcome,
        codes=tuple(codes or ()),
        decided_at=decided_at,
        resemblance=resemblance,
        free=free,
    )


def decide_together(
    session: Session,
    user: User,
    case_id: uuid.UUID,
    copy_ids: Sequence[uuid.UUID],
    view: View,
    *,
    outcome: Outcome,
    reasons: str,
    now: datetime,
) -> list[Case]:
    """Decide open exact copies of a case as the user has just decided the case itself, in the caller's transaction.

    Each copy gets its own claim, judgement, decision and events, as if it had been opened: it has the words that the
    user has read. Left out, for somebody else: a copy that the user submitted, decided or judged otherwise before, one
    that somebody is reading or that is no longer open, and what has not the same words. Returns the cases decided.

    Raises:
        GateClosed: the outcome is one that each post needs for itself.
        Conflict: the user has not decided the case itself.
    """
    if outcome not in TOGETHER:
        raise GateClosed("Copies cannot be decided together with this outcome: each needs its own", field="together")
    mine = review.standing_decision(session, user, case_id)
    if mine is None or mine.outcome != str(outcome):
        raise Conflict("Decide the case itself first")
    done = []
    for copy in _lockable(session, case_id, copy_ids, now):
        try:
            with session.begin_nested():
                review.claim(session, user, copy.id, now=now)
                review.judge_first(session, user, copy.id, view, now=now)
                review.decide(session, user, copy.id, view, outcome=outcome, reasons=reasons, grounds=None, now=now)
                data = {"with_case": str(case_id), "decision": str(mine.id)}
                entry = Entry(
                    Operation.COMBINATION, "case.decided_together", "case", str(copy.id), case_id=copy.id, data=data
                )
                audit.record(session, accounts.actor_of(user), entry)
        except (Forbidden, Conflict, GateClosed):  # not the user's to decide, or not like this
            continue
        done.append(copy)
    return done


def _lockable(session: Session, case_id: uuid.UUID, copy_ids: Sequence[uuid.UUID], now: datetime) -> list[Case]:
    """Those that are free copies, locked. A row that somebody else holds is skipped: two people with overlapping
    copies never wait for each other."""
    text = session.scalar(select(Post.text).join(Case, Case.post_id == Post.id).where(Case.id == case_id))
    rows = session.execute(
        select(Case, Post.text)
        .join(Post, Post.id == Case.post_id)
        .where(
            Case.id.in_(list(copy_ids)[:MOST_COPIES]),
            Case.id != case_id,
            Case.status == CaseStatus.OPEN.value,
            _nobody_reads(now),
        )
        .order_by(Case.id)
        .with_for_update(of=Case, key_share=True, skip_locked=True)
    )
    words = copies.same_words(text or "")
    return [case for case, other in rows if words and copies.same_words(other or "") == words]
