"""exposure, breaks and topics left out; the figures of the dashboards; batches"""

import uuid

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def _of_user() -> sa.Column[uuid.UUID]:
    return sa.Column("user_id", sa.UUID(), nullable=False)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "exposures",
        _of_user(),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("spent_seconds", sa.Float(), server_default=sa.text("0"), nullable=False),
        sa.Column("stretch_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reading_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reading_weight", sa.Float(), server_default=sa.text("0"), nullable=False),
        sa.Column("called_out_for", sa.UUID(), nullable=True),
        sa.CheckConstraint("spent_seconds >= 0", name=op.f("ck_exposures_spent")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_exposures_user_id_users")),
        sa.ForeignKeyConstraint(["called_out_for"], ["cases.id"], name=op.f("fk_exposures_called_out_for_cases")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_exposures")),
    )
    op.create_table(
        "left_out_topics",
        _of_user(),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("until", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_left_out_topics_user_id_users")),
        sa.PrimaryKeyConstraint("user_id", "code", name=op.f("pk_left_out_topics")),
    )
    op.create_table(
        "media_choices",
        _of_user(),
        sa.Column("blur", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("greyscale", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("mute", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_media_choices_user_id_users")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_media_choices")),
    )
    op.create_table(
        "figures",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("hits", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("total", sa.Float(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "counted_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("name", "at", "part", name=op.f("pk_figures")),
    )
    op.create_table(
        "batches",
        sa.Column("id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        _of_user(),
        sa.Column("low", sa.Float(), nullable=False),
        sa.Column("high", sa.Float(), nullable=False),
        sa.Column("case_ids", postgresql.ARRAY(sa.UUID()), nullable=False),
        sa.Column("decided_ids", postgresql.ARRAY(sa.UUID()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("cardinality(case_ids) BETWEEN 1 AND 12", name=op.f("ck_batches_size")),
        sa.CheckConstraint("decided_ids <@ case_ids", name=op.f("ck_batches_only_what_was_shown")),
        sa.CheckConstraint("undone_at IS NULL OR decided_at IS NOT NULL", name=op.f("ck_batches_undone_after")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_batches_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
    )
    op.create_index(op.f("ix_batches_user_id"), "batches", ["user_id"])
    # By day, for the figures. Both grow at their end only, so that they cost an insert little.
    op.create_index(op.f("ix_cases_received_at"), "cases", ["received_at"])
    op.create_index(op.f("ix_decisions_created_at"), "decisions", ["created_at"])


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index(op.f("ix_decisions_created_at"), table_name="decisions")
    op.drop_index(op.f("ix_cases_received_at"), table_name="cases")
    for table in ("batches", "figures", "media_choices", "left_out_topics", "exposures"):
        op.drop_table(table)
