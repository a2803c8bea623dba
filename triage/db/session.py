"""Engine and sessions. One kind of session for web, workers and command line: synchronous."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session, sessionmaker

from triage.domain.errors import Unavailable
from triage.settings import current

#: Connections of one process. The web process works on fewer requests at once (``workers.web``).
POOL_SIZE = 10
POOL_OVERFLOW = 20
#: A server that accepts and says nothing, and one whose machine is gone, are given up after so many seconds. What was
#: asked by then is another matter: a statement may take as long as it takes.
_CONNECT = {
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # milliseconds
}


@lru_cache(maxsize=1)
def engine() -> Engine:
    """The engine of this process.

    Raises:
        Unavailable: no database is configured.
    """
    url = current().database_url
    if url is None:
        raise Unavailable("TRIAGE_DATABASE_URL is not set; run this through `make up`, or point it at a PostgreSQL")
    # hide_parameters: the parameters of a failed statement may be a post; RQ keeps tracebacks in Redis.
    return create_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=POOL_OVERFLOW,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args=_CONNECT,
    )


def session_factory() -> sessionmaker[Session]:
    return sessionmaker(engine(), expire_on_commit=False)


@contextmanager
def transaction() -> Iterator[Session]:
    """A session that commits at the end of the block, or rolls back and raises."""
    with session_factory().begin() as session:
        yield session
