"""Cases into their queues, and the words they are found by. The rules are ``triage.domain.routing``.

Done in the transaction that opens a case. What a queue depends on may change later, by another report or by new rules:
then ``queue_rules`` is not that of today, and the schedule puts the case where it belongs. Which queue a case is in is
a place, like its band: it follows from the case and is no event of its own.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, or_, select, text
from sqlalchemy.orm import Session

from triage.db import Case, Partner, Post, PostScores, Report
from triage.domain import policy, routing
from triage.domain.lifecycle import CaseStatus
from triage.domain.routing import Facts
from triage.domain.taxonomy import Tier

#: Rules and words of so many cases are renewed at once, so that a transaction stays short.
_AT_ONCE = 500
#: Longer words of one case than this are not indexed (a tsvector holds a megabyte).
_MOST_CHARS = 100_000
_WORDS = text(
    """
    INSERT INTO case_words (case_id, about, post)
    SELECT cases.id,
           to_tsvector('simple', concat_ws(' ', posts.platform, substring(posts.url FROM '^[a-z]+://([^/?#]+)'),
               (SELECT left(string_agg(reason, ' '), :most) FROM reports WHERE reports.case_id = cases.id))),
           to_tsvector('simple', coalesce(left(posts.text, :most), ''))
    FROM cases JOIN posts ON posts.id = cases.post_id
    WHERE cases.id = ANY(:ids)
    ON CONFLICT (case_id) DO UPDATE SET about = excluded.about, post = excluded.post
    """
)


@dataclass(frozen=True, slots=True)
class _Circumstances:
    """What of a case's facts does not stand in its row."""

    platform: str
    language: str | None
    purposes: frozenset[str]
    acquisition: frozenset[str]
    partner_kinds: frozenset[str]


def put_in_queues(session: Session, rows: Sequence[Case]) -> None:
    """Say which queue each of these locked, assessed cases is in, and write the words it is found by."""
    if not rows:
        return
    ids = [case.id for case in rows]
    circumstances = _circumstances(session, ids)
    contexts = _contexts(session, rows) if routing.CURRENT.reads_contexts else {}
    for case in rows:
        facts = _facts(case, circumstances[case.id], contexts.get(case.post_id, frozenset()))
        case.queue, case.queue_rules = routing.route(facts).name, routing.CURRENT.version
    session.execute(_WORDS, {"ids": ids, "most": _MOST_CHARS})


def renew(session: Session, *, limit: int = _AT_ONCE) -> int:
    """Put open cases where today's rules and reports want them; returns how many were looked at."""
    today = routing.CURRENT.version
    stale = session.scalars(
        select(Case)
        .where(
            Case.status == CaseStatus.OPEN.value,
            or_(Case.queue_rules < today, Case.queue_rules > today),  # two ranges of the index, not all but one value
        )
        .order_by(Case.id)
        .limit(limit)
        .with_for_update(skip_locked=True, key_share=True)
    ).all()
    put_in_queues(session, stale)
    return len(stale)


def _facts(case: Case, found: _Circumstances, contexts: frozenset[str]) -> Facts:
    return Facts(
        tier=Tier(case.tier or Tier.P2),
        assessed=bool(case.assessed),
        platform=found.platform,
        language=found.language,
        urgent=case.urgent,
        purposes=found.purposes,
        acquisition=found.acquisition,
        partner_kinds=found.partner_kinds,
        codes=frozenset(case.codes),
        contexts=contexts,
    )


def _circumstances(session: Session, case_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, _Circumstances]:
    rows = session.execute(
        select(
            Case.id,
            Post.platform,
            Post.language,
            func.array_agg(Report.purpose.distinct()),
            func.array_agg(Report.acquisition_mode.distinct()),
            func.array_agg(Partner.kind.distinct()),
        )
        .join(Post, Post.id == Case.post_id)
        .outerjoin(Report, Report.case_id == Case.id)
        .outerjoin(Partner, Partner.id == Report.partner_id)
        .where(Case.id.in_(case_ids))
        .group_by(Case.id, Post.id)
    )
    return {
        case_id: _Circumstances(platform, language, _known(purposes), _known(modes), _known(kinds))
        for case_id, platform, language, purposes, modes, kinds in rows
    }


def _known(values: Iterable[Any]) -> frozenset[str]:
    """Without the NULL of a report that an analyst made, or of a case without any."""
    return frozenset(value for value in values if value is not None)


def _contexts(session: Session, rows: Sequence[Case]) -> dict[uuid.UUID, frozenset[str]]:
    """Contexts that the newest scores of each post name, by post; read only where a rule asks for them."""
    found = session.execute(
        select(PostScores.post_id, PostScores.contexts)
        .where(PostScores.post_id.in_([case.post_id for case in rows]))
        .order_by(PostScores.id)
    )
    mention = policy.CURRENT.context_mention
    return {
        post_id: frozenset(name for name, probability in contexts.items() if probability >= mention)
        for post_id, contexts in found
    }
