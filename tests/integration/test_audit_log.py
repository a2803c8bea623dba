"""The log cannot be changed by those who write it, and shows it when somebody else did."""

from datetime import timedelta

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from tests import factories, referrals
from tests.people import People
from triage import accounts, audit, cases, referral
from triage.audit import Entry
from triage.db import Event, EventSeal
from triage.db.session import engine, transaction
from triage.domain.words import Operation

SYSTEM = audit.system("tests")


def _happen(*kinds: str) -> None:
    """Events, each in its own committed transaction."""
    for kind in kinds:
        with transaction() as session:
            audit.record(session, SYSTEM, Entry(Operation.SYSTEM, kind, "test", "1", data={"count": 1, "kind": kind}))


def _seal(limit: int = 5000) -> int:
    with transaction() as session:
        return audit.seal(session, limit=limit)


def _verify(expect: str | None = None) -> audit.Verification:
    with transaction() as session:
        return audit.verify(session, expect=expect)


def _tamper(statement: str) -> None:
    """As somebody who owns the database can: with the triggers switched off."""
    with transaction() as session:
        session.execute(text("SET LOCAL session_replication_role = replica"))
        assert session.execute(text(statement)).rowcount > 0  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET actor_id = actor_id",
        "UPDATE event_seals SET sha256 = sha256 WHERE id = 0",
        "DELETE FROM events",
        "DELETE FROM event_seals WHERE id = 0",
        "TRUNCATE events",
        "TRUNCATE event_seals",
    ],
)
@pytest.mark.usefixtures("database")
def test_log_is_append_only(statement: str) -> None:
    _happen("a")
    _seal()

    with pytest.raises(DBAPIError, match="is append-only"), transaction() as session:
        session.execute(text(statement))

    found = _verify()
    assert (found.sealed_events, found.seals, found.problem) == (1, 1, None)


@pytest.mark.usefixtures("database")
def test_empty_log_verifies() -> None:
    assert _seal() == 0
    assert _verify() == audit.Verification(0, 0, 0, audit.GENESIS, None)


@pytest.mark.usefixtures("database")
def test_chain_of_several_seals_verifies() -> None:
    _happen("a", "b", "c", "d", "e")

    assert [_seal(limit=2) for _ in range(4)] == [2, 2, 1, 0]
    _happen("f")

    found = _verify()
    assert (found.sealed_events, found.unsealed_events, found.seals, found.problem) == (5, 1, 3, None)
    assert _verify(expect=found.head).problem is None


def test_whole_life_of_a_referral_verifies_and_folds(session: Session, people: People) -> None:
    row = referrals.approved(session, people, factories.open_case(session, people))
    referral.export(session, accounts.partner_actor(people.partner), row, "json")
    session.commit()

    assert _seal() > 5
    assert _verify().problem is None
    case = cases.locked(session, row.case_id)
    events = session.query(Event).filter(Event.case_id == case.id).order_by(Event.id)
    assert cases.folded(events) == cases.state_of(case)


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE events SET actor_id = 'somebody else' WHERE kind = 'b'",
        "UPDATE events SET data = jsonb_set(data, '{count}', '2') WHERE kind = 'b'",
        "UPDATE events SET at = at + interval '1 microsecond' WHERE kind = 'b'",
        "UPDATE events SET recipient_id = gen_random_uuid() WHERE kind = 'b'",
        "UPDATE events SET purpose = 'another' WHERE kind = 'b'",
        "UPDATE events SET actor_roles = '{admin}' WHERE kind = 'b'",
        "UPDATE events SET operation = 'disclosure' WHERE kind = 'b'",
        "DELETE FROM events WHERE kind = 'b'",
        "INSERT INTO events (id, tx, actor_kind, actor_id, operation, kind, object_type, object_id) "
        "OVERRIDING SYSTEM VALUE SELECT id + 1000, tx, actor_kind, actor_id, operation, kind, object_type, object_id "
        "FROM events WHERE kind = 'a'",
        "UPDATE event_seals SET sha256 = repeat('0', 64) WHERE id = (SELECT min(id) FROM event_seals)",
        "UPDATE event_seals SET previous_sha256 = repeat('1', 64) WHERE id = (SELECT min(id) FROM event_seals)",
        "UPDATE event_seals SET upto_id = 0 WHERE id = (SELECT min(id) FROM event_seals)",
        "DELETE FROM event_seals WHERE id = (SELECT min(id) FROM event_seals)",
    ],
)
@pytest.mark.usefixtures("database")
def test_tampering_is_found(tampering: str) -> None:
    _happen("a", "b", "c")
    _seal(limit=2)
    _seal()
    assert _verify().problem is None

    _tamper(tampering)

    assert _verify().problem is not None


