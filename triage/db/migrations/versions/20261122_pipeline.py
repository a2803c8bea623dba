"""what the pipeline's faults asked for"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column(
        "partners", sa.Column("score_quota_per_day", sa.Integer(), server_default=sa.text("100000"), nullable=False)
    )
    op.execute("UPDATE partners SET score_quota_per_day = quota_per_day")  # as many as it could have until now
    op.add_column("partner_usage", sa.Column("scores", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.alter_column("partner_usage", "reports", server_default=sa.text("0"))


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.alter_column("partner_usage", "reports", server_default=None)
    op.drop_column("partner_usage", "scores")
    op.drop_column("partners", "score_quota_per_day")
