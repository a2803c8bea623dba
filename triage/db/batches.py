"""Posts of low risk that one person read on one page and decided together."""

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from triage.db.base import Base, CreatedAt, Id

#: Every one of them is read: more than that at once and nobody reads.
MOST = 12


class Batch(Base):
    """A sample from a range of risk. Only what was shown can be decided: the database holds that too."""

    __tablename__ = "batches"
    __table_args__ = (
        CheckConstraint(f"cardinality(case_ids) BETWEEN 1 AND {MOST}", "size"),
        CheckConstraint("decided_ids <@ case_ids", "only_what_was_shown"),
        CheckConstraint("undone_at IS NULL OR decided_at IS NOT NULL", "undone_after"),
        Index(None, "user_id"),
    )

    id: Mapped[Id]
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    low: Mapped[float]
    high: Mapped[float]
    case_ids: Mapped[list[uuid.UUID]]
    decided_ids: Mapped[list[uuid.UUID]] = mapped_column(server_default=text("'{}'"))
    created_at: Mapped[CreatedAt]
    decided_at: Mapped[datetime | None]
    undone_at: Mapped[datetime | None]
