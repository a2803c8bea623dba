"""What processes without a page of their own counted, for ``/metrics``."""

from sqlalchemy.orm import Mapped, mapped_column

from triage.db.base import Base, CreatedAt


class Tally(Base):
    """One number of one series: workers add to it, the schedule sets it (``triage.tallies``)."""

    __tablename__ = "tallies"

    name: Mapped[str] = mapped_column(primary_key=True)
    #: JSON with sorted keys: lanes, kinds and versions; never a person or a post.
    labels: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[float]
    #: When it was last written.
    at: Mapped[CreatedAt]
