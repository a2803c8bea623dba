"""From a post that wants scores to a case that is open: claim under a lease, record, or give up openly."""

import secrets
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CTE, ColumnElement, Interval, and_, bindparam, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from triage import alerts, cases, dead_letters, routing
from triage.audit import Actor
from triage.db import AssessmentRow, Capture, Case, Post, PostScores
from triage.db.bulk import insert_rows
from triage.domain import policy
from triage.domain.lifecycle import CaseEvent, CaseStatus
from triage.domain.policy import Assessment
from triage.domain.scores import EvidenceSpan, NotAssessed, Scores
from triage.domain.taxonomy import Tier
from triage.domain.words import Lane, ScoringStatus, Work
from triage.settings import current

#: Recorded as the pipeline version of a post that no pipeline could score.
NO_PIPELINE = "none"
#: Why a post was given up, as a person reads it.
FAILED = "the classifier failed on every post at the time"
FAILED_ON_THIS = "the classifier failed on this post, and on no other"
NOT_FINISHED = "the worker did not finish: it was killed, or it hung"
#: Each wait before another attempt is so many times the one before it, up to the longest.
_LONGER = 4.0
_LONGEST_WAIT_SECONDS = 300.0
#: A batch is taken up to this many characters, so that long posts do not make it outlast its lease.
BATCH_CHARS = 200_000
#: Nobody takes a post for longer; see ``_free``.
_LONGEST_LEASE_SECONDS = 600

#: What a reading of a post leaves behind, in the columns of ``PostScores``.
_OF_A_READING = ("labels", "contexts", "review", "urgent", "evidence", "not_assessed", "versions")
_OF_A_SPAN = tuple(field.name for field in fields(EvidenceSpan))
#: What the policy makes of it, in the columns of ``AssessmentRow``.
_OF_A_PROPOSAL = ("codes", "tier", "flagged", "reasons")

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
    #: When its first report was accepted.
    since: datetime


