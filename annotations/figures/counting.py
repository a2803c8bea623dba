"""Count, for each hour or day, what the dashboards show. Run by the schedule; the pages read what it stored.

Yesterday and today are counted anew each time, the days before once (`BACK` of them at the first run). Each statement
walks an index by time, so the number of cases kept makes no difference to a page and little to the counting.
"""

import uuid
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from triage.domain.taxonomy import CODES, NO_VIOLATION, OUT_OF_SCOPE

EVERY = timedelta(minutes=5)
BACK = timedelta(days=90)
_LOCK = 0x66696775
#: Codes that say there is nothing here of ours.
_NOTHING = [NO_VIOLATION, OUT_OF_SCOPE]

_NO_CODES = "CAST(:nothing AS text[])"

_BACKLOG = """
    SELECT 'backlog', date_trunc('hour', CAST(:now AS timestamptz), 'UTC'),
           tier || '|' || CASE WHEN :now - received_at < interval '1 hour' THEN '1'
                               WHEN :now - received_at < interval '8 hours' THEN '2'
                               WHEN :now - received_at < interval '24 hours' THEN '3'
                               WHEN :now - received_at < interval '72 hours' THEN '4' ELSE '5' END,
           count(*), count(*) FILTER (WHERE deadline_at < :now), 0
    FROM cases WHERE status = 'open' GROUP BY 2, 3
"""
_RECEIVED = """
    SELECT 'received', date_trunc('hour', received_at, 'UTC'), '', count(*), 0, 0
    FROM cases WHERE received_at >= :since AND received_at < :now GROUP BY 2
"""
_DECIDED = """
    SELECT 'decided', date_trunc('hour', created_at, 'UTC'), '', count(*), 0, 0
    FROM decisions WHERE created_at >= :since AND outcome <> 'second_opinion' GROUP BY 2
"""
_FIRST_LOOK = """
    SELECT 'first_look', date_trunc('day', received_at, 'UTC'),
           tier || '|' || CASE WHEN seen_at <= deadline_at THEN 'kept' WHEN seen_at IS NOT NULL THEN 'late'
                               WHEN status <> 'open' THEN 'kept'
                               WHEN deadline_at < :now THEN 'late' ELSE 'waiting' END,
           count(*), 0, 0
    FROM cases WHERE received_at >= :since AND tier IS NOT NULL AND deadline_at IS NOT NULL GROUP BY 2, 3
"""
_OUTCOMES = """
    SELECT 'outcome', date_trunc('day', created_at, 'UTC'), outcome, count(*), 0, 0
    FROM decisions WHERE created_at >= :since GROUP BY 2, 3
"""
#: Each decision with what its author said first, blind, and what the machine had made of the post by then.
_BESIDE = """
    SELECT d.created_at, a.codes AS machine, s.labels, f.codes AS first, d.codes AS final
    FROM decisions d
    JOIN LATERAL (SELECT codes FROM judgements WHERE case_id = d.case_id AND user_id = d.user_id AND stage = 'first'
                  AND created_at <= d.created_at ORDER BY id DESC LIMIT 1) f ON true
    JOIN LATERAL (SELECT codes, scores_id FROM assessments WHERE case_id = d.case_id AND created_at <= d.created_at
                  ORDER BY id DESC LIMIT 1) a ON true
    JOIN scores s ON s.id = a.scores_id AND s.not_assessed IS NULL
    WHERE d.created_at >= :since
"""
_CALIBRATION = f"""
    SELECT 'calibration', date_trunc('day', created_at, 'UTC'), least(floor(p * 10), 9)::int::text,
           count(*), count(*) FILTER (WHERE code = ANY(first)), sum(p)
    FROM (SELECT b.created_at, b.first, l.key AS code, l.value::text::float AS p
          FROM ({_BESIDE}) b CROSS JOIN LATERAL jsonb_each(b.labels) l) scored
    GROUP BY 2, 3
"""  # noqa: S608 -- of our own parts
_SETS = f"""
    SELECT created_at,
           ARRAY(SELECT DISTINCT c FROM unnest(machine) c WHERE c <> ALL({_NO_CODES}) ORDER BY 1) AS machine,
           ARRAY(SELECT DISTINCT c FROM unnest(first) c WHERE c <> ALL({_NO_CODES}) ORDER BY 1) AS first,
           ARRAY(SELECT DISTINCT c FROM unnest(final) c WHERE c <> ALL({_NO_CODES}) ORDER BY 1) AS final
    FROM ({_BESIDE}) b
"""  # noqa: S608 -- of our own parts
_OVERRIDE = f"""
    SELECT 'override', date_trunc('day', created_at, 'UTC'), part, count(*) FILTER (WHERE counted),
           count(*) FILTER (WHERE counted AND hit), 0
    FROM (SELECT created_at, q.part, q.counted, q.hit FROM ({_SETS}) s
          CROSS JOIN LATERAL (VALUES ('first_differs', true, first <> machine), ('changed', true, final <> first),
                                     ('to_machine', final <> first, final = machine),
                                     ('final_differs', true, final <> machine)) q(part, counted, hit)) asked
    GROUP BY 2, 3
"""  # noqa: S608 -- of our own parts
#: First judgements of two people about one case: the later one with the earliest one before it.
_AGREEMENT = """
    SELECT 'agreement', date_trunc('day', at, 'UTC'), t.topic || '|' || (one.said + two.said)::text, count(*), 0, 0
    FROM (SELECT j.created_at AS at, j.codes AS later, o.codes AS earlier
          FROM judgements j
          JOIN LATERAL (SELECT codes FROM judgements e WHERE e.case_id = j.case_id AND e.user_id <> j.user_id
                        AND e.stage = 'first' AND e.id < j.id ORDER BY e.id LIMIT 1) o ON true
          WHERE j.id >= :since_id AND j.created_at >= :since AND j.stage = 'first') pairs
    CROSS JOIN unnest(CAST(:topics AS text[])) t(topic)
    CROSS JOIN LATERAL (SELECT (CASE t.topic WHEN 'any' THEN NOT earlier <@ CAST(:nothing AS text[])
                                ELSE t.topic = ANY(earlier) END)::int AS said) one
    CROSS JOIN LATERAL (SELECT (CASE t.topic WHEN 'any' THEN NOT later <@ CAST(:nothing AS text[])
                                ELSE t.topic = ANY(later) END)::int AS said) two
    GROUP BY 2, 3
"""
#: Where from: the force that an analyst or a partner named, else the country of the partner. Nothing finer.
_TREND = """
    SELECT 'trend', date_trunc('day', d.created_at, 'UTC'), t.scope || '|' || r.area, count(DISTINCT d.case_id), 0, 0
    FROM decisions d
    JOIN LATERAL (SELECT coalesce(r.force_code, p.country, 'not known') AS area
                  FROM reports r LEFT JOIN partners p ON p.id = r.partner_id
                  WHERE r.case_id = d.case_id ORDER BY r.id LIMIT 1) r ON true
    JOIN unnest(CAST(:codes AS text[]), CAST(:scopes AS text[])) t(code, scope) ON t.code = ANY(d.codes)
    WHERE d.created_at >= :since AND d.outcome <> 'second_opinion'
    GROUP BY 2, 3
"""
_BY_TIME = {
    "received": _RECEIVED,
    "decided": _DECIDED,
    "first_look": _FIRST_LOOK,
    "outcome": _OUTCOMES,
    "calibration": _CALIBRATION,
    "override": _OVERRIDE,
    "agreement": _AGREEMENT,
    "trend": _TREND,
}
_THIS_HOUR = """
    DELETE FROM figures WHERE name = 'counted'
    OR (name = 'backlog' AND at = date_trunc('hour', CAST(:now AS timestamptz), 'UTC'))
"""
_COUNTED = "SELECT 'counted', CAST('epoch' AS timestamptz), '', 1, 0, 0"


