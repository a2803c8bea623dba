"""what a reviewer adds to a case beside a decision, and how copies of a post are found"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_NOW = sa.text("clock_timestamp()")
# Told of a limit, the planner reads the table instead of the index, for it takes hashes to be far more common than they
# are: at 100,000 posts 400 ms instead of 50. A function may have settings of its own.
_SHARING = """
    CREATE FUNCTION posts_sharing_runs(wanted bigint[], most integer)
    RETURNS TABLE (post_id uuid, copy_sha256 text, sketch bigint[])
    LANGUAGE sql STABLE SET enable_seqscan = off AS
    'SELECT post_id, copy_sha256, sketch FROM post_words WHERE sketch && wanted LIMIT most'
"""
_WORDS_WANTED = sa.text("NOT words_known AND scoring IN ('done', 'failed')")


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    _add_annotations()
    _add_glosses()
    _add_drafts()
    op.create_table(
        "post_words",
        sa.Column("post_id", sa.UUID(), nullable=False),
        sa.Column("copy_sha256", sa.Text(), nullable=False),
        sa.Column("sketch", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.ForeignKeyConstraint(
            ["post_id"], ["posts.id"], name=op.f("fk_post_words_post_id_posts"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("post_id", name=op.f("pk_post_words")),
    )
    op.create_index("ix_post_words_copy_sha256", "post_words", ["copy_sha256", "post_id"], unique=False)
    op.create_index("ix_post_words_sketch", "post_words", ["sketch"], unique=False, postgresql_using="gin")
    op.execute(_SHARING)
    op.create_table(
        "source_records",
        sa.Column("partner_id", sa.UUID(), nullable=False),
        sa.Column("upheld", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("not_upheld", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("counted_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("upheld >= 0 AND not_upheld >= 0", name=op.f("ck_source_records_counts")),
        sa.ForeignKeyConstraint(
            ["partner_id"], ["partners.id"], name=op.f("fk_source_records_partner_id_partners"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("partner_id", name=op.f("pk_source_records")),
    )
    # A constant default: no row is written. Posts that are there already are taken up by the schedule, bit by bit.
    op.add_column("posts", sa.Column("words_known", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_index("ix_posts_words_wanted", "posts", ["id"], unique=False, postgresql_where=_WORDS_WANTED)


def _add_annotations() -> None:
    op.create_table(
        "annotations",
        sa.Column("id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("case_id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("scores_id", sa.UUID(), nullable=False),
        sa.Column("span_start", sa.Integer(), nullable=False),
        sa.Column("span_end", sa.Integer(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.CheckConstraint("span_end > span_start", name=op.f("ck_annotations_has_words")),
        sa.CheckConstraint("verdict IN ('confirmed', 'rejected')", name=op.f("ck_annotations_verdict")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_annotations_case_id_cases")),
        sa.ForeignKeyConstraint(["scores_id"], ["scores.id"], name=op.f("fk_annotations_scores_id_scores")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_annotations_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_annotations")),
        sa.UniqueConstraint(
            "scores_id",
            "user_id",
            "span_start",
            "span_end",
            "code",
            "source",
            name=op.f("uq_annotations_scores_id_user_id_span_start_span_end_code_source"),
        ),
    )
    op.create_index(op.f("ix_annotations_case_id"), "annotations", ["case_id"], unique=False)


def _add_glosses() -> None:
    op.create_table(
        "glosses",
        sa.Column("id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("case_id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("term", sa.Text(), nullable=False),
        sa.Column("reading", sa.Text(), nullable=False),
        sa.Column("alternatives", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("confidence", sa.Text(), nullable=False),
        sa.Column("disputes_id", sa.UUID(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.CheckConstraint("confidence IN ('certain', 'likely', 'guess')", name=op.f("ck_glosses_confidence")),
        sa.CheckConstraint("disputes_id <> id", name=op.f("ck_glosses_disputes_another")),
        sa.CheckConstraint("length(term) > 0 AND length(reading) > 0", name=op.f("ck_glosses_has_words")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_glosses_case_id_cases")),
        sa.ForeignKeyConstraint(["disputes_id"], ["glosses.id"], name=op.f("fk_glosses_disputes_id_glosses")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_glosses_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_glosses")),
    )
    op.create_index(op.f("ix_glosses_case_id_id"), "glosses", ["case_id", "id"], unique=False)


def _add_drafts() -> None:
    op.create_table(
        "drafts",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("case_id", sa.UUID(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("fields", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("stage IN ('first', 'final')", name=op.f("ck_drafts_stage")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_drafts_case_id_cases")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_drafts_user_id_users")),
        sa.PrimaryKeyConstraint("user_id", "case_id", name=op.f("pk_drafts")),
    )
    op.create_index(op.f("ix_drafts_case_id"), "drafts", ["case_id"], unique=False)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index("ix_posts_words_wanted", table_name="posts", postgresql_where=_WORDS_WANTED)
    op.drop_column("posts", "words_known")
    op.execute("DROP FUNCTION posts_sharing_runs(bigint[], integer)")
    for table in ("source_records", "post_words", "drafts", "glosses", "annotations"):
        op.drop_table(table)
