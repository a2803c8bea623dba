"""From a post that wants scores to a case that is open: claim under a lease, record, or give up openly."""

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CTE, ColumnElement, and_, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from triage import cases
from triage.audit import Actor
from triage.db import AssessmentRow, Case, DeadLetter, Post, PostScores
from triage.domain import policy
from triage.domain.lifecycle import CaseEvent, CaseStatus
from triage.domain.scores import NotAssessed, Scores
from triage.domain.words import Lane, ScoringStatus
from triage.settings import current

#: Recorded as the pipeline version of a post that no pipeline could score.
NO_PIPELINE = "none"
#: A batch is taken up to this many characters, so that long posts do not make it outlast its lease.
BATCH_CHARS = 200_000
#: Nobody takes a post for longer; see ``_free``.
_LONGEST_LEASE_SECONDS = 600

# Written into the statement, not sent as parameters: the planner uses a partial index only where it can read
# the index's condition, and a plan it keeps for all parameters cannot.
_WANTED = Post.scoring == literal(ScoringStatus.WANTED.value, literal_execute=True)
_TRIED = Post.scoring_attempts > literal(0, literal_execute=True)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A post to score, held by ``lease`` until somebody else may take it."""

    post_id: uuid.UUID
    text: str
    lease: uuid.UUID


def claim_posts(session: Session, lane: Lane, *, limit: int, lease_seconds: int, retry: bool = False) -> list[Claimed]:
    """Take up to ``limit`` posts that want scores, and no more than ``BATCH_CHARS`` of text unless in one post.

    Another worker skips locked rows and sees the lease afterwards. ``retry`` takes posts whose first worker
    did not finish; they are taken one by one, so that a post which kills its worker takes no other with it.
    """
    chosen = _chosen(lane, limit=limit, retry=retry)
    lease = uuid.uuid4()
    claimed = session.execute(
        update(Post)
        .where(Post.id == chosen.c.id)
        .values(
            scoring_lease=lease,
            scoring_lease_until=func.now() + timedelta(seconds=lease_seconds),
            scoring_attempts=Post.scoring_attempts + 1,
        )
        .returning(Post.id, Post.text),
        execution_options={"synchronize_session": False},
    )
    return [Claimed(post_id, text or "", lease) for post_id, text in claimed]


def _chosen(lane: Lane, *, limit: int, retry: bool) -> CTE:
    found = (
        select(Post.id, func.coalesce(func.length(Post.text), 0).label("chars"))
        .where(
            _WANTED,
            Post.lane == lane.value,
            _free(),
            _TRIED if retry else Post.scoring_attempts == 0,
            Post.scoring_attempts < current().scoring_attempts,
        )
        .order_by(Post.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("found")
    )
    upto = func.sum(found.c.chars).over(order_by=found.c.id).label("upto")
    measured = select(found.c.id, found.c.chars, upto).cte("measured")
    fits = or_(measured.c.upto <= BATCH_CHARS, measured.c.upto == measured.c.chars)  # or is the first
    return select(measured.c.id).where(fits).cte("chosen")


def _free() -> ColumnElement[bool]:
    """Nobody holds the post, by the database's clock.

    A lease that ends later than any can was given before that clock was put back: the post would wait for hours.
    """
    until = Post.scoring_lease_until
    longest = timedelta(seconds=max(_LONGEST_LEASE_SECONDS, 2 * current().scoring_lease_seconds))
    return or_(until.is_(None), until < func.now(), until > func.now() + longest)


def record_scores(
    session: Session,
    actor: Actor,
    scored: Sequence[tuple[Claimed, Scores]],
    *,
    pipeline_version: str,
    now: datetime,
) -> int:
    """Store scores, let the policy propose, open the cases. Returns how many were still wanted.

    A post whose lease another worker took over meanwhile is left to that worker: nothing is recorded twice.
    """
    held = or_(*(and_(Post.id == claim.post_id, Post.scoring_lease == claim.lease) for claim, _ in scored))
    mine = set(
        session.scalars(
            select(Post.id)
            .where(held, Post.scoring == ScoringStatus.WANTED.value)
            .order_by(Post.id)
            .with_for_update(key_share=True)
        )
    )
    items = {claim.post_id: scores for claim, scores in scored if claim.post_id in mine}
    _record(session, actor, items, pipeline_version=pipeline_version, scoring=ScoringStatus.DONE, now=now)
    return len(items)


def open_without_scores(
    session: Session, actor: Actor, post_ids: Sequence[uuid.UUID], reason: NotAssessed, *, now: datetime
) -> None:
    """Open cases that no model could assess, for a person. The caller holds the posts' rows."""
    items = {post_id: Scores(not_assessed=reason) for post_id in post_ids}
    _record(session, actor, items, pipeline_version=NO_PIPELINE, scoring=ScoringStatus.FAILED, now=now)


