"""The numbers behind the dashboards."""

from datetime import datetime

from sqlalchemy import BigInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from triage.db.base import Base, CreatedAt


class Figure(Base):
    """One number of the dashboards: ``hits`` of ``n``, and their ``total`` where something was summed.

    Counted by the schedule for a day or an hour from ``at`` on, so that a page never counts cases itself. No figure is
    about a person.
    """

    __tablename__ = "figures"

    name: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    part: Mapped[str] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(BigInteger)
    hits: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    total: Mapped[float] = mapped_column(server_default=text("0"))
    counted_at: Mapped[CreatedAt]
