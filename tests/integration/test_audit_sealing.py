"""Writers never wait for the chain, and the chain never misses a writer: shown with real second connections."""

import threading

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from triage import audit
from triage.audit import Entry
from triage.db import Event, EventSeal
from triage.db.session import session_factory, transaction
from triage.domain.words import Operation

pytestmark = pytest.mark.usefixtures("database")


def _record(session: Session, kind: str) -> None:
    audit.record(session, audit.system("tests"), Entry(Operation.SYSTEM, kind, "test", "1"))


def _seal() -> int:
    with transaction() as session:
        return audit.seal(session)


def _verify() -> audit.Verification:
    with transaction() as session:
        return audit.verify(session)


def test_event_of_a_transaction_still_open_is_not_missed() -> None:
    slow = session_factory()()
    try:
        _record(slow, "slow")  # the lowest id, committed last
        with transaction() as quick:
            _record(quick, "quick")

        assert _seal() == 0  # quick is committed, but slow may yet appear before it
        assert _verify().unsealed_events == 1

        slow.commit()
        assert _seal() == 2
    finally:
        slow.close()
    assert _verify() == audit.Verification(2, 0, 1, _verify().head, None)


def test_event_written_late_in_an_old_transaction_is_not_missed() -> None:
    """The transaction began before the others and got its number; its event comes after a seal of earlier ones."""
    with transaction() as first:
        _record(first, "before")
    old = session_factory()()
    try:
        old.execute(text("SELECT pg_current_xact_id()"))
        with transaction() as other:
            _record(other, "between")
        assert _seal() == 1  # only what came before the old transaction

        _record(old, "late")
        old.commit()
        assert _seal() == 2
    finally:
        old.close()
    with transaction() as session:
        kinds = session.scalars(select(Event.kind).order_by(Event.tx, Event.id)).all()
    assert kinds == ["before", "late", "between"]
    assert _verify().problem is None


def test_writer_does_not_wait_for_the_sealer() -> None:
    with transaction() as first:
        _record(first, "a")
    sealer = session_factory()()
    try:
        assert audit.seal(sealer) == 1
        sealer.flush()  # the seal is written and not committed

        with transaction() as writer:
            writer.execute(text("SET LOCAL lock_timeout = '1s'"))
            _record(writer, "b")
        sealer.commit()
    finally:
        sealer.close()

    assert _seal() == 1
    assert _verify().problem is None


def test_of_two_sealers_at_once_one_seals() -> None:
    with transaction() as writer:
        _record(writer, "a")
    one, two = session_factory()(), session_factory()()
    try:
        assert audit.seal(one) == 1
        assert audit.seal(two) == 0
        one.commit()
        two.commit()
    finally:
        one.close()
        two.close()
    assert _verify() == audit.Verification(1, 0, 1, _verify().head, None)


def test_writers_and_sealers_at_full_speed_lose_nothing() -> None:
    writers, each = 4, 25
    stop = threading.Event()

    def write(number: int) -> None:
        for turn in range(each):
            with transaction() as session:
                _record(session, f"{number}.{turn}.a")
                session.flush()
                _record(session, f"{number}.{turn}.b")

    def seal_on() -> None:
        while not stop.is_set():
            _seal()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    sealers = [threading.Thread(target=seal_on) for _ in range(2)]
    for thread in [*threads, *sealers]:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    stop.set()
    for thread in sealers:
        thread.join(timeout=60)
    while _seal():
        pass

    found = _verify()
    assert (found.sealed_events, found.unsealed_events, found.problem) == (writers * each * 2, 0, None)
    with transaction() as session:
        assert session.scalar(select(func.sum(EventSeal.event_count))) == writers * each * 2