def claim_posts(session: Session, lane: Lane, *, limit: int, lease_seconds: int, retry: bool = False) -> list[Claimed]:
    """Take up to ``limit`` posts that want scores, and no more than ``BATCH_CHARS`` of text unless in one post.

    Another worker skips locked rows and sees the lease afterwards. ``retry`` takes posts whose worker did not
    finish; take them one by one, so that a post which kills its worker takes no other with it. Either way a post
    is taken only when it is due.
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
        .returning(Post.id, Post.text, Post.created_at),
        execution_options={"synchronize_session": False},
    )
    return [Claimed(post_id, text or "", lease, since) for post_id, text, since in claimed]


def _chosen(lane: Lane, *, limit: int, retry: bool) -> CTE:
    found = (
        select(Post.id, func.coalesce(func.length(Post.text), 0).label("chars"))
        .where(
            _WANTED,
            _in(lane),
            _due(retry=retry),
            Post.scoring_attempts < current().scoring_attempts,
        )
        .order_by(Post.lane, Post.id)
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


def _in(lane: Lane) -> ColumnElement[bool]:
    """A range of one lane, to be ordered by lane and id: so the planner walks the index of what waits.

    Told that the lane is equal to one value it drops it from the order, and walks the primary key past every post
    that was ever scored: with 1,000,000 posts, 400,000 of them waiting, 460 ms for a batch instead of 2 ms.
    """
    return Post.lane.between(lane.value, lane.value)


def _due(*, retry: bool) -> ColumnElement[bool]:
    """Nobody holds the post, and it has waited long enough since the last attempt.

    Without a lease, ``scoring_lease_until`` says until when the post was put off. A lease that ran out was that of a
    worker which did not finish (``retry``): nobody was left to put the post off, so its wait is worked out here, as a
    part of the lease, scattered by a part of the post's id.
    """
    if not retry:
        return and_(Post.scoring_lease.is_(None), _free())
    scatter = 0.5 + func.abs(func.uuid_hash(Post.id) % 1000) / 1000.0
    seconds = current().scoring_lease_seconds / 10 * func.power(_LONGER, Post.scoring_attempts - 1) * scatter
    wait = func.make_interval(0, 0, 0, 0, 0, 0, func.least(seconds, _LONGEST_WAIT_SECONDS), type_=Interval)
    waited = or_(Post.scoring_lease_until < func.now() - wait, Post.scoring_lease_until > func.now())
    return and_(_TRIED, Post.scoring_lease.is_not(None), _free(), waited)


def _wait(attempts: int) -> timedelta:
    """Until the next attempt: about 10 seconds after the first one, about 40 after the second. Scattered by a half."""
    seconds = current().scoring_retry_seconds * _LONGER ** (attempts - 1) * secrets.SystemRandom().uniform(0.5, 1.5)
    return timedelta(seconds=min(seconds, _LONGEST_WAIT_SECONDS))


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
    mine = _still_held(session, [claim for claim, _ in scored])
    items = {claim.post_id: scores for claim, scores in scored if claim.post_id in mine}
    _record(session, actor, items, pipeline_version=pipeline_version, scoring=ScoringStatus.DONE, now=now)
    return len(items)


def record_failures(
    session: Session, actor: Actor, failed: Sequence[Claimed], *, try_again: bool, now: datetime
) -> int:
    """The model failed on these posts: put them off, or give them up. Returns how many were given up.

    A post whose lease another worker took over is left to that worker.

    Args:
        try_again: it fails on every post, so that later may be better; not, where it fails on these alone. After the
            last attempt they are given up all the same.
    """
    attempts = _still_held(session, failed)
    last = current().scoring_attempts if try_again else 0
    spent = {post_id: made for post_id, made in attempts.items() if made >= last}
    later = [{"post": post_id, "wait": _wait(made)} for post_id, made in attempts.items() if post_id not in spent]
    if later:
        again = (
            update(Post)
            .where(Post.id == bindparam("post"))
            .values(scoring_lease=None, scoring_lease_until=func.now() + bindparam("wait", type_=Interval))
        )
        session.connection().execute(again, later)
    if spent:
        _give_up(session, actor, spent, FAILED if try_again else FAILED_ON_THIS, now=now)
    return len(spent)


def _still_held(session: Session, claims: Iterable[Claimed]) -> dict[uuid.UUID, int]:
    """Attempts by post id, of the posts that are still ours; their rows are locked, in one order."""
    held = {claim.post_id: claim.lease for claim in claims}
    if not held:
        return {}
    rows = session.execute(
        select(Post.id, Post.scoring_lease, Post.scoring_attempts)
        .where(
            Post.id.in_(held), Post.scoring_lease.in_(set(held.values())), Post.scoring == ScoringStatus.WANTED.value
        )
        .order_by(Post.id)
        .with_for_update(key_share=True)
    )
    return {post_id: attempts for post_id, lease, attempts in rows if lease == held[post_id]}


def open_without_scores(
    session: Session, actor: Actor, post_ids: Sequence[uuid.UUID], reason: NotAssessed, *, now: datetime
) -> None:
    """Open cases that no model could assess, for a person. The caller holds the posts' rows."""
    items = {post_id: Scores(not_assessed=reason) for post_id in post_ids}
    _record(session, actor, items, pipeline_version=NO_PIPELINE, scoring=ScoringStatus.FAILED, now=now)


