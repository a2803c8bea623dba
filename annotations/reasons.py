"""What a reader makes of each thing the machine pointed at: right or wrong, one by one, as labels for training.

A verdict moves nothing: not the case, not its tier, not the decision.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from annotations import review
from triage import accounts, audit
from triage.audit import Entry
from triage.db import Annotation, PostScores, User
from triage.domain.desk import Verdict
from triage.domain.errors import Conflict, InvalidInput, NotFound
from triage.domain.scores import EvidenceSpan
from triage.domain.words import Operation


@dataclass(frozen=True, slots=True)
class Reason:
    """One span of evidence, named by what it is; ``str`` and ``parse`` carry it through a form."""

    start: int
    end: int
    code: str
    source: str

    @classmethod
    def of(cls, span: EvidenceSpan) -> "Reason":
        return cls(span.start, span.end, span.code, span.source)

    @classmethod
    def parse(cls, value: str) -> "Reason":
        """Raises InvalidInput when it cannot be one."""
        parts = value.split("-")
        if len(parts) != 4 or not all(part.isascii() and part.isdecimal() for part in parts[:2]):
            raise InvalidInput("This is none of the machine's reasons", field="reason")
        return cls(int(parts[0]), int(parts[1]), parts[2], parts[3])

    def __str__(self) -> str:
        return f"{self.start}-{self.end}-{self.code}-{self.source}"


def judge_reason(
    session: Session,
    user: User,
    case_id: uuid.UUID,
    scores_id: uuid.UUID,
    reason: Reason,
    verdict: Verdict,
    *,
    now: datetime,
) -> None:
    """Store what the reader makes of one reason; a later verdict on it takes the place of an earlier one.

    Raises:
        LeaseLost: somebody else holds the case by now.
        Conflict: the user has not judged the post yet.
        NotFound: the machine gave no such reason for this post.
    """
    case = review.held_case(session, user, case_id, now)
    if review.first_judgement(session, user, case_id) is None:
        raise Conflict("Judge the post first: the machine's reasons come after your own view of it")
    evidence = session.scalar(
        select(PostScores.evidence).where(PostScores.id == scores_id, PostScores.post_id == case.post_id)
    )
    if reason not in [Reason.of(EvidenceSpan(**span)) for span in evidence or ()]:
        raise NotFound("The machine gave no such reason for this post")
    store = upsert(Annotation).values(
        case_id=case_id,
        user_id=user.id,
        scores_id=scores_id,
        span_start=reason.start,
        span_end=reason.end,
        code=reason.code,
        source=reason.source,
        verdict=str(verdict),
    )
    store = store.on_conflict_do_update(
        index_elements=["scores_id", "user_id", "span_start", "span_end", "code", "source"],
        set_={"verdict": store.excluded.verdict, "created_at": func.clock_timestamp()},
    )
    annotation_id = session.scalars(store.returning(Annotation.id)).one()
    audit.record(session, accounts.actor_of(user), _entry(case_id, annotation_id, reason, verdict))


def _entry(case_id: uuid.UUID, annotation_id: uuid.UUID, reason: Reason, verdict: Verdict) -> Entry:
    data = {"code": reason.code, "source": reason.source, "start": reason.start, "end": reason.end}
    return Entry(
        Operation.ALTERATION, f"reason.{verdict}", "annotation", str(annotation_id), case_id=case_id, data=data
    )
