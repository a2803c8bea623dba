"""What workers and the schedule counted, kept in the database: they are many, come and go, and serve no page.

A process adds what it counted since it last did so, so the sum only grows, whoever is killed; a kill loses the
seconds since the last time. Series that say how things are now are set, and say when.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from triage import metrics
from triage.db import Tally
from triage.db.session import transaction

#: (sample's name, its labels as JSON with sorted keys)
Key = tuple[str, str]
_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}


@dataclass(frozen=True, slots=True)
class Told:
    """A number, and when it was written (aware UTC)."""

    value: float
    at: datetime


class _Written:
    """What this process has told the database so far."""

    counted: Mapping[Key, float] = {}


def flush() -> None:
    """Tell the database what this process counted and what it runs, in a transaction of its own.

    Raises:
        SQLAlchemyError: the database is away; nothing is lost but with the process.
    """
    counted = _samples(metrics.WORKERS)
    more = {key: value - _Written.counted.get(key, 0) for key, value in counted.items()}
    more = {key: value for key, value in more.items() if value}
    running = _samples(metrics.RUNNING)
    if more or running:
        with transaction() as session:
            add(session, more)
            put(session, running)
    _Written.counted = counted


def _samples(registry: CollectorRegistry) -> dict[Key, float]:
    found = {}
    for family in registry.collect():
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                found[key(sample.name, sample.labels)] = sample.value
    return found


def key(name: str, labels: Mapping[str, str] | None = None) -> Key:
    return name, json.dumps(labels or {}, sort_keys=True)


def add(session: Session, more: Mapping[Key, float]) -> None:
    """Add to each number. In one order, so that two workers never wait for each other in a circle."""
    _write(session, more, adds=True)


def put(session: Session, values: Mapping[Key, float]) -> None:
    """Set each number."""
    _write(session, values, adds=False)


def _write(session: Session, values: Mapping[Key, float], *, adds: bool) -> None:
    if not values:
        return
    rows = [{"name": name, "labels": labels, "value": value} for (name, labels), value in sorted(values.items())]
    store = insert(Tally).values(rows)
    value = Tally.value + store.excluded.value if adds else store.excluded.value
    session.execute(
        store.on_conflict_do_update(
            index_elements=[Tally.name, Tally.labels], set_={"value": value, "at": func.clock_timestamp()}
        )
    )


def read(session: Session) -> dict[Key, Told]:
    """Everything that was told: a few hundred rows, whatever the number of posts."""
    rows = session.execute(select(Tally.name, Tally.labels, Tally.value, Tally.at))
    return {(name, labels): Told(value, at) for name, labels, value, at in rows}


def families(told: Mapping[Key, Told], registry: CollectorRegistry, *, complete: bool = True) -> Iterator[Metric]:
    """The families of ``registry`` with the values of all processes, in place of this one's.

    Args:
        complete: a series of this process that nobody told a value of is 0; else it is left out.
    """
    for family in registry.collect():
        names = {family.name + suffix for suffix in _SUFFIXES[family.type]}
        here = [key(one.name, one.labels) for one in family.samples] if complete else []
        elsewhere = sorted(set(told) - set(here))
        whole = Metric(family.name, family.documentation, family.type)
        for name, labels in [*here, *elsewhere]:
            if name in names:
                one = told.get((name, labels))
                whole.add_sample(name, json.loads(labels), one.value if one else 0)
        yield whole
