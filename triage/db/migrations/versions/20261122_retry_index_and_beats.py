"""an index for posts to retry; a beat for each process, whatever its name"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_index(
        "ix_posts_scoring_tried",
        "posts",
        ["lane", "id"],
        unique=False,
        postgresql_where=sa.text("scoring = 'wanted' AND scoring_attempts > 0"),
    )
    op.create_index(
        op.f("ix_scores_not_assessed"),
        "scores",
        ["not_assessed"],
        unique=False,
        postgresql_where=sa.text("not_assessed IS NOT NULL"),
    )
    op.execute("DELETE FROM worker_beats")  # living workers beat again within seconds
    op.drop_constraint(op.f("pk_worker_beats"), "worker_beats", type_="primary")
    op.add_column("worker_beats", sa.Column("host", sa.Text(), nullable=False))
    op.create_primary_key(op.f("pk_worker_beats"), "worker_beats", ["name", "host", "pid"])


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DELETE FROM worker_beats")
    op.drop_constraint(op.f("pk_worker_beats"), "worker_beats", type_="primary")
    op.drop_column("worker_beats", "host")
    op.create_primary_key(op.f("pk_worker_beats"), "worker_beats", ["name"])
    op.drop_index(
        op.f("ix_scores_not_assessed"), table_name="scores", postgresql_where=sa.text("not_assessed IS NOT NULL")
    )
    op.drop_index(
        "ix_posts_scoring_tried",
        table_name="posts",
        postgresql_where=sa.text("scoring = 'wanted' AND scoring_attempts > 0"),
    )
