"""named queues, routing, holds, saved views and alerts"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# The columns have constant defaults, so no row is written for them; the indexes hold open cases only, or what is rare:
# built in one transaction they take seconds, not the minutes that would call for CONCURRENTLY.

# Who looked first was in the log alone.
_SEEN = """
    UPDATE cases SET seen_at = looks.first
    FROM (SELECT case_id, min(at) AS first FROM events WHERE kind = 'case.claimed' GROUP BY case_id) AS looks
    WHERE looks.case_id = cases.id
"""
# As `triage.routing` writes them from now on.
_WORDS = """
    INSERT INTO case_words (case_id, about, post)
    SELECT cases.id,
           to_tsvector('simple', concat_ws(' ', posts.platform, substring(posts.url FROM '^[a-z]+://([^/?#]+)'),
               (SELECT left(string_agg(reason, ' '), 100000) FROM reports WHERE reports.case_id = cases.id))),
           to_tsvector('simple', coalesce(left(posts.text, 100000), ''))
    FROM cases JOIN posts ON posts.id = cases.post_id
    WHERE cases.status <> 'waiting'
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "incidents",
        sa.Column("id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=True),
        sa.Column("platform", sa.Text(), nullable=True),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_by", sa.UUID(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by", sa.UUID(), nullable=True),
        sa.CheckConstraint(
            "ends_at > starts_at AND ends_at <= starts_at + interval '72 hours'", name=op.f("ck_incidents_ends")
        ),
        sa.CheckConstraint("(closed_at IS NULL) = (closed_by IS NULL)", name=op.f("ck_incidents_closed_by_somebody")),
        sa.CheckConstraint("length(note) > 0", name=op.f("ck_incidents_has_note")),
        sa.ForeignKeyConstraint(["closed_by"], ["users.id"], name=op.f("fk_incidents_closed_by_users")),
        sa.ForeignKeyConstraint(["opened_by"], ["users.id"], name=op.f("fk_incidents_opened_by_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incidents")),
    )
    op.create_index(op.f("ix_incidents_ends_at"), "incidents", ["ends_at"], unique=False)
    op.create_table(
        "saved_views",
        sa.Column("id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("filters", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_saved_views_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_views")),
        sa.UniqueConstraint("user_id", "name", name=op.f("uq_saved_views_user_id_name")),
    )
    op.create_table(
        "alerts",
        sa.Column("id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("case_id", sa.UUID(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column(
            "not_before", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("sent", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_alerts_case_id_cases")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
        sa.UniqueConstraint("case_id", "step", name=op.f("uq_alerts_case_id_step")),
    )
    op.create_index(
        "ix_alerts_due",
        "alerts",
        ["not_before"],
        unique=False,
        postgresql_where=sa.text("delivered_at IS NULL AND stopped_at IS NULL"),
    )
    op.create_table(
        "case_notes",
        sa.Column("id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("case_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("to_user_id", sa.UUID(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_by", sa.UUID(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "kind <> 'assign' OR to_user_id IS NOT NULL", name=op.f("ck_case_notes_assigned_to_somebody")
        ),
        sa.CheckConstraint("kind <> 'escalate' OR length(note) > 0", name=op.f("ck_case_notes_escalated_with_a_note")),
        sa.CheckConstraint(
            "kind <> 'hold' OR (reason IS NOT NULL AND until IS NOT NULL)", name=op.f("ck_case_notes_hold_has_an_end")
        ),
        sa.CheckConstraint("kind IN ('hold', 'assign', 'escalate')", name=op.f("ck_case_notes_kind")),
        sa.CheckConstraint(
            "reason IS NULL OR reason IN ('capture', 'reporter', 'advice', 'translation', 'other')",
            name=op.f("ck_case_notes_reason"),
        ),
        sa.CheckConstraint(
            "(answered_at IS NULL) = (answered_by IS NULL)", name=op.f("ck_case_notes_answered_by_somebody")
        ),
        sa.CheckConstraint(
            "answered_by IS NULL OR answered_by <> user_id", name=op.f("ck_case_notes_answered_by_another")
        ),
        sa.ForeignKeyConstraint(["answered_by"], ["users.id"], name=op.f("fk_case_notes_answered_by_users")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_case_notes_case_id_cases")),
        sa.ForeignKeyConstraint(["to_user_id"], ["users.id"], name=op.f("fk_case_notes_to_user_id_users")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_case_notes_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_case_notes")),
    )
    op.create_index(
        "ix_case_notes_asked",
        "case_notes",
        ["created_at", "id"],
        unique=False,
        postgresql_where=sa.text("kind = 'escalate' AND answered_at IS NULL"),
    )
    op.create_index(op.f("ix_case_notes_case_id_id"), "case_notes", ["case_id", "id"], unique=False)
    op.create_table(
        "case_words",
        sa.Column("case_id", sa.UUID(), nullable=False),
        sa.Column("about", postgresql.TSVECTOR(), nullable=False),
        sa.Column("post", postgresql.TSVECTOR(), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id"], ["cases.id"], name=op.f("fk_case_words_case_id_cases"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("case_id", name=op.f("pk_case_words")),
    )
    op.create_index("ix_case_words_about", "case_words", ["about"], unique=False, postgresql_using="gin")
    op.create_index("ix_case_words_post", "case_words", ["post"], unique=False, postgresql_using="gin")
    op.add_column("cases", sa.Column("queue", sa.Text(), server_default="general", nullable=False))
    op.add_column("cases", sa.Column("queue_rules", sa.Text(), server_default="", nullable=False))
    op.add_column("cases", sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("cases", sa.Column("assigned_user_id", sa.UUID(), nullable=True))
    op.add_column("cases", sa.Column("assigned_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("cases", sa.Column("hold_user_id", sa.UUID(), nullable=True))
    op.add_column("cases", sa.Column("hold_until", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        op.f("ix_cases_assigned_user_id"),
        "cases",
        ["assigned_user_id"],
        unique=False,
        postgresql_where=sa.text("assigned_user_id IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_cases_hold_user_id"),
        "cases",
        ["hold_user_id"],
        unique=False,
        postgresql_where=sa.text("hold_user_id IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_cases_lease_user_id"),
        "cases",
        ["lease_user_id"],
        unique=False,
        postgresql_where=sa.text("lease_user_id IS NOT NULL"),
    )
    op.create_index(
        "ix_cases_named_queue",
        "cases",
        ["queue", "band", "deadline_at", sa.literal_column("risk DESC"), "id"],
        unique=False,
        postgresql_where=sa.text("status = 'open'"),
    )
    op.create_index(
        "ix_cases_queue_rules",
        "cases",
        ["queue_rules", "id"],
        unique=False,
        postgresql_where=sa.text("status = 'open'"),
    )
    op.create_index(
        "ix_cases_unseen",
        "cases",
        ["tier", "deadline_at"],
        unique=False,
        postgresql_where=sa.text("status = 'open' AND seen_at IS NULL"),
    )
    op.create_foreign_key(op.f("fk_cases_assigned_user_id_users"), "cases", "users", ["assigned_user_id"], ["id"])
    op.create_foreign_key(op.f("fk_cases_hold_user_id_users"), "cases", "users", ["hold_user_id"], ["id"])
    op.execute(_SEEN)
    op.execute(_WORDS)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_constraint(op.f("fk_cases_hold_user_id_users"), "cases", type_="foreignkey")
    op.drop_constraint(op.f("fk_cases_assigned_user_id_users"), "cases", type_="foreignkey")
    op.drop_index(
        "ix_cases_unseen", table_name="cases", postgresql_where=sa.text("status = 'open' AND seen_at IS NULL")
    )
    op.drop_index("ix_cases_queue_rules", table_name="cases", postgresql_where=sa.text("status = 'open'"))
    op.drop_index("ix_cases_named_queue", table_name="cases", postgresql_where=sa.text("status = 'open'"))
    op.drop_index(
        op.f("ix_cases_lease_user_id"), table_name="cases", postgresql_where=sa.text("lease_user_id IS NOT NULL")
    )
    op.drop_index(
        op.f("ix_cases_hold_user_id"), table_name="cases", postgresql_where=sa.text("hold_user_id IS NOT NULL")
    )
    op.drop_index(
        op.f("ix_cases_assigned_user_id"), table_name="cases", postgresql_where=sa.text("assigned_user_id IS NOT NULL")
    )
    op.drop_column("cases", "hold_until")
    op.drop_column("cases", "hold_user_id")
    op.drop_column("cases", "assigned_until")
    op.drop_column("cases", "assigned_user_id")
    op.drop_column("cases", "seen_at")
    op.drop_column("cases", "queue_rules")
    op.drop_column("cases", "queue")
    op.drop_index("ix_case_words_post", table_name="case_words", postgresql_using="gin")
    op.drop_index("ix_case_words_about", table_name="case_words", postgresql_using="gin")
    op.drop_table("case_words")
    op.drop_index(op.f("ix_case_notes_case_id_id"), table_name="case_notes")
    op.drop_index(
        "ix_case_notes_asked",
        table_name="case_notes",
        postgresql_where=sa.text("kind = 'escalate' AND answered_at IS NULL"),
    )
    op.drop_table("case_notes")
    op.drop_index(
        "ix_alerts_due", table_name="alerts", postgresql_where=sa.text("delivered_at IS NULL AND stopped_at IS NULL")
    )
    op.drop_table("alerts")
    op.drop_table("saved_views")
    op.drop_index(op.f("ix_incidents_ends_at"), table_name="incidents")
    op.drop_table("incidents")