def give_up(session: Session, actor: Actor, *, now: datetime, limit: int = 100) -> int:
    """Open the cases of posts that were tried often enough and never finished; returns how many."""
    stuck = session.execute(
        select(Post.id, Post.scoring_attempts)
        .where(
            _WANTED,
            _TRIED,
            Post.scoring_attempts >= current().scoring_attempts,
            _free(),
        )
        .order_by(Post.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    attempts = dict(stuck.all())
    if attempts:
        _give_up(session, actor, attempts, NOT_FINISHED, now=now)
    return len(attempts)


def open_unattended(session: Session, actor: Actor, lane: Lane, *, most: int) -> int:
    """Open, without scores, cases of a lane that nobody scores: the oldest, ``most`` of them at once; returns how many.

    Their posts go on waiting. A worker that comes back scores them, in front of whoever reads the case by then; what
    that person said stays, and a decision too.
    """
    settings = current()
    minutes = settings.unattended_urgent_minutes if lane is Lane.URGENT else settings.unattended_minutes
    waits_since = func.coalesce(Capture.captured_at, Post.created_at)
    waiting = session.scalars(
        select(Post.id)
        .join(Case, Case.post_id == Post.id)
        .outerjoin(Capture, Capture.post_id == Post.id)
        .where(
            _WANTED,
            _in(lane),
            Case.status == CaseStatus.WAITING.value,
            waits_since < func.now() - timedelta(minutes=minutes),
        )
        .order_by(Post.lane, Post.id)
        .limit(most)
        # The case too: what another schedule opened a moment ago is then seen as open, and left out.
        .with_for_update(of=(Post, Case), skip_locked=True)
    ).all()
    items = {post_id: Scores(not_assessed=NotAssessed.NO_WORKER) for post_id in waiting}
    now = session.scalar(select(func.now()))
    assert now is not None
    _record(session, actor, items, pipeline_version=NO_PIPELINE, scoring=ScoringStatus.WANTED, now=now)
    return len(items)


def _give_up(session: Session, actor: Actor, attempts: dict[uuid.UUID, int], reason: str, *, now: datetime) -> None:
    """Open the cases of these posts, whose rows the caller holds, for a person, and say so on the list."""
    open_without_scores(session, actor, list(attempts), NotAssessed.MODEL_FAILED, now=now)
    for post_id, made in attempts.items():
        dead_letters.add(session, Work.POST, post_id, reason=reason, attempts=made, now=now)


def lanes_with_work(session: Session) -> list[Lane]:
    """Lanes where a post waits that nobody holds: for the sweep."""
    return [lane for lane in Lane if any(_has_work(session, lane, retry=retry) for retry in (False, True))]


def _has_work(session: Session, lane: Lane, *, retry: bool) -> bool:
    some = select(Post.id).where(
        _WANTED,
        _in(lane),
        _due(retry=retry),
        Post.scoring_attempts < current().scoring_attempts,
    )
    return session.scalar(some.order_by(Post.lane, Post.id).limit(1)) is not None


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
    store = upsert(PostScores)
    store = store.on_conflict_do_update(  # of a post that was given up, and is tried again
        index_elements=[PostScores.post_id, PostScores.pipeline_version],
        set_={name: store.excluded[name] for name in _OF_A_READING} | {"scored_at": func.clock_timestamp()},
        where=PostScores.not_assessed.is_not(None),
    )
    made = insert_rows(session, store.returning(PostScores.post_id, PostScores.id), score_rows)
    scores_ids: dict[uuid.UUID, uuid.UUID] = dict(made.all())
    rows = session.scalars(
        select(Case).where(Case.post_id.in_(scores_ids)).order_by(Case.id).with_for_update(key_share=True)
    ).all()
    with session.no_autoflush:  # or each statement would first write what the one before it changed
        _assess_all(session, actor, [(case, items[case.post_id], scores_ids[case.post_id]) for case in rows], now)
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
        "evidence": [{name: getattr(span, name) for name in _OF_A_SPAN} for span in scores.evidence],
        "not_assessed": str(scores.not_assessed) if scores.not_assessed else None,
        "versions": dict(scores.versions),
    }


def _assess_all(
    session: Session, actor: Actor, scored: Sequence[tuple[Case, Scores, uuid.UUID]], now: datetime
) -> None:
    """Let the policy propose for each case: its scores, and their id, stand beside it."""
    proposals = [(case, scores_id, policy.assess(scores)) for case, scores, scores_id in scored]
    store = upsert(AssessmentRow)
    store = store.on_conflict_do_update(  # what the policy of today made of scores that are now replaced
        index_elements=[AssessmentRow.scores_id, AssessmentRow.policy_version],
        set_={name: store.excluded[name] for name in _OF_A_PROPOSAL},
    )
    insert_rows(session, store, [_assessment_row(*each) for each in proposals])
    happened = []
    p0_before = {case.id for case, _, _ in scored if _is_open_p0(case)}
    for case, _, proposal in proposals:
        case.flagged, case.codes, case.risk = proposal.flagged, list(proposal.codes), proposal.risk
        happened.append((case, _told(proposal)))
    cases.advance_all(session, actor, CaseEvent.ASSESSED, happened)
    for case, _, _ in scored:
        if case.status == CaseStatus.OPEN.value:
            cases.put_in_place(case, now=now)
    routing.put_in_queues(session, [case for case, _, _ in scored])
    newly_p0 = [case for case, _, _ in scored if _is_open_p0(case) and case.id not in p0_before]
    alerts.raise_first(session, newly_p0, now=now)
    cases.write_all(session, [case for case, _, _ in scored])


def _is_open_p0(case: Case) -> bool:
    return case.status == CaseStatus.OPEN.value and case.tier == Tier.P0.value


def _assessment_row(case: Case, scores_id: uuid.UUID, proposal: Assessment) -> dict[str, Any]:
    return {
        "case_id": case.id,
        "scores_id": scores_id,
        "policy_version": proposal.policy_version,
        "codes": list(proposal.codes),
        "tier": str(proposal.tier),
        "flagged": proposal.flagged,
        "reasons": list(proposal.reasons),
    }


def _told(proposal: Assessment) -> dict[str, Any]:
    """What the event says of a proposal."""
    return {
        "tier": str(proposal.tier),
        "assessed": proposal.assessed,
        "codes": list(proposal.codes),
        "flagged": proposal.flagged,
        "policy_version": proposal.policy_version,
    }
