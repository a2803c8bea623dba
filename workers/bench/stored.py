"""A database that has seen a million posts, and what that changes.

The first posts go the real way. The others are copies of their rows, made in the database, with ids, texts and
deadlines of their own: the same tables, indexes and lengths, in minutes and not in hours.
"""

import time
from collections.abc import Mapping

from sqlalchemy import Computed, Identity, text

from triage.db import Base
from workers.bench import flow, intake
from workers.bench.rows import Measured, Row
from workers.bench.site import Place
from workers.bench.sizes import Sizes

#: In this order; what people add to a case, and the indexes for copies and words, are left as they are.
_TABLES = ("posts", "cases", "reports", "scores", "assessments", "events")
_SEEDS = 500
_PATIENCE_SECONDS = 120
#: Ids that sort by time, and lie before those of the posts that come in afterwards.
_ID = """(lpad(to_hex(1700000000000 + copy), 12, '0') || '7' || substr(md5({0}::text || copy), 1, 3)
    || '8' || substr(md5({0}::text || copy), 4, 15))::uuid"""
_IDS = frozenset({"id", "post_id", "case_id", "scores_id"})
_OTHERWISE: Mapping[tuple[str, str], str] = {
    ("posts", "identity"): "identity || copy",
    ("posts", "text"): "text || ' ' || copy",
    ("posts", "words_known"): "true",
    ("cases", "received_at"): "received_at + copy * interval '1 second'",
    ("cases", "deadline_at"): "deadline_at + copy * interval '1 second'",
    # Before everything that was ever sealed: the chain is not what is measured.
    ("events", "tx"): "'3'::xid8",
}


def fill(place: Place, cases: int) -> None:
    """Copy the rows of the first posts until the table holds about so many cases."""
    with place.engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))  # foreign keys hold as they were made
        if not place.value("SELECT count(*) FROM pg_class WHERE relname = 'seed_posts'"):
            for statement in _seed_statements():
                connection.execute(text(statement))
        seeds = connection.execute(text("SELECT count(*) FROM seed_cases")).scalar_one()
        have = connection.execute(text("SELECT count(*) FROM cases")).scalar_one()
        first = have // seeds + 1
        last = first + max(0, cases - have) // seeds
        for table in _TABLES:
            connection.execute(text(_copy_statement(table)), {"first": first, "last": last})
    with place.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in _TABLES:
            connection.execute(text(f"VACUUM (ANALYZE) {table}"))
        connection.execute(text("CHECKPOINT"))


def _seed_statements() -> list[str]:
    """The first posts, and what belongs to them, put aside."""
    whose = {"posts": "id", "cases": "post_id", "scores": "post_id"}
    statements = [f"CREATE TABLE seed_posts AS SELECT * FROM posts WHERE scoring = 'done' ORDER BY id LIMIT {_SEEDS}"]  # noqa: S608 -- our own names
    statements += [
        f"CREATE TABLE seed_{table} AS SELECT * FROM {table} WHERE {whose[table]} IN (SELECT id FROM seed_posts)"  # noqa: S608 -- our own names
        for table in ("cases", "scores")
    ]
    statements += [
        f"CREATE TABLE seed_{table} AS SELECT * FROM {table} WHERE case_id IN (SELECT id FROM seed_cases)"  # noqa: S608 -- our own names
        for table in ("reports", "assessments", "events")
    ]
    return statements


def _copy_statement(name: str) -> str:
    table = Base.metadata.tables[name]
    values = {}
    for column in table.columns:
        if isinstance(column.server_default, Identity | Computed):
            continue
        plain = _ID.format(column.name) if column.name in _IDS else column.name
        values[column.name] = _OTHERWISE.get((name, column.name), plain)
    return (
        f"INSERT INTO {name} ({', '.join(values)}) SELECT {', '.join(values.values())} "  # noqa: S608 -- our own names
        f"FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS copy, seed_{name}"
    )


def seed(place: Place, count: int) -> None:
    """Let some posts go the real way, in a place whose processes run, and wait until their events are sealed."""
    workers = place.start_workers("bulk", 1)
    flow.drain(place, workers, flow.reports(count))
    place.stop(*workers)
    await_seal(place)


def await_seal(place: Place) -> None:
    """Wait until the log has its first seal; what ``fill`` writes then lies before it."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not place.value("SELECT count(*) FROM event_seals"):
        assert time.monotonic() < deadline, "no event was sealed"
        time.sleep(0.5)


def growth(place: Place, sizes: Sizes) -> Measured:
    """The same work in an empty database, in one a tenth as full as the last, and in that; it is left full."""
    workers = place.start_workers("bulk", flow.WORKERS)
    points, start = [], 0
    for stored in (0, sizes.stored // 10, sizes.stored):
        if stored:
            fill(place, stored)
        done = flow.drain(place, workers, flow.reports(sizes.drained, start=start))
        start += sizes.drained
        if not stored:
            await_seal(place)
        points.append({"stored": stored, "posts_per_second": done.posts_per_second, "overhead_ms": done.overhead_ms})
    place.stop(*workers)
    taken_in = intake.batches(place, sizes.drained, start=start)
    place.empty_backlog()
    part, n = "growth", sizes.drained
    rows = [
        Row(part, f"with {point['stored']:,} posts stored, posts/s", n, point["posts_per_second"], "")
        for point in points
    ]
    share = points[-1]["posts_per_second"] / points[0]["posts_per_second"]
    rows += [
        Row(part, "full against empty", n, share, "%", at_least=0.90),
        Row(part, "a post outside the model, in the full one", n, points[-1]["overhead_ms"], "ms"),
        Row(part, "batch intake into the full one, posts/s", n, taken_in, ""),
    ]
    return Measured(rows, {"growth": points})