@pytest.mark.usefixtures("database")
def test_cut_off_end_is_found_only_by_a_seal_kept_elsewhere() -> None:
    _happen("a", "b")
    _seal(limit=1)
    _seal()
    kept = _verify().head
    _tamper("DELETE FROM event_seals WHERE id = (SELECT max(id) FROM event_seals)")
    _tamper("DELETE FROM events WHERE kind = 'b'")

    assert _verify().problem is None
    assert "cut or rewritten" in (_verify(expect=kept).problem or "")


@pytest.mark.usefixtures("database")
def test_one_large_transaction_is_sealed_in_parts() -> None:
    with transaction() as session:
        audit.record_many(session, SYSTEM, (Entry(Operation.SYSTEM, "row", "test", str(n)) for n in range(5)))

    assert [_seal(limit=2) for _ in range(4)] == [2, 2, 1, 0]
    assert _verify().problem is None


@pytest.mark.usefixtures("database")
def test_events_wait_for_company_but_not_for_long() -> None:
    _happen("a", "b")

    def seal(at_least: int, older_than: timedelta) -> int:
        with transaction() as session:
            return audit.seal(session, at_least=at_least, unless_older_than=older_than)

    assert seal(3, timedelta(minutes=1)) == 0
    assert seal(2, timedelta(minutes=1)) == 2
    _happen("c")
    assert seal(2, timedelta(minutes=1)) == 0
    assert seal(2, timedelta(0)) == 1
    assert seal(2, timedelta(0)) == 0
    assert _verify().problem is None


@pytest.mark.usefixtures("database")
def test_newest_seals_are_verified_without_the_older_ones() -> None:
    _happen("a", "b", "c", "d")
    for _ in range(4):
        _seal(limit=1)
    _happen("e")

    def newest(number: int) -> audit.Verification:
        with transaction() as session:
            return audit.verify(session, newest=number)

    assert newest(2) == audit.Verification(2, 1, 2, _verify().head, None)
    assert newest(9) == newest(4) == _verify()

    _tamper("UPDATE events SET actor_id = 'x' WHERE kind = 'b'")
    assert newest(2).problem is None
    assert newest(3).problem is not None


@pytest.mark.usefixtures("database")
def test_number_of_questions_does_not_grow_with_the_chain() -> None:
    def questions() -> int:
        asked: list[str] = []
        count = lambda *said: asked.append(said[2])  # noqa: E731
        event.listen(engine(), "before_cursor_execute", count)
        assert _verify().problem is None
        event.remove(engine(), "before_cursor_execute", count)
        return len(asked)

    _happen("a")
    _seal()
    before = questions()
    _happen(*"bcdef")
    for _ in range(5):
        _seal(limit=1)

    assert questions() == before


@pytest.mark.usefixtures("database")
def test_verification_does_not_depend_on_the_time_zone() -> None:
    _happen("a")
    _seal()

    with transaction() as session:
        session.execute(text("SET LOCAL TIME ZONE 'Asia/Kathmandu'"))
        assert audit.verify(session).problem is None


def test_event_of_a_transaction_that_rolled_back_never_was(session: Session) -> None:
    audit.record(session, SYSTEM, Entry(Operation.SYSTEM, "undone", "test", "1"))
    session.rollback()
    _happen("a")

    assert _seal() == 1
    assert session.query(EventSeal).one().event_count == 1