def give_up(session: Session, actor: Actor, *, now: datetime, limit: int = 100) -> int:
    """Open the cases of posts that were tried often enough and never finished; returns how many."""
    stuck = session.scalars(
        select(Post.id)
        .where(
            _WANTED,
            _TRIED,
            Post.scoring_attempts >= current().scoring_attempts,
            _free(),
        )
        .order_by(Post.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    if stuck:
        open_without_scores(session, actor, stuck, NotAssessed.MODEL_FAILED, now=now)
        session.add_all(
            DeadLetter(object_type="post", object_id=post_id, reason="the classifier did not finish")
            for post_id in stuck
        )
    return len(stuck)


def lanes_with_work(session: Session) -> list[Lane]:
    """Lanes where a post waits that nobody holds: for the sweep."""
    found = []
    for lane in Lane:
        wanted = select(Post.id).where(
            _WANTED,
            Post.lane == lane.value,
            _free(),
            Post.scoring_attempts < current().scoring_attempts,
        )
        if session.scalar(wanted.limit(1)) is not None:
            found.append(lane)
    return found


def _record(
    session: Session,
    actor: Actor,
    items: dict[uuid.UUID, Scores],
    *,
    pipeline_version: str,
    scoring: ScoringStatus,
    now: datetime,
) -> None:
    if not items:
        return
    score_rows = [_scores_row(post_id, scores, pipeline_version) for post_id, scores in items.items()]
    made = session.execute(
        upsert(PostScores)
        .on_conflict_do_nothing(index_elements=[PostScores.post_id, PostScores.pipeline_version])
        .returning(PostScores.post_id, PostScores.id),
        score_rows,
    )
    scores_ids = dict(made.all())
    rows = session.scalars(
        select(Case).where(Case.post_id.in_(scores_ids)).order_by(Case.id).with_for_update(key_share=True)
    ).all()
    for case in rows:
        _assess(session, actor, case, items[case.post_id], scores_ids[case.post_id], now)
    session.execute(
        update(Post)
        .where(Post.id.in_(items))
        .values(scoring=str(scoring), scoring_lease=None, scoring_lease_until=None),
        execution_options={"synchronize_session": False},
    )


def _scores_row(post_id: uuid.UUID, scores: Scores, pipeline_version: str) -> dict[str, Any]:
    return {
        "post_id": post_id,
        "pipeline_version": pipeline_version,
        "labels": dict(scores.labels),
        "contexts": dict(scores.contexts),
        "review": scores.review,
        "urgent": scores.urgent,
        "evidence": [asdict(span) for span in scores.evidence],
        "not_assessed": str(scores.not_assessed) if scores.not_assessed else None,
        "versions": dict(scores.versions),
    }


def _assess(session: Session, actor: Actor, case: Case, scores: Scores, scores_id: uuid.UUID, now: datetime) -> None:
    proposal = policy.assess(scores)
    session.add(
        AssessmentRow(
            case_id=case.id,
            scores_id=scores_id,
            policy_version=proposal.policy_version,
            codes=list(proposal.codes),
            tier=str(proposal.tier),
            flagged=proposal.flagged,
            reasons=list(proposal.reasons),
        )
    )
    case.flagged, case.codes, case.risk = proposal.flagged, list(proposal.codes), proposal.risk
    cases.advance(
        session,
        actor,
        case,
        CaseEvent.ASSESSED,
        tier=str(proposal.tier),
        assessed=proposal.assessed,
        codes=list(proposal.codes),
        flagged=proposal.flagged,
        policy_version=proposal.policy_version,
    )
    if case.status == CaseStatus.OPEN.value:
        cases.put_in_place(case, now=now)
