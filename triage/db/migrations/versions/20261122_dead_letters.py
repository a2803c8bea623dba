"""a list of what was given up: one row for each piece of work, with attempts, times and when it was tried again"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Failed captures were on no list before. Their reasons are the words of the capture's own list.
_CAPTURES = """
    INSERT INTO dead_letters (object_type, object_id, reason, attempts, given_up_at)
    SELECT 'capture', id, replace(coalesce(failure, 'not_finished'), '_', ' '), attempts, created_at
    FROM captures WHERE status = 'failed'
    ON CONFLICT DO NOTHING
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("dead_letters", sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("dead_letters", sa.Column("times", sa.Integer(), server_default=sa.text("1"), nullable=False))
    op.add_column(
        "dead_letters",
        sa.Column(
            "given_up_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
    )
    op.add_column("dead_letters", sa.Column("retried_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE dead_letters SET given_up_at = created_at")
    op.drop_index(op.f("ix_dead_letters_object_type_object_id"), table_name="dead_letters")
    op.create_unique_constraint(
        op.f("uq_dead_letters_object_type_object_id"), "dead_letters", ["object_type", "object_id"]
    )
    op.create_check_constraint(
        op.f("ck_dead_letters_object_type"), "dead_letters", "object_type IN ('post', 'capture')"
    )
    op.create_index(
        "ix_dead_letters_open",
        "dead_letters",
        ["given_up_at", "id"],
        unique=False,
        postgresql_where=sa.text("retried_at IS NULL"),
    )
    op.execute(_CAPTURES)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DELETE FROM dead_letters WHERE object_type <> 'post'")
    op.drop_index("ix_dead_letters_open", table_name="dead_letters", postgresql_where=sa.text("retried_at IS NULL"))
    op.drop_constraint(op.f("ck_dead_letters_object_type"), "dead_letters", type_="check")
    op.drop_constraint(op.f("uq_dead_letters_object_type_object_id"), "dead_letters", type_="unique")
    op.create_index(
        op.f("ix_dead_letters_object_type_object_id"), "dead_letters", ["object_type", "object_id"], unique=False
    )
    for column in ("retried_at", "given_up_at", "times", "attempts"):
        op.drop_column("dead_letters", column)
