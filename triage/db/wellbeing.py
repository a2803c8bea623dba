"""What one person has read today and does not want to read. For that person's eyes alone: see annotations.wellbeing."""

import uuid
from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, text
from sqlalchemy.orm import Mapped, mapped_column

from triage.db.base import Base


class ExposureRow(Base):
    """``triage.domain.exposure.Exposure`` of one person, one row each: what was read on earlier days is not kept."""

    __tablename__ = "exposures"
    __table_args__ = (CheckConstraint("spent_seconds >= 0", "spent"),)

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    day: Mapped[date]
    spent_seconds: Mapped[float] = mapped_column(server_default=text("0"))
    stretch_from: Mapped[datetime | None]
    last_at: Mapped[datetime | None]
    reading_from: Mapped[datetime | None]
    reading_weight: Mapped[float] = mapped_column(server_default=text("0"))
    #: The P0 case that the person on call took on in spite of a break that was due.
    called_out_for: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("cases.id"))


class LeftOutTopic(Base):
    """A policy code that one person does not want to be given; ``until`` is the last day of it, empty for always."""

    __tablename__ = "left_out_topics"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    code: Mapped[str] = mapped_column(primary_key=True)
    until: Mapped[date | None]


class MediaChoice(Base):
    """How one person wants pictures and sound to be shown, once they ask for one."""

    __tablename__ = "media_choices"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    blur: Mapped[bool] = mapped_column(server_default=text("true"))
    greyscale: Mapped[bool] = mapped_column(server_default=text("true"))
    mute: Mapped[bool] = mapped_column(server_default=text("true"))