def count(session: Session, *, now: datetime) -> int:
    """Bring the figures up to date; returns how many rows were written, 0 where they are recent enough.

    Two processes that count at once: the second finds the lock taken and leaves it to the first.
    """
    if not session.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": _LOCK}):
        return 0
    counted = session.scalar(text("SELECT counted_at FROM figures WHERE name = 'counted'"))
    if counted is not None and now - counted < EVERY:
        return 0
    values = _values(now, now - BACK if counted is None else min(counted, now) - timedelta(days=1))
    names = list(_BY_TIME)
    session.execute(text("DELETE FROM figures WHERE name = ANY(:names) AND at >= :since"), values | {"names": names})
    session.execute(text(_THIS_HOUR), values)
    return sum(_store(session, query, values) for query in (_BACKLOG, *_BY_TIME.values(), _COUNTED))


def _store(session: Session, query: str, values: dict[str, object]) -> int:
    stored = f"WITH stored AS (INSERT INTO figures (name, at, part, n, hits, total) {query} RETURNING 1)"
    return int(session.scalar(text(f"{stored} SELECT count(*) FROM stored"), values) or 0)  # noqa: S608 -- as above


def _values(now: datetime, since: datetime) -> dict[str, object]:
    """Whole days only: a day that is counted again is counted from its beginning."""
    start = since.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    scopes = {code: row.scope for code, row in CODES.items() if code not in _NOTHING}
    return {
        "now": now,
        "since": start,
        "since_id": uuid.UUID(int=int(start.timestamp() * 1000) << 80),  # ids of version 7 begin with their time
        "nothing": _NOTHING,
        "topics": ["any", *CODES],
        "codes": list(scopes),
        "scopes": list(scopes.values()),
    }
