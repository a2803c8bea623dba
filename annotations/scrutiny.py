"""Independent scrutiny: decisions drawn by chance, decided again without knowing how they were, then compared.

The draw can be repeated by anybody who has the seed and the list of decisions: they are put in the order of
SHA-256(seed, id), and the first ones are taken, half of them referrals where there are as many. What a scrutineer says
is an annotation: it changes no case and no figure about a reviewer.
"""

import hashlib
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from annotations.review import View, check_view
from triage import accounts, audit
from triage.audit import Entry
from triage.db import Case, Decision, Judgement, Post, ScrutinyItem, ScrutinyReading, ScrutinySample, User
from triage.domain.errors import Conflict, InvalidInput, NotFound
from triage.domain.lifecycle import Outcome
from triage.domain.words import Operation, Role
from triage.formats import wording

MOST = 50


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One sample, and how far its reader has come."""

    id: uuid.UUID
    number: int
    seed: str
    frame_from: datetime
    frame_to: datetime
    frame_size: int
    frame_sha256: str
    items: int
    read: int
    drawn_at: datetime


@dataclass(frozen=True, slots=True)
class Compared:
    """One item of a sample: the scrutineer's reading and, once there is one, what was decided. Nobody is named."""

    item_id: uuid.UUID
    position: int
    outcome: Outcome | None
    codes: tuple[str, ...]
    decided: Outcome | None
    decided_codes: tuple[str, ...]

    @property
    def same_outcome(self) -> bool:
        return self.outcome is not None and self.outcome is self.decided

    @property
    def same_codes(self) -> bool:
        return self.outcome is not None and set(self.codes) == set(self.decided_codes)


@dataclass(frozen=True, slots=True)
class Material:
    """What a scrutineer reads: the words and what is needed to weigh them. No author, address, reporter or reviewer."""

    item: ScrutinyItem
    position: int
    of: int
    text: str | None
    platform: str
    posted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Decided:
    """What was decided, for a scrutineer who has decided for themselves."""

    outcome: Outcome
    codes: tuple[str, ...]
    contexts: tuple[str, ...]
    reasons: str
    policy_version: str


def draw(
    session: Session,
    user: User,
    *,
    frame_from: datetime,
    frame_to: datetime,
    wanted: int,
    now: datetime,
    seed: str = "",
) -> ScrutinySample:
    """Draw up to ``wanted`` of the decisions made from ``frame_from`` (inclusive) to ``frame_to`` (exclusive).

    Args:
        seed: given by the scrutineer, so that nobody here chooses it; else 128 random bits.

    Raises:
        Forbidden: not a scrutineer.
        InvalidInput: the time is empty, still to come or holds no decision; or the number is out of range.
    """
    accounts.require(user, Role.SCRUTINEER)
    if not 1 <= wanted <= MOST:
        raise InvalidInput(f"Choose from 1 to {MOST}", field="wanted")
    if frame_from >= frame_to or frame_to > now:
        raise InvalidInput("Give a time that has passed, the earlier day first", field="frame_to")
    frame = _frame(session, frame_from, frame_to)
    if not frame:
        raise InvalidInput("Nothing was decided in that time", field="frame_from")
    seed = seed.strip() or secrets.token_hex(16)
    sample = ScrutinySample(
        drawn_by=user.id,
        seed=seed,
        wanted=wanted,
        frame_from=frame_from,
        frame_to=frame_to,
        frame_size=len(frame),
        frame_sha256=hashlib.sha256("\n".join(str(id_) for id_, _ in frame).encode()).hexdigest(),
    )
    session.add(sample)
    session.flush()
    for position, decision_id in enumerate(chosen(frame, seed, wanted), start=1):
        session.add(ScrutinyItem(sample_id=sample.id, position=position, decision_id=decision_id))
    session.flush()
    drawn = {"seed": seed, "wanted": wanted, "frame_size": len(frame), "frame_sha256": sample.frame_sha256}
    _record(session, user, Operation.CONSULTATION, "scrutiny.drawn", "scrutiny_sample", sample.id, **drawn)
    return sample


