"""what the pipeline's faults asked for"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


# The index of cases by status is small and built in about a second for a million cases.
_WATCHING = (
    """CREATE TABLE tallies (
        name text NOT NULL,
        labels text NOT NULL,
        value double precision NOT NULL,
        at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
        CONSTRAINT pk_tallies PRIMARY KEY (name, labels)
    )""",
    "ALTER TABLE reports ADD COLUMN trace text",
    "CREATE INDEX ix_cases_status_tier ON cases (status, tier)",
    "DROP INDEX ix_cases_status",
)
_RARE_EVENTS = {
    "ix_events_released": "(actor_id, case_id) WHERE kind = 'case.released'",
    "ix_events_reopened": "(case_id, at) WHERE kind = 'case.reopened'",
}
_NOT_WATCHING = (
    "CREATE INDEX ix_cases_status ON cases (status)",
    "DROP INDEX ix_cases_status_tier",
    "ALTER TABLE reports DROP COLUMN trace",
    "DROP TABLE tallies",
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for statement in _WATCHING:
        op.execute(statement)
    # On a large installation build these by hand before, CONCURRENTLY: writers of the log wait for them otherwise.
    for name, columns in _RARE_EVENTS.items():
        op.execute(f"CREATE INDEX IF NOT EXISTS {name} ON events {columns}")
    op.add_column(
        "partners", sa.Column("score_quota_per_day", sa.Integer(), server_default=sa.text("100000"), nullable=False)
    )
    op.execute("UPDATE partners SET score_quota_per_day = quota_per_day")  # as many as it could have until now
    op.add_column("partner_usage", sa.Column("scores", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.alter_column("partner_usage", "reports", server_default=sa.text("0"))
    op.add_column(
        "worker_beats",
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for statement in _NOT_WATCHING:
        op.execute(statement)
    for name in _RARE_EVENTS:
        op.execute(f"DROP INDEX {name}")
    op.drop_column("worker_beats", "seen_at")
    op.alter_column("partner_usage", "reports", server_default=None)
    op.drop_column("partner_usage", "scores")
    op.drop_column("partners", "score_quota_per_day")