def chosen(frame: Sequence[tuple[uuid.UUID, bool]], seed: str, wanted: int) -> list[uuid.UUID]:
    """The ids drawn from a frame of ids and whether each is a referral. Pure: the same frame and seed, the same draw.

    Half are referrals; where one kind has fewer than that, the other fills up.
    """

    def lot(id_: uuid.UUID) -> str:
        return hashlib.sha256(f"{seed}:{id_}".encode()).hexdigest()

    referred = sorted((id_ for id_, refer in frame if refer), key=lot)
    others = sorted((id_ for id_, refer in frame if not refer), key=lot)
    first = min(len(referred), max(wanted // 2, wanted - len(others)))
    drawn = referred[:first] + others[: wanted - first]
    return sorted(drawn, key=lot)


def samples(session: Session, user: User) -> list[SampleRow]:
    """The scrutineer's own samples, the newest first."""
    accounts.require(user, Role.SCRUTINEER)
    items = select(func.count()).where(ScrutinyItem.sample_id == ScrutinySample.id).scalar_subquery()
    read = (
        select(func.count())
        .where(ScrutinyReading.item_id == ScrutinyItem.id, ScrutinyItem.sample_id == ScrutinySample.id)
        .scalar_subquery()
    )
    rows = session.execute(
        select(ScrutinySample, items, read)
        .where(ScrutinySample.drawn_by == user.id)
        .order_by(ScrutinySample.number.desc())
        .limit(50)
    )
    return [_sample_row(sample, items_, read_) for sample, items_, read_ in rows]


def compared(session: Session, user: User, sample_id: uuid.UUID) -> tuple[SampleRow, list[Compared]]:
    """A sample with its items. What was decided is in those that the scrutineer has decided already.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    sample = _own_sample(session, user, sample_id)
    rows = session.execute(
        select(ScrutinyItem, ScrutinyReading, Decision.outcome, Decision.codes)
        .join(Decision, Decision.id == ScrutinyItem.decision_id)
        .outerjoin(ScrutinyReading, (ScrutinyReading.item_id == ScrutinyItem.id) & (ScrutinyReading.user_id == user.id))
        .where(ScrutinyItem.sample_id == sample.id)
        .order_by(ScrutinyItem.position)
    )
    found = [_compared(item, reading, outcome, codes) for item, reading, outcome, codes in rows]
    return _sample_row(sample, len(found), sum(row.outcome is not None for row in found)), found


def read(session: Session, user: User, item_id: uuid.UUID) -> Material:
    """The material of one item; the reading is an event in the same transaction. Raises NotFound."""
    item = _own_item(session, user, item_id)
    case_id, post = session.execute(
        select(Case.id, Post)
        .join(Case, Case.post_id == Post.id)
        .join(Decision, Decision.case_id == Case.id)
        .where(Decision.id == item.decision_id)
    ).one()
    of = session.scalar(select(func.count()).where(ScrutinyItem.sample_id == item.sample_id)) or 0
    entry = Entry(Operation.CONSULTATION, "scrutiny.read", "scrutiny_item", str(item.id), case_id=case_id)
    audit.record(session, accounts.actor_of(user), entry)
    return Material(item, item.position, of, post.text, post.platform, post.posted_at)


def reading_of(session: Session, user: User, item_id: uuid.UUID) -> ScrutinyReading | None:
    """What the scrutineer said of an item."""
    return session.scalar(
        select(ScrutinyReading).where(ScrutinyReading.item_id == item_id, ScrutinyReading.user_id == user.id)
    )


def decide_again(
    session: Session, user: User, item_id: uuid.UUID, view: View, outcome: Outcome, reasons: str
) -> ScrutinyReading:
    """Store what the scrutineer would have decided. Given once: a second one is refused.

    Raises:
        NotFound: there is no such item, or it is of somebody else's sample.
        Conflict: it was given before, and what was decided has been shown since.
        InvalidInput: the view is not complete, or the reasons label people.
    """
    item = _own_item(session, user, item_id)
    if reading_of(session, user, item_id) is not None:
        raise Conflict("You have decided this one: what was decided is shown, so it cannot be given again")
    check_view(view)
    wording.check_neutral(reasons, "reasons")
    reading = ScrutinyReading(
        item_id=item.id,
        user_id=user.id,
        codes=list(view.codes),
        contexts=list(view.contexts),
        outcome=str(outcome),
        reasons=reasons.strip() or None,
    )
    session.add(reading)
    session.flush()
    said = {"outcome": str(outcome), "codes": list(view.codes)}
    _record(session, user, Operation.ALTERATION, "scrutiny.decided", "scrutiny_item", item.id, **said)
    return reading


def decided(session: Session, user: User, item_id: uuid.UUID) -> Decided | None:
    """What was decided; ``None`` before the scrutineer has decided. Raises NotFound."""
    item = _own_item(session, user, item_id)
    if reading_of(session, user, item_id) is None:
        return None
    decision = session.get_one(Decision, item.decision_id)
    judgement = session.get_one(Judgement, decision.judgement_id)
    return Decided(
        Outcome(decision.outcome),
        tuple(decision.codes),
        tuple(judgement.contexts),
        decision.reasons,
        decision.policy_version,
    )


def _frame(session: Session, frame_from: datetime, frame_to: datetime) -> list[tuple[uuid.UUID, bool]]:
    rows = session.execute(
        select(Decision.id, Decision.outcome == Outcome.REFER.value)
        .where(Decision.created_at >= frame_from, Decision.created_at < frame_to)
        .order_by(Decision.id)
    )
    return [(id_, refer) for id_, refer in rows]


def _own_sample(session: Session, user: User, sample_id: uuid.UUID) -> ScrutinySample:
    accounts.require(user, Role.SCRUTINEER)
    sample = session.get(ScrutinySample, sample_id)
    if sample is None or sample.drawn_by != user.id:
        raise NotFound("There is no such sample")
    return sample


def _own_item(session: Session, user: User, item_id: uuid.UUID) -> ScrutinyItem:
    accounts.require(user, Role.SCRUTINEER)
    item = session.get(ScrutinyItem, item_id)
    if item is None:
        raise NotFound("There is no such item")
    _own_sample(session, user, item.sample_id)
    return item


def _sample_row(sample: ScrutinySample, items: int, read_: int) -> SampleRow:
    return SampleRow(
        id=sample.id,
        number=sample.number,
        seed=sample.seed,
        frame_from=sample.frame_from,
        frame_to=sample.frame_to,
        frame_size=sample.frame_size,
        frame_sha256=sample.frame_sha256,
        items=items,
        read=read_,
        drawn_at=sample.drawn_at,
    )


def _compared(item: ScrutinyItem, reading: ScrutinyReading | None, outcome: str, codes: Sequence[str]) -> Compared:
    if reading is None:
        return Compared(item.id, item.position, None, (), None, ())
    return Compared(
        item.id, item.position, Outcome(reading.outcome), tuple(reading.codes), Outcome(outcome), tuple(codes)
    )


def _record(
    session: Session, user: User, operation: Operation, kind: str, object_type: str, id_: uuid.UUID, **data: object
) -> None:
    audit.record(session, accounts.actor_of(user), Entry(operation, kind, object_type, str(id_), data=data))
